//! A blueprint: the one file that says what a cell is. Every cell of a blueprint is identical, and no cell grows.
//!
//! Its [`Blueprint::hash`] names it: a cell remembers the hash it was stamped from.

use crate::{
    Az, Limits,
    certification::{Certification, Slo},
    machine::Machine,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Why a blueprint is refused: both numbers, and the reason.
#[derive(Debug, thiserror::Error)]
pub enum BlueprintError {
    #[error("the blueprint is not valid TOML of the expected shape: {0}")]
    Syntax(#[from] toml::de::Error),
    #[error("the blueprint is not the canonical form of one: {0}")]
    Canonical(#[from] serde_json::Error),
    #[error("blueprint {name:?}: {what} is {found}, but must be {allowed}: {why}")]
    Invalid { name: String, what: &'static str, found: String, allowed: String, why: &'static str },
}

/// A cell's shape, sizes and declared capacity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blueprint {
    /// The file's name without `.toml`.
    pub name: String,
    pub topology: Topology,
    pub redundancy: Redundancy,
    pub sizes: Sizes,
    pub capacity: Capacity,
    #[serde(default)]
    pub background: Background,
    /// Left out of the canonical form where it is as it is without being mentioned: cells remember the hashes of blueprints that are older.
    #[serde(default, skip_serializing_if = "is_default")]
    pub isolation: Isolation,
    /// What one account may ask for unless the control plane says otherwise. Left out likewise.
    #[serde(default, skip_serializing_if = "is_default")]
    pub account_limits: Limits,
    /// What clients may expect. Left out likewise.
    #[serde(default, skip_serializing_if = "is_default")]
    pub slo: Slo,
    /// How a cell is tried before it takes tenants. Left out likewise.
    #[serde(default, skip_serializing_if = "is_default")]
    pub certification: Certification,
    /// What a node runs on. A blueprint without it is for processes of one machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Which AZs, and how many nodes in each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// Exactly three: a majority must survive the loss of any one.
    pub azs: Vec<Az>,
    pub nodes_per_az: u32,
}

/// How a chunk survives the loss of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Redundancy {
    /// Whole copies, each in another AZ.
    Replicate { copies: u32 },
}

/// Sizes of what a node keeps. Bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// One chunk of an object's data.
    pub chunk_bytes: u32,
    /// Objects up to this size live in the index.
    pub inline_bytes_max: u32,
    /// One extent file of the chunk store.
    pub extent_bytes: u64,
    /// RocksDB's block cache.
    pub index_cache_bytes: u64,
    /// All request bodies in flight on one node.
    pub body_budget_bytes: u64,
    /// Raft log bytes after which a checkpoint is taken and the log purged.
    pub checkpoint_log_bytes: u64,
}

/// What the cell is declared to hold, enforced when a write is applied, and to serve, shown by its certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// Bytes of object data, before replication.
    pub bytes: u64,
    pub objects: u64,
    pub accounts: u64,
    /// All four at once, by all accounts together; 0 is not declared, and a cell that declares nothing cannot be certified.
    #[serde(default, skip_serializing_if = "is_default")]
    pub puts_per_second: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub gets_per_second: u64,
    /// Of pages.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lists_per_second: u64,
    /// Bodies in both directions together.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bytes_per_second: u64,
}

impl Capacity {
    /// What is held, with no word on what is served.
    pub const fn holding(bytes: u64, objects: u64, accounts: u64) -> Self {
        Self {
            bytes,
            objects,
            accounts,
            puts_per_second: 0,
            gets_per_second: 0,
            lists_per_second: 0,
            bytes_per_second: 0,
        }
    }

    /// Requests of all kinds together, per second.
    pub fn requests_per_second(&self) -> u64 {
        self.puts_per_second + self.gets_per_second + self.lists_per_second
    }
}

/// When a node looks after what it holds. Seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Background {
    /// How long the bytes of what was deleted or overwritten are kept for those who are still reading them.
    pub grace_seconds: u64,
    /// Within which every chunk is read and verified.
    pub scrub_seconds: u64,
    /// Between two comparisons of everything a node holds with the index.
    pub census_seconds: u64,
}

/// Whether tenants are kept apart. Switched off only to see what a test of it is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Isolation {
    /// Requests wait for their turn by account, and only so many are executed at once.
    pub enabled: bool,
}

impl Default for Isolation {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Default for Background {
    fn default() -> Self {
        Self { grace_seconds: 4 * 60 * 60, scrub_seconds: 7 * 24 * 60 * 60, census_seconds: 60 * 60 }
    }
}

impl Blueprint {
    /// Parses and validates a blueprint file.
    ///
    /// # Errors
    /// [`BlueprintError`] names the first field that is wrong and what it may be.
    pub fn parse(text: &str) -> Result<Self, BlueprintError> {
        Self::checked(toml::from_str(text)?)
    }

    /// Parses and validates the canonical form. It has the hash of the file that it came from.
    ///
    /// # Errors
    /// [`BlueprintError`], as for the file.
    pub fn parse_canonical(text: &str) -> Result<Self, BlueprintError> {
        Self::checked(serde_json::from_str(text)?)
    }

    fn checked(blueprint: Self) -> Result<Self, BlueprintError> {
        blueprint.validate()?;
        blueprint.validate_background()?;
        blueprint.validate_limits()?;
        blueprint.validate_certification()?;
        if let Some(machine) = &blueprint.machine {
            machine.validate(&blueprint)?;
        }
        Ok(blueprint)
    }

    /// The one form of a blueprint that its hash is taken of: JSON without spaces, fields in their order here.
    pub fn canonical(&self) -> String {
        serde_json::to_string(self).expect("a blueprint has only string keys and plain values")
    }

    /// Hex SHA-256 of the canonical form: formatting and comments of the file do not change it.
    pub fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.canonical()))
    }

    /// Whether it says all that a cell is certified by.
    pub fn is_certifiable(&self) -> bool {
        let Capacity { puts_per_second, gets_per_second, lists_per_second, bytes_per_second, .. } = self.capacity;
        let Slo { put_p99_ms, get_p99_ms, list_p99_ms } = self.slo;
        let rates = [puts_per_second, gets_per_second, lists_per_second, bytes_per_second];
        rates.into_iter().chain([put_p99_ms, get_p99_ms, list_p99_ms]).all(|figure| figure > 0)
    }

    /// Nodes in all AZs together.
    pub fn nodes(&self) -> u32 {
        self.topology.nodes_per_az * 3
    }

    fn validate(&self) -> Result<(), BlueprintError> {
        const KIB: u64 = 1 << 10;
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        let azs = &self.topology.azs;
        let distinct = azs.iter().collect::<std::collections::BTreeSet<_>>().len();
        self.check("topology.azs", distinct as u64, 3, 3, "each copy is in another AZ, and one AZ may be lost")?;
        self.check("topology.azs (with repeats)", azs.len() as u64, 3, 3, "an AZ is named once")?;
        self.check(
            "topology.nodes_per_az",
            self.topology.nodes_per_az.into(),
            1,
            16,
            "one Raft group serves them all",
        )?;
        let Redundancy::Replicate { copies } = self.redundancy;
        self.check("redundancy.replicate.copies", copies.into(), 3, 3, "one copy in each AZ")?;
        let sizes = &self.sizes;
        let chunk = u64::from(sizes.chunk_bytes);
        self.check("sizes.chunk_bytes", chunk, 64 * KIB, 16 * MIB, "a few chunks are buffered per request")?;
        self.check(
            "sizes.inline_bytes_max",
            sizes.inline_bytes_max.into(),
            0,
            64 * KIB,
            "many inlined objects share a Raft batch",
        )?;
        self.check("sizes.extent_bytes", sizes.extent_bytes, chunk * 4, 4 * GIB, "an extent holds several chunks")?;
        self.check("sizes.index_cache_bytes", sizes.index_cache_bytes, MIB, 64 * GIB, "RocksDB needs some cache")?;
        self.check(
            "sizes.body_budget_bytes",
            sizes.body_budget_bytes,
            chunk * 8,
            64 * GIB,
            "several requests stream at once",
        )?;
        self.check(
            "sizes.checkpoint_log_bytes",
            sizes.checkpoint_log_bytes,
            MIB,
            16 * GIB,
            "a restart replays this much log",
        )?;
        self.check("capacity.bytes", self.capacity.bytes, MIB, 1 << 50, "a cell is sized to be understood")?;
        self.check("capacity.objects", self.capacity.objects, 1, 10_000_000_000, "one index holds them all")?;
        self.check("capacity.accounts", self.capacity.accounts, 1, 1_000_000, "one index holds them all")
    }

    fn validate_background(&self) -> Result<(), BlueprintError> {
        let isolated = u64::from(self.isolation.enabled || self.name == "dev");
        self.check(
            "isolation.enabled",
            isolated,
            1,
            1,
            "only a cell for tests, of the blueprint dev, may be without it",
        )?;
        let background = &self.background;
        self.check(
            "background.grace_seconds",
            background.grace_seconds,
            10,
            30 * 24 * 60 * 60,
            "third copies under way and readers must have ended before bytes are freed",
        )?;
        self.check(
            "background.scrub_seconds",
            background.scrub_seconds,
            60,
            7 * 24 * 60 * 60,
            "a second copy of a chunk may go bad while the first waits to be found",
        )?;
        self.check(
            "background.census_seconds",
            background.census_seconds,
            10,
            24 * 60 * 60,
            "what no fast path sees is found by it",
        )
    }

    fn validate_limits(&self) -> Result<(), BlueprintError> {
        self.account_limits.validate().map_err(|error| BlueprintError::Invalid {
            name: self.name.clone(),
            what: error.limit.name(),
            found: error.found.to_string(),
            allowed: format!("{} to {}", error.min, error.max),
            why: error.why,
        })
    }

    fn validate_certification(&self) -> Result<(), BlueprintError> {
        let (capacity, slo) = (&self.capacity, &self.slo);
        let rate = "a cell is sized to be understood";
        self.check("capacity.puts_per_second", capacity.puts_per_second, 0, 1_000_000, rate)?;
        self.check("capacity.gets_per_second", capacity.gets_per_second, 0, 10_000_000, rate)?;
        self.check("capacity.lists_per_second", capacity.lists_per_second, 0, 1_000_000, rate)?;
        self.check("capacity.bytes_per_second", capacity.bytes_per_second, 0, 1 << 40, rate)?;
        for (what, found) in [
            ("slo.put_p99_ms", slo.put_p99_ms),
            ("slo.get_p99_ms", slo.get_p99_ms),
            ("slo.list_p99_ms", slo.list_p99_ms),
        ] {
            self.check(what, found, 0, 60_000, "who waits longer has gone away")?;
        }
        let declared = [capacity.requests_per_second(), capacity.bytes_per_second, slo.put_p99_ms, slo.get_p99_ms];
        let declares = declared.into_iter().any(|figure| figure > 0);
        self.check(
            "what is declared of rates and objectives (1: all, or nothing)",
            u64::from(self.is_certifiable() || !declares),
            1,
            1,
            "a cell that declares a part of it cannot be certified",
        )?;
        let bounds = self.certification.bounds();
        bounds.into_iter().try_for_each(|bound| self.check(bound.what, bound.found, bound.min, bound.max, bound.why))
    }

    pub(crate) fn check(
        &self,
        what: &'static str,
        found: u64,
        min: u64,
        max: u64,
        why: &'static str,
    ) -> Result<(), BlueprintError> {
        if (min..=max).contains(&found) {
            return Ok(());
        }
        let allowed = if min == max { min.to_string() } else { format!("{min} to {max}") };
        Err(self.invalid(what, found.to_string(), allowed, why))
    }

    pub(crate) fn invalid(
        &self,
        what: &'static str,
        found: String,
        allowed: String,
        why: &'static str,
    ) -> BlueprintError {
        BlueprintError::Invalid { name: self.name.clone(), what, found, allowed, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: &str = include_str!("../../../blueprints/dev.toml");

    #[test]
    fn the_dev_blueprint_is_valid() {
        let dev = Blueprint::parse(DEV).expect("valid");
        assert_eq!((dev.name.as_str(), dev.nodes()), ("dev", 3));
    }

    #[test]
    fn the_canonical_form_is_the_same_blueprint_with_the_same_hash() {
        for text in [DEV, include_str!("../../../blueprints/aws-small.toml")] {
            let blueprint = Blueprint::parse(text).expect("valid");
            let canonical = blueprint.canonical();
            let again = Blueprint::parse_canonical(&canonical).expect("its own form");
            assert_eq!((again.hash(), again), (hex::encode(Sha256::digest(canonical)), blueprint));
        }
        let error = Blueprint::parse_canonical("{}").expect_err("no blueprint").to_string();
        assert!(error.contains("missing field"), "{error}");
    }

    #[test]
    fn comments_do_not_change_the_hash_and_values_do() {
        let dev = Blueprint::parse(DEV).expect("valid");
        let commented = Blueprint::parse(&format!("# another comment\n{DEV}")).expect("valid");
        let mut other = dev.clone();
        other.capacity.objects += 1;
        assert_eq!(dev.hash(), commented.hash());
        assert_ne!(dev.hash(), other.hash());
    }

    #[test]
    fn a_blueprint_that_does_not_mention_what_is_new_hashes_as_before() {
        let dev = Blueprint::parse(DEV).expect("valid");
        let canonical = serde_json::to_value(&dev).expect("plain values");
        let fields: Vec<_> = canonical.as_object().expect("fields").keys().map(String::as_str).collect();
        assert!(!fields.contains(&"isolation") && !fields.contains(&"account_limits"), "{fields:?}");
        let mut plain = dev.clone();
        plain.capacity = Capacity::holding(1 << 30, 10, 10);
        (plain.slo, plain.certification) = (Slo::default(), Certification::default());
        let canonical = serde_json::to_string(&plain).expect("plain values");
        assert!(
            !canonical.contains("slo") && !canonical.contains("certification") && !canonical.contains("per_second")
        );
        let mut other = dev.clone();
        other.account_limits.list_requests += 1;
        assert_ne!(dev.hash(), other.hash());
        other = dev.clone();
        other.isolation.enabled = false;
        assert_ne!(dev.hash(), other.hash());
        let written = toml::to_string(&other).expect("plain values");
        assert_eq!(Blueprint::parse(&written).expect("for tests"), other);
    }

    #[test]
    fn a_refusal_names_both_numbers_and_the_reason() {
        let text = DEV.replace("nodes_per_az = 1", "nodes_per_az = 17");
        let error = Blueprint::parse(&text).expect_err("too many nodes").to_string();
        assert_eq!(
            error,
            "blueprint \"dev\": topology.nodes_per_az is 17, but must be 1 to 16: one Raft group serves them all"
        );
    }

    #[test]
    fn an_az_named_twice_is_refused() {
        let text = DEV.replace("az-b", "az-a");
        assert!(Blueprint::parse(&text).is_err());
    }

    #[test]
    fn only_a_cell_for_tests_may_be_without_isolation() {
        let off = format!("{DEV}\n[isolation]\nenabled = false\n");
        assert!(!Blueprint::parse(&off).expect("for tests").isolation.enabled);
        assert!(Blueprint::parse(DEV).expect("valid").isolation.enabled);
        assert!(Blueprint::parse(&off.replace("name = \"dev\"", "name = \"small\"")).is_err());
    }

    #[test]
    fn an_account_s_defaults_are_part_of_the_blueprint_and_checked() {
        let with = |text: &str| Blueprint::parse(&format!("{DEV}\n[account_limits]\n{text}\n"));
        assert_eq!(with("list_requests = 7").expect("valid").account_limits.list_requests, 7);
        let error = with("list_requests = 0").expect_err("nobody could list").to_string();
        assert!(error.contains("list_requests is 0, but must be 1 to 1000000"), "{error}");
        assert!(with("lists = 7").is_err());
    }

    #[test]
    fn rates_and_objectives_are_declared_together_and_within_their_bounds() {
        let dev = Blueprint::parse(DEV).expect("valid");
        assert!(dev.is_certifiable());
        let half = DEV.replace("lists_per_second", "# ");
        let error = Blueprint::parse(&half).expect_err("no rate of listings").to_string();
        assert!(error.contains("a cell that declares a part of it cannot be certified"), "{error}");
        let mut other = dev.clone();
        other.certification.band_percent = 0;
        let error = Blueprint::parse(&toml::to_string(&other).expect("plain values")).expect_err("no band").to_string();
        assert!(error.contains("certification.band_percent is 0, but must be 1 to 100"), "{error}");
        other = dev.clone();
        other.certification.quick.hold_ms = 7;
        assert!(Blueprint::parse(&toml::to_string(&other).expect("plain values")).is_err());
        assert_ne!(dev.hash(), other.hash());
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(Blueprint::parse(&format!("colour = \"blue\"\n{DEV}")).is_err());
    }
}

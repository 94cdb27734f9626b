//! A certificate: what a cell showed when it was tried, signed by who tried it.
//!
//! All figures are whole numbers with their unit in their name, so that the signed bytes are the same wherever they are written. A
//! verdict is never believed: [`verify`] compares each figure with its threshold anew. Pure; who holds a key and what time it is are
//! the business of the caller.

use crate::{
    CellId, Timestamp,
    certification::{Phase, Profile},
};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

/// The version of the document that is written here.
pub const CERTIFICATE_VERSION: u32 = 1;
/// The largest document that is read.
pub const CERTIFICATE_BYTES_MAX: usize = 1 << 20;
/// How far the clocks of who signs and who verifies may be apart.
pub const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// The figures that must lie within the band of the reference: what the cell can do, and how long half of its clients wait at its
/// declared capacity. The tail is not among them: it has an objective, and two runs on one machine differ by more than any band.
pub const BANDED: [(Phase, &str); 4] = [
    (Phase::Ramp, "knee_per_second"),
    (Phase::Hold, "done_per_second"),
    (Phase::Hold, "put_p50_us"),
    (Phase::Hold, "get_p50_us"),
];

/// A signed certificate, as it lies in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    pub statement: Statement,
    pub signature: Signature,
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`CERTIFICATE_VERSION`].
    pub version: u32,
    pub blueprint: String,
    pub blueprint_hash: String,
    /// Of the cell's program.
    pub build: String,
    pub cell: CellId,
    pub machine: Machine,
    pub profile: Profile,
    pub issued: Timestamp,
    pub expires: Timestamp,
    pub phases: Vec<PhaseFigures>,
    pub criteria: Vec<Criterion>,
}

/// What the cell ran on, as the load test saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    pub cpus: u64,
    pub cpu_model: String,
    pub memory_bytes: u64,
    pub kernel: String,
    /// The load test ran beside the cell and took its share of these.
    pub shared_with_load_test: bool,
}

/// What was measured in a phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseFigures {
    pub phase: Phase,
    /// Since the certification began.
    pub began_ms: u64,
    pub lasted_ms: u64,
    /// By name, which ends in the unit.
    pub figures: BTreeMap<String, u64>,
}

/// What a phase had to show, and what it showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criterion {
    pub phase: Phase,
    /// With its unit.
    pub what: String,
    pub found: u64,
    pub threshold: Threshold,
    /// As the load test saw it; [`verify`] does not rely on it.
    pub passed: bool,
}

/// What a figure may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Threshold {
    AtLeast(u64),
    AtMost(u64),
}

/// Who vouches for a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Ed25519, over the statement as compact JSON.
    pub ed25519: String,
    pub key: VerifyingKey,
}

/// The public half: who verifies needs it. 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VerifyingKey([u8; 32]);

/// The secret half: who certifies holds it.
pub struct SigningKey(Ed25519KeyPair);

/// A text that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key is 64 hex digits")]
pub struct KeyError;

/// Bytes that are no certificate.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    #[error("a certificate has at most {CERTIFICATE_BYTES_MAX} bytes, not {0}")]
    Large(usize),
    #[error("this is not a certificate: {0}")]
    Syntax(#[from] serde_json::Error),
}

/// What a certificate must fit to be good.
#[derive(Debug, Clone, Copy)]
pub struct Expectations<'a> {
    pub blueprint_hash: &'a str,
    pub build: &'a str,
    pub now: Timestamp,
    /// Who is trusted.
    pub key: &'a VerifyingKey,
    /// For which cell it must be; `None` when that does not matter.
    pub cell: Option<&'a CellId>,
    /// The least it must have been tried.
    pub profile: Profile,
    /// What its figures must be like; `None` for a blueprint's first cell.
    pub reference: Option<Reference<'a>>,
}

/// The certificate that a blueprint's cells are compared with.
#[derive(Debug, Clone, Copy)]
pub struct Reference<'a> {
    pub statement: &'a Statement,
    /// Percent, to either side.
    pub band_percent: u64,
}

/// Why a certificate admits nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("it is version {found} of the document, and only {CERTIFICATE_VERSION} is understood")]
    Version { found: u32 },
    #[error("it is signed with the key {found}, and the one that is trusted is {expected}")]
    OtherKey { found: VerifyingKey, expected: VerifyingKey },
    #[error("it was tampered with: the signature is not of this statement")]
    Tampered,
    #[error("it is from the future: issued {} s after now", ahead_ms / 1000)]
    NotYetIssued { ahead_ms: u64 },
    #[error("it expired {} s ago", ago_ms / 1000)]
    Expired { ago_ms: u64 },
    #[error("it is of another blueprint, {found_name} ({found}), and not of {expected}")]
    OtherBlueprint { found_name: String, found: String, expected: String },
    #[error("it is of another build, {found}, and not of {expected}")]
    OtherBuild { found: String, expected: String },
    #[error("it is of another cell, {found}, and not of {expected}")]
    OtherCell { found: CellId, expected: CellId },
    #[error("its profile is {found}, and {expected} is demanded")]
    OtherProfile { found: Profile, expected: Profile },
    #[error("nothing was tried in phase {phase}")]
    Incomplete { phase: Phase },
    #[error("it failed in phase {phase}: {what} is {found}, and must be {threshold}")]
    Failed { phase: Phase, what: String, found: u64, threshold: Threshold },
    #[error(
        "it lies outside the band: {figure} of phase {phase} is {found}, and {band_percent}% around the reference are {least} to {most}"
    )]
    OutsideBand { phase: Phase, figure: String, found: u64, band_percent: u64, least: u64, most: u64 },
}

/// Whether a certificate is good.
///
/// # Errors
/// The first reason why it is not, the signature's before all others: what was tampered with says nothing about itself.
pub fn verify(certificate: &Certificate, expected: &Expectations<'_>) -> Result<(), Refusal> {
    let Certificate { statement, signature } = certificate;
    if statement.version != CERTIFICATE_VERSION {
        return Err(Refusal::Version { found: statement.version });
    }
    if signature.key != *expected.key {
        return Err(Refusal::OtherKey { found: signature.key, expected: *expected.key });
    }
    let bytes = hex::decode(&signature.ed25519).map_err(|_| Refusal::Tampered)?;
    let key = UnparsedPublicKey::new(&ED25519, expected.key.0);
    key.verify(&statement.canonical(), &bytes).map_err(|_| Refusal::Tampered)?;
    for_what(statement, expected)?;
    statement.judge()?;
    match &expected.reference {
        Some(reference) => match outside_band(statement, reference).into_iter().next() {
            Some(refusal) => Err(refusal),
            None => Ok(()),
        },
        None => Ok(()),
    }
}

/// Whether it is of the time, blueprint, build and cell that are asked for.
fn for_what(statement: &Statement, expected: &Expectations<'_>) -> Result<(), Refusal> {
    let (issued, expires, now) = (statement.issued, statement.expires, expected.now);
    if issued > now.plus(CLOCK_SKEW) {
        return Err(Refusal::NotYetIssued { ahead_ms: issued.0 - now.0 });
    }
    if expires <= now {
        return Err(Refusal::Expired { ago_ms: now.0 - expires.0 });
    }
    if statement.blueprint_hash != expected.blueprint_hash {
        return Err(Refusal::OtherBlueprint {
            found_name: statement.blueprint.clone(),
            found: statement.blueprint_hash.clone(),
            expected: expected.blueprint_hash.into(),
        });
    }
    if statement.build != expected.build {
        return Err(Refusal::OtherBuild { found: statement.build.clone(), expected: expected.build.into() });
    }
    if let Some(cell) = expected.cell.filter(|cell| **cell != statement.cell) {
        return Err(Refusal::OtherCell { found: statement.cell.clone(), expected: cell.clone() });
    }
    if statement.profile < expected.profile {
        return Err(Refusal::OtherProfile { found: statement.profile, expected: expected.profile });
    }
    Ok(())
}

/// Every figure of [`BANDED`] that lies outside the band around the reference, or is missing on either side.
pub fn outside_band(statement: &Statement, reference: &Reference<'_>) -> Vec<Refusal> {
    let band_percent = reference.band_percent;
    let judged = BANDED.into_iter().filter_map(|(phase, figure)| {
        let found = statement.figure(phase, figure);
        let of = reference.statement.figure(phase, figure)?;
        let by = of.saturating_mul(band_percent) / 100;
        let (least, most) = (of.saturating_sub(by), of.saturating_add(by));
        let found = found.unwrap_or(0);
        let inside = (least..=most).contains(&found);
        (!inside).then(|| Refusal::OutsideBand { phase, figure: figure.into(), found, band_percent, least, most })
    });
    judged.collect()
}

impl Statement {
    /// The bytes that are signed.
    fn canonical(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a statement has only string keys and plain values")
    }

    /// A figure of a phase, if it was measured.
    pub fn figure(&self, phase: Phase, name: &str) -> Option<u64> {
        self.phases.iter().find(|figures| figures.phase == phase).and_then(|figures| figures.figures.get(name).copied())
    }

    /// Whether every phase was tried, and every criterion is met.
    ///
    /// # Errors
    /// The first that was not, or is not.
    pub fn judge(&self) -> Result<(), Refusal> {
        for phase in Phase::ALL {
            if !self.criteria.iter().any(|criterion| criterion.phase == phase) {
                return Err(Refusal::Incomplete { phase });
            }
        }
        let failed = self.criteria.iter().find(|criterion| !criterion.threshold.admits(criterion.found));
        failed.map_or(Ok(()), |criterion| Err(criterion.refusal()))
    }

    /// Signs it.
    pub fn sign(self, key: &SigningKey) -> Certificate {
        let ed25519 = hex::encode(key.0.sign(&self.canonical()));
        Certificate { statement: self, signature: Signature { ed25519, key: key.verifying() } }
    }
}

impl Certificate {
    /// Reads a document. That it is well formed says nothing about whether it is good: see [`verify`].
    ///
    /// # Errors
    /// Too many bytes, no JSON, or a field that is missing or not known.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() > CERTIFICATE_BYTES_MAX {
            return Err(ParseError::Large(bytes.len()));
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The document, for people too.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a certificate has only string keys and plain values");
        text.push('\n');
        text
    }
}

impl Criterion {
    /// With its verdict.
    pub fn new(phase: Phase, what: impl Into<String>, found: u64, threshold: Threshold) -> Self {
        Self { phase, what: what.into(), found, threshold, passed: threshold.admits(found) }
    }

    fn refusal(&self) -> Refusal {
        let (what, threshold) = (self.what.clone(), self.threshold);
        Refusal::Failed { phase: self.phase, what, found: self.found, threshold }
    }
}

impl Threshold {
    /// Whether a figure may be this.
    pub fn admits(self, found: u64) -> bool {
        match self {
            Self::AtLeast(least) => found >= least,
            Self::AtMost(most) => found <= most,
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
        }
    }
}

impl SigningKey {
    /// A key out of 32 random bytes, which are all there is to keep.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are a seed"))
    }

    /// As [`Self::from_seed`], from 64 hex digits.
    ///
    /// # Errors
    /// When they are not.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        parse_hex(text).map(|seed| Self::from_seed(&seed))
    }

    /// Its public half.
    pub fn verifying(&self) -> VerifyingKey {
        let bytes = self.0.public_key().as_ref().try_into().expect("a public key has 32 bytes");
        VerifyingKey(bytes)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {})", self.verifying())
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for VerifyingKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        parse_hex(text).map(Self)
    }
}

impl TryFrom<String> for VerifyingKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<VerifyingKey> for String {
    fn from(key: VerifyingKey) -> Self {
        key.to_string()
    }
}

fn parse_hex(text: &str) -> Result<[u8; 32], KeyError> {
    let bytes = hex::decode(text.trim()).map_err(|_| KeyError)?;
    bytes.try_into().map_err(|_| KeyError)
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;

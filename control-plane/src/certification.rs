//! Who certifies here, and whether a cell may do without: the gate with its key and its configuration.

use crate::{
    domain::gate::{self, Admitted, Demand, GateError},
    store::{
        read,
        record::{Cell, Vouched},
    },
};
use bulkhead_model::{CellId, SigningKey, VerifyingKey, certificate::Statement, certification::Certification};
use bulkhead_replica::{Reader, StoreError};
use bulkhead_service::{
    config::{self, ConfigError},
    env::Clock,
};
use serde::Deserialize;
use std::path::PathBuf;

/// The only blueprint whose cells may take accounts without a certificate, where the configuration says so: it holds nobody's data.
pub const WAIVABLE: &str = "dev";

/// The `[certification]` table of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificationConfig {
    /// Holds the seed of the key that certificates are signed with: 64 hex digits.
    pub key_file: PathBuf,
    /// Cells of the blueprint `dev` take accounts without a certificate. For tests that start many clusters; shown wherever a cell is.
    #[serde(default)]
    pub waived: bool,
}

/// The gate of this control plane. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Certifier {
    key: VerifyingKey,
    waived: bool,
    clock: Clock,
}

impl Certifier {
    /// Reads the key.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(config: &CertificationConfig, clock: Clock) -> Result<Self, ConfigError> {
        let key = SigningKey::from_seed(&config::read_key(&config.key_file)?).verifying();
        Ok(Self { key, waived: config.waived, clock })
    }

    /// The same with a key that is at hand.
    pub fn with_key(key: VerifyingKey, waived: bool, clock: Clock) -> Self {
        Self { key, waived, clock }
    }

    /// Whose certificates hold here.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Whether any cell may do without.
    pub fn waives_any(&self) -> bool {
        self.waived
    }

    /// Whether cells of a blueprint may do without.
    pub fn waives(&self, blueprint: &str) -> bool {
        self.waived && blueprint == WAIVABLE
    }

    /// Judges a document that is to vouch for a cell.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn judge(
        &self,
        view: &dyn Reader,
        id: &CellId,
        cell: &Cell,
        certification: &Certification,
        document: &[u8],
        build: &str,
    ) -> Result<Result<Admitted, GateError>, StoreError> {
        let reference = reference(view, id, &cell.blueprint_hash, build)?;
        let demand = Demand {
            cell: id,
            blueprint_hash: &cell.blueprint_hash,
            certification,
            build,
            now: self.clock.wall(),
            key: &self.key,
            reference: reference.as_ref(),
        };
        Ok(gate::admit(document, &demand))
    }

    /// Why nothing vouches for a cell that was opened; `None` when something does. `build` is what its nodes run, if it is known.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn unvouched(
        &self,
        view: &dyn Reader,
        id: &CellId,
        cell: &Cell,
        build: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let certified = match &cell.more.vouched {
            Vouched::Nothing => return Ok(Some("it has no certificate".into())),
            Vouched::Waived if self.waives(&cell.blueprint) => return Ok(None),
            Vouched::Waived => return Ok(Some("it has no certificate, and the configuration waives none".into())),
            Vouched::By(certified) => certified,
        };
        let Some(record) = read::certificate(view, id)? else {
            return Ok(Some("its certificate is not there".into()));
        };
        // Its figures were judged when it came; what changes with time is judged again, the signature too.
        let certification =
            Certification { profile: bulkhead_model::certification::Profile::Quick, ..Certification::default() };
        let demand = Demand {
            cell: id,
            blueprint_hash: &cell.blueprint_hash,
            certification: &certification,
            build: build.unwrap_or(&certified.build),
            now: self.clock.wall(),
            key: &self.key,
            reference: None,
        };
        Ok(gate::admit(record.document.as_bytes(), &demand).err().map(|error| error.to_string()))
    }
}

/// The certificate that a blueprint's cells are compared with: the oldest of a cell of the same blueprint and build.
fn reference(
    view: &dyn Reader,
    id: &CellId,
    blueprint_hash: &str,
    build: &str,
) -> Result<Option<Statement>, StoreError> {
    let mut oldest: Option<(bulkhead_model::Timestamp, CellId)> = None;
    for (other, cell) in read::cells(view)? {
        let Vouched::By(certified) = &cell.more.vouched else { continue };
        let is_like = other != *id && certified.blueprint_hash == blueprint_hash && certified.build == build;
        if is_like && oldest.as_ref().is_none_or(|(issued, _)| certified.issued < *issued) {
            oldest = Some((certified.issued, other));
        }
    }
    let Some((_, other)) = oldest else { return Ok(None) };
    Ok(read::certificate(view, &other)?.and_then(|record| gate::reference(&record.document)))
}

//! A database in memory, for simulations: what is not synced survives a crash only in part.
//!
//! ```text
//! dir/STATE   the whole state when this is, or began as, a checkpoint; immutable
//! dir/LIVE    which of the disk's databases has the writes since then
//! ```

use super::{
    AppliedState,
    database::{APPLIED, MEMBERSHIP, OWN, VERSION, decode, encode},
    engine::Make,
    files::Doomed,
};
use crate::{
    machine::{Family, Mutation, Reader, StoreError},
    memory::{MemoryDisk, MemoryStore},
    types::{LogId, StoredMembership},
    version::BASE,
};
use parking_lot::RwLock;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

const STATE: &str = "STATE";
const LIVE: &str = "LIVE";
/// This crate's own family, behind all of a machine's.
const OWN_FAMILY: Family = Family { index: u8::MAX, name: OWN, large_values: false };

/// An open database in memory.
pub(crate) struct MemoryDatabase {
    live: RwLock<Arc<MemoryStore>>,
    number: u64,
    disk: MemoryDisk,
    dir: Doomed,
}

impl MemoryDatabase {
    /// Opens what `disk` has kept of the database in `dir`, or begins it with the checkpoint that lies there. An absent one is
    /// made, if that `may` be.
    pub fn open(dir: PathBuf, disk: &MemoryDisk, may: Make) -> Result<Self, StoreError> {
        let kept = fs::read_to_string(dir.join(LIVE)).ok().and_then(|text| text.parse().ok());
        let number = match kept {
            Some(number) => number,
            None if may == Make::Nothing && !Self::is_in(&dir) => {
                return Err(corrupt(format!("there is no database in {}", dir.display())));
            }
            None => {
                fs::create_dir_all(&dir).map_err(|error| failed(&dir, &error))?;
                let base = if Self::is_in(&dir) { load(&dir)? } else { MemoryStore::default() };
                let number = disk.begin(base);
                fs::write(dir.join(LIVE), number.to_string()).map_err(|error| failed(&dir, &error))?;
                number
            }
        };
        let live = disk.found(number).ok_or_else(|| corrupt(format!("database {number} is not on the disk")))?;
        Ok(Self { live: RwLock::new(Arc::new(live)), number, disk: disk.clone(), dir: Doomed::new(dir) })
    }

    /// Whether a database in memory left a checkpoint in `dir`.
    pub fn is_in(dir: &Path) -> bool {
        dir.join(STATE).exists()
    }

    /// What a checkpoint in `dir` has applied.
    pub fn peek(dir: &Path) -> Result<AppliedState, StoreError> {
        applied(&load(dir)?)
    }

    /// The state as it is now.
    pub fn now(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.live.read())
    }

    pub fn doom(&self) {
        self.dir.doom();
    }

    pub fn applied(&self) -> Result<AppliedState, StoreError> {
        applied(&self.live.read())
    }

    pub fn sync(&self) {
        self.disk.sync_database(self.number);
    }

    pub fn checkpoint(&self, dir: &Path) -> Result<(), StoreError> {
        let state = postcard::to_stdvec(&*self.now()).map_err(|error| corrupt(error.to_string()))?;
        fs::create_dir(dir).and_then(|()| fs::write(dir.join(STATE), state)).map_err(|error| failed(dir, &error))
    }

    pub fn commit(
        &self,
        mut batch: Vec<Mutation>,
        last: &LogId,
        membership: Option<&StoredMembership>,
        version: Option<u8>,
    ) -> Result<(), StoreError> {
        let own = |key: &[u8], value| Mutation::Put { family: OWN_FAMILY, key: key.to_vec(), value };
        batch.push(own(APPLIED, encode(last)?));
        if let Some(membership) = membership {
            batch.push(own(MEMBERSHIP, encode(membership)?));
        }
        if let Some(version) = version {
            batch.push(own(VERSION, encode(&version)?));
        }
        Arc::make_mut(&mut self.live.write()).write(batch.clone());
        self.disk.write(self.number, batch);
        Ok(())
    }
}

fn load(dir: &Path) -> Result<MemoryStore, StoreError> {
    let bytes = fs::read(dir.join(STATE)).map_err(|error| failed(dir, &error))?;
    postcard::from_bytes(&bytes).map_err(|error| corrupt(error.to_string()))
}

fn applied(store: &MemoryStore) -> Result<AppliedState, StoreError> {
    let last = store.get(OWN_FAMILY, APPLIED)?;
    let membership = store.get(OWN_FAMILY, MEMBERSHIP)?;
    let version = store.get(OWN_FAMILY, VERSION)?;
    Ok(AppliedState {
        last: last.map(|bytes| decode("the applied log id", &bytes)).transpose()?,
        membership: membership.map(|bytes| decode("the membership", &bytes)).transpose()?.unwrap_or_default(),
        version: version.map(|bytes| decode("the group's version", &bytes)).transpose()?.unwrap_or(BASE),
    })
}

fn corrupt(why: String) -> StoreError {
    StoreError::Corrupt { what: "a database in memory", why }
}

fn failed(dir: &Path, error: &io::Error) -> StoreError {
    StoreError::Store(format!("{}: {error}", dir.display()))
}

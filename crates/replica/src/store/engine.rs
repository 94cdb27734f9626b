//! The database a state lies in: RocksDB, or memory in a simulation.

use super::{AppliedState, View, database::Rocks, memory::MemoryDatabase};
use crate::{
    machine::{Cursor, Family, Mutation, Reader, StoreError},
    medium::Medium,
    types::{LogId, StoredMembership},
};
use bytes::Bytes;
use rocksdb::WriteBatch;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// One open database.
pub(crate) enum Database {
    Rocks(Arc<Rocks>),
    Memory(MemoryDatabase),
}

/// What may be done about a database that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    /// An empty one is made in its place: its node begins its life.
    Absent,
    /// It is an error. Its commands may be in no log any more.
    Nothing,
}

/// Changes that are written all or none.
pub(crate) enum Batch {
    Rocks(WriteBatch),
    Memory(Vec<Mutation>),
}

impl Database {
    /// Opens the database in `dir`. An absent one is made, if that `may` be.
    pub fn open(
        dir: PathBuf,
        families: &[Family],
        cache_bytes: usize,
        medium: &Medium,
        may: Make,
    ) -> Result<Self, StoreError> {
        match medium {
            Medium::Files => Ok(Self::Rocks(Arc::new(Rocks::open(dir, families, cache_bytes, may)?))),
            Medium::Memory(disk) => Ok(Self::Memory(MemoryDatabase::open(dir, disk, may)?)),
        }
    }

    /// What a checkpoint in `dir` has applied. The checkpoint is not changed.
    pub fn peek(dir: &Path, families: &[Family]) -> Result<AppliedState, StoreError> {
        if MemoryDatabase::is_in(dir) { MemoryDatabase::peek(dir) } else { Rocks::peek(dir, families) }
    }

    /// The files go when the last reader goes.
    pub fn doom(&self) {
        match self {
            Self::Rocks(rocks) => rocks.doom(),
            Self::Memory(memory) => memory.doom(),
        }
    }

    /// What is applied in here.
    pub fn applied(&self) -> Result<AppliedState, StoreError> {
        match self {
            Self::Rocks(rocks) => rocks.applied(),
            Self::Memory(memory) => memory.applied(),
        }
    }

    /// Puts everything written so far on stable storage.
    pub fn sync(&self) -> Result<(), StoreError> {
        match self {
            Self::Rocks(rocks) => rocks.sync(),
            Self::Memory(memory) => {
                memory.sync();
                Ok(())
            }
        }
    }

    /// Writes a consistent copy of this database to `dir`, which must not exist.
    pub fn checkpoint(&self, dir: &Path) -> Result<(), StoreError> {
        match self {
            Self::Rocks(rocks) => rocks.checkpoint(dir),
            Self::Memory(memory) => memory.checkpoint(dir),
        }
    }

    /// No changes yet.
    pub fn batch(&self) -> Batch {
        match self {
            Self::Rocks(_) => Batch::Rocks(WriteBatch::default()),
            Self::Memory(_) => Batch::Memory(Vec::new()),
        }
    }

    /// Adds a change to a batch.
    pub fn put(&self, batch: &mut Batch, family: Family, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        match (self, batch) {
            (Self::Rocks(rocks), Batch::Rocks(batch)) => rocks.put(batch, family, key, value),
            (Self::Memory(_), Batch::Memory(batch)) => {
                batch.push(Mutation::Put { family, key: key.to_vec(), value: value.to_vec() });
                Ok(())
            }
            (Self::Rocks(_), Batch::Memory(_)) | (Self::Memory(_), Batch::Rocks(_)) => Err(foreign()),
        }
    }

    /// Adds a deletion to a batch.
    pub fn delete(&self, batch: &mut Batch, family: Family, key: &[u8]) -> Result<(), StoreError> {
        match (self, batch) {
            (Self::Rocks(rocks), Batch::Rocks(batch)) => rocks.delete(batch, family, key),
            (Self::Memory(_), Batch::Memory(batch)) => {
                batch.push(Mutation::Delete { family, key: key.to_vec() });
                Ok(())
            }
            (Self::Rocks(_), Batch::Memory(_)) | (Self::Memory(_), Batch::Rocks(_)) => Err(foreign()),
        }
    }

    /// Completes a batch with what it makes applied, and writes it.
    pub fn commit(
        &self,
        batch: Batch,
        last: &LogId,
        membership: Option<&StoredMembership>,
        version: Option<u8>,
    ) -> Result<(), StoreError> {
        match (self, batch) {
            (Self::Rocks(rocks), Batch::Rocks(batch)) => rocks.commit(batch, last, membership, version),
            (Self::Memory(memory), Batch::Memory(batch)) => memory.commit(batch, last, membership, version),
            (Self::Rocks(_), Batch::Memory(_)) | (Self::Memory(_), Batch::Rocks(_)) => Err(foreign()),
        }
    }
}

fn foreign() -> StoreError {
    StoreError::Store("a batch of another database".into())
}

impl Reader for Database {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self {
            Self::Rocks(rocks) => rocks.get(family, key),
            Self::Memory(memory) => memory.now().get(family, key),
        }
    }

    fn cursor(&self, family: Family) -> Box<dyn Cursor + '_> {
        match self {
            Self::Rocks(rocks) => rocks.cursor(family),
            Self::Memory(_) => Box::new(Walk { view: View::of(self), family, entry: None }),
        }
    }
}

/// Steps through one family of a state that it keeps.
struct Walk {
    view: View,
    family: Family,
    entry: Option<(Vec<u8>, Vec<u8>)>,
}

impl Walk {
    fn go(&mut self, to: &[u8]) -> Result<(), StoreError> {
        let mut cursor = self.view.cursor(self.family);
        cursor.seek(to)?;
        self.entry = cursor.entry().map(|(key, value)| (key.to_vec(), value.to_vec()));
        Ok(())
    }
}

impl Cursor for Walk {
    fn seek(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.go(key)
    }

    fn entry(&self) -> Option<(&[u8], &[u8])> {
        self.entry.as_ref().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    fn advance(&mut self) -> Result<(), StoreError> {
        let Some((mut key, _)) = self.entry.take() else { return Ok(()) };
        // The first key after this one.
        key.push(0);
        self.go(&key)
    }
}

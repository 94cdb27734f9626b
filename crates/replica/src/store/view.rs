//! An immutable state that keeps its database open.

use super::{
    Database,
    database::{Rocks, RocksCursor, failed, handle},
};
use crate::{
    machine::{Cursor, Family, Reader, StoreError},
    memory::MemoryStore,
};
use bytes::Bytes;
use rocksdb::{ReadOptions, Snapshot};
use std::sync::Arc;

use owned::Owned;

/// A snapshot and the database it is of, in one value.
#[expect(clippy::disallowed_methods, clippy::mem_forget, reason = "the macro's own code")]
mod owned {
    use super::{Arc, Rocks, Snapshot};

    self_cell::self_cell!(
        pub(super) struct Owned {
            owner: Arc<Rocks>,
            #[covariant]
            dependent: Snapshot,
        }
    );
}

/// An immutable state at one applied index. Cheap; holds back the deletion of what it shows, so do not keep it for long.
pub struct View(Shown);

enum Shown {
    Rocks(Owned),
    Memory(Arc<MemoryStore>),
}

impl View {
    pub(super) fn of(database: &Database) -> Self {
        Self(match database {
            Database::Rocks(rocks) => Shown::Rocks(Owned::new(Arc::clone(rocks), |rocks| rocks.db().snapshot())),
            Database::Memory(memory) => Shown::Memory(memory.now()),
        })
    }
}

impl Reader for View {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match &self.0 {
            Shown::Rocks(owned) => {
                let handle = handle(owned.borrow_owner().db(), family.name)?;
                let value = owned.borrow_dependent().get_cf(handle, key).map_err(failed)?;
                Ok(value.map(Bytes::from))
            }
            Shown::Memory(memory) => memory.get(family, key),
        }
    }

    fn cursor(&self, family: Family) -> Box<dyn Cursor + '_> {
        match &self.0 {
            Shown::Rocks(owned) => {
                let snapshot = owned.borrow_dependent();
                let steps = handle(owned.borrow_owner().db(), family.name)
                    .map(|handle| snapshot.raw_iterator_cf_opt(handle, ReadOptions::default()));
                Box::new(RocksCursor { steps, family })
            }
            Shown::Memory(memory) => memory.cursor(family),
        }
    }
}

//! An immutable state that keeps its database open.

use super::database::{Database, RocksCursor, failed, handle};
use crate::machine::{Cursor, Family, Reader, StoreError};
use bytes::Bytes;
use rocksdb::{ReadOptions, Snapshot};
use std::sync::Arc;

use owned::Owned;

/// A snapshot and the database it is of, in one value.
#[expect(clippy::disallowed_methods, clippy::mem_forget, reason = "the macro's own code")]
mod owned {
    use super::{Arc, Database, Snapshot};

    self_cell::self_cell!(
        pub(super) struct Owned {
            owner: Arc<Database>,
            #[covariant]
            dependent: Snapshot,
        }
    );
}

/// An immutable state at one applied index. Cheap; holds back the deletion of what it shows, so do not keep it for long.
pub struct View(Owned);

impl View {
    pub(super) fn of(database: Arc<Database>) -> Self {
        Self(Owned::new(database, |database| database.rocks().snapshot()))
    }
}

impl Reader for View {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let handle = handle(self.0.borrow_owner().rocks(), family.name)?;
        let value = self.0.borrow_dependent().get_cf(handle, key).map_err(failed)?;
        Ok(value.map(Bytes::from))
    }

    fn cursor(&self, family: Family) -> Box<dyn Cursor + '_> {
        let snapshot = self.0.borrow_dependent();
        let steps = handle(self.0.borrow_owner().rocks(), family.name)
            .map(|handle| snapshot.raw_iterator_cf_opt(handle, ReadOptions::default()));
        Box::new(RocksCursor { steps, family })
    }
}

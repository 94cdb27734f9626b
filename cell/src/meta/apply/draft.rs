//! The changes of one command while it is being decided. Lookups see them; cursors see the state before the command.

use crate::meta::{
    bookkeeping::CellState,
    format::{self, Record},
    keys::{self, Row},
    record::BlobId,
};
use bulkhead_model::{Timestamp, blueprint::Capacity};
use bulkhead_replica::{Cursor, Family, Mutation, Reader, StoreError};
use std::collections::BTreeMap;

/// One command's changes. Kept in the order of families and keys, so that equal decisions give equal mutations.
pub(super) struct Draft<'a> {
    view: &'a dyn Reader,
    /// `None` deletes.
    writes: BTreeMap<(Family, Vec<u8>), Option<Vec<u8>>>,
    pub cell: CellState,
    pub capacity: &'a Capacity,
}

impl<'a> Draft<'a> {
    pub fn new(view: &'a dyn Reader, cell: CellState, capacity: &'a Capacity) -> Self {
        Self { view, writes: BTreeMap::new(), cell, capacity }
    }

    /// The time of this command: never before that of an earlier one.
    pub fn time(&self) -> Timestamp {
        self.cell.time
    }

    pub fn get<T: Record>(&self, row: &Row<T>) -> Result<Option<T>, StoreError> {
        match self.writes.get(&(row.family, row.key.clone())) {
            Some(Some(value)) => Ok(Some(format::decode(value)?)),
            Some(None) => Ok(None),
            None => row.get(self.view),
        }
    }

    pub fn put<T: Record>(&mut self, row: Row<T>, value: &T) {
        self.writes.insert((row.family, row.key), Some(format::encode(value)));
    }

    pub fn delete<T: Record>(&mut self, row: Row<T>) {
        self.writes.insert((row.family, row.key), None);
    }

    /// Deletes a row whose key came from a cursor.
    pub fn delete_at(&mut self, family: Family, key: Vec<u8>) {
        self.writes.insert((family, key), None);
    }

    pub fn put_body(&mut self, blob: BlobId, body: &[u8]) {
        self.writes.insert((keys::inline::FAMILY, keys::inline::key(blob)), Some(format::encode_body(body)));
    }

    pub fn delete_body(&mut self, blob: BlobId) {
        self.delete_at(keys::inline::FAMILY, keys::inline::key(blob));
    }

    /// A cursor over the state before this command. It outlives borrows of the draft.
    pub fn cursor(&self, family: Family) -> Box<dyn Cursor + 'a> {
        self.view.cursor(family)
    }

    pub fn into_mutations(mut self) -> Vec<Mutation> {
        let cell = std::mem::take(&mut self.cell);
        self.put(keys::meta::cell(), &cell);
        let change = |((family, key), value)| match value {
            Some(value) => Mutation::Put { family, key, value },
            None => Mutation::Delete { family, key },
        };
        self.writes.into_iter().map(change).collect()
    }
}

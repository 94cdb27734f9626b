//! An ordered store in memory: the state of tests and simulations, with the same [`Reader`] as RocksDB.
//!
//! [`MemoryDisk`] is what such a store and a Raft log in memory lie on: it knows what was synced, and loses the rest in a crash.

mod disk;
mod log;
#[cfg(test)]
mod tests;

pub use disk::{Counts, MemoryDisk};
pub(crate) use log::MemoryLog;

use crate::machine::{Cursor, Family, Mutation, Reader, StoreError};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, btree_map::Range},
    ops::Bound,
};

type Map = BTreeMap<Vec<u8>, Bytes>;

/// Column families as maps. A family that was never written is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStore {
    families: BTreeMap<u8, Map>,
    #[serde(skip)]
    empty: Map,
}

impl MemoryStore {
    /// Applies mutations in order.
    pub fn write(&mut self, mutations: Vec<Mutation>) {
        for mutation in mutations {
            match mutation {
                Mutation::Put { family, key, value } => {
                    self.families.entry(family.index).or_default().insert(key, value.into());
                }
                Mutation::Delete { family, key } => {
                    self.families.entry(family.index).or_default().remove(&key);
                }
            }
        }
    }

    /// The number of entries in a family.
    pub fn len(&self, family: Family) -> usize {
        self.map(family).len()
    }

    /// Whether a family has no entry.
    pub fn is_empty(&self, family: Family) -> bool {
        self.len(family) == 0
    }

    fn map(&self, family: Family) -> &Map {
        self.families.get(&family.index).unwrap_or(&self.empty)
    }
}

impl Reader for MemoryStore {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.map(family).get(key).cloned())
    }

    fn cursor(&self, family: Family) -> Box<dyn Cursor + '_> {
        Box::new(MemoryCursor { map: self.map(family), rest: None, entry: None })
    }
}

struct MemoryCursor<'a> {
    map: &'a Map,
    rest: Option<Range<'a, Vec<u8>, Bytes>>,
    entry: Option<(&'a Vec<u8>, &'a Bytes)>,
}

impl Cursor for MemoryCursor<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.rest = Some(self.map.range::<[u8], _>((Bound::Included(key), Bound::Unbounded)));
        self.advance()
    }

    fn entry(&self) -> Option<(&[u8], &[u8])> {
        self.entry.map(|(key, value)| (key.as_slice(), value.as_ref()))
    }

    fn advance(&mut self) -> Result<(), StoreError> {
        self.entry = self.rest.as_mut().and_then(Iterator::next);
        Ok(())
    }
}

//! An ordered store in memory: the state of tests and simulations, with the same [`Reader`] as RocksDB.

use crate::machine::{Cursor, Family, Mutation, Reader, StoreError};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, btree_map::Range},
    ops::Bound,
};

type Map = BTreeMap<Vec<u8>, Bytes>;

/// Column families as maps. A family that was never written is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryStore {
    families: BTreeMap<u8, Map>,
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

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILY: Family = Family { index: 0, name: "f", large_values: false };

    fn put(key: &str) -> Mutation {
        Mutation::Put { family: FAMILY, key: key.into(), value: key.into() }
    }

    #[test]
    fn a_cursor_walks_in_byte_order_from_where_it_was_put() {
        let mut store = MemoryStore::default();
        store.write(vec![put("c"), put("a"), put("b"), Mutation::Delete { family: FAMILY, key: b"c".to_vec() }]);
        let mut cursor = store.cursor(FAMILY);
        assert_eq!(cursor.entry(), None);
        cursor.seek(b"aa").expect("memory");
        assert_eq!(cursor.entry(), Some((&b"b"[..], &b"b"[..])));
        cursor.advance().expect("memory");
        assert_eq!(cursor.entry(), None);
        cursor.seek(b"").expect("memory");
        assert_eq!(cursor.entry(), Some((&b"a"[..], &b"a"[..])));
    }
}

//! The state as the commands of one batch have changed it so far, before any of it is written.
//!
//! Commands of a batch see what earlier commands did; the database sees the batch as one write.

use crate::machine::{Cursor, Family, Mutation, Reader, StoreError};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, btree_map::Range},
    iter::Peekable,
    ops::Bound,
};

/// Per key its new value, or `None` when it was deleted.
type Changes = BTreeMap<Vec<u8>, Option<Bytes>>;

/// Changes over a base. Grows until it is dropped: one batch.
pub(crate) struct Overlay<'a> {
    base: &'a dyn Reader,
    families: BTreeMap<u8, Changes>,
    nothing: Changes,
}

impl<'a> Overlay<'a> {
    /// No changes yet.
    pub fn new(base: &'a dyn Reader) -> Self {
        Self { base, families: BTreeMap::new(), nothing: Changes::new() }
    }

    /// Adds changes, in order.
    pub fn add(&mut self, mutations: Vec<Mutation>) {
        for mutation in mutations {
            let (family, key, value) = match mutation {
                Mutation::Put { family, key, value } => (family, key, Some(Bytes::from(value))),
                Mutation::Delete { family, key } => (family, key, None),
            };
            self.families.entry(family.index).or_default().insert(key, value);
        }
    }

    fn changes(&self, family: Family) -> &Changes {
        self.families.get(&family.index).unwrap_or(&self.nothing)
    }
}

impl Reader for Overlay<'_> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.changes(family).get(key) {
            Some(change) => Ok(change.clone()),
            None => self.base.get(family, key),
        }
    }

    fn cursor(&self, family: Family) -> Box<dyn Cursor + '_> {
        let base = self.base.cursor(family);
        Box::new(Merged { base, changes: self.changes(family), ahead: None, on: On::Nothing })
    }
}

/// Where the merged entry lies.
enum On {
    Nothing,
    Base,
    Change,
}

struct Merged<'a> {
    base: Box<dyn Cursor + 'a>,
    changes: &'a Changes,
    ahead: Option<Peekable<Range<'a, Vec<u8>, Option<Bytes>>>>,
    on: On,
}

impl<'a> Merged<'a> {
    fn change(&mut self) -> Option<(&'a Vec<u8>, &'a Option<Bytes>)> {
        self.ahead.as_mut().and_then(|ahead| ahead.peek().copied())
    }

    fn pass_change(&mut self) {
        if let Some(ahead) = &mut self.ahead {
            ahead.next();
        }
    }

    /// Finds the next entry from where both sides stand: a change hides the base's entry of the same key.
    fn settle(&mut self) -> Result<(), StoreError> {
        loop {
            let change = self.change();
            let base = self.base.entry().map(|(key, _)| key);
            self.on = match (change, base) {
                (None, None) => On::Nothing,
                (None, Some(_)) => On::Base,
                (Some((key, _)), Some(base)) if base < key.as_slice() => On::Base,
                (Some((key, _)), Some(base)) if base == key.as_slice() => {
                    self.base.advance()?;
                    continue;
                }
                (Some((_, None)), _) => {
                    self.pass_change();
                    continue;
                }
                (Some((_, Some(_))), _) => On::Change,
            };
            return Ok(());
        }
    }
}

impl Cursor for Merged<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.base.seek(key)?;
        self.ahead = Some(self.changes.range::<[u8], _>((Bound::Included(key), Bound::Unbounded)).peekable());
        self.settle()
    }

    fn entry(&self) -> Option<(&[u8], &[u8])> {
        match self.on {
            On::Nothing => None,
            On::Base => self.base.entry(),
            On::Change => {
                // Peeking needs `&mut`; a clone of the range is two pointers.
                let (key, value) = self.ahead.clone()?.next()?;
                Some((key, value.as_ref()?))
            }
        }
    }

    fn advance(&mut self) -> Result<(), StoreError> {
        match self.on {
            On::Nothing => return Ok(()),
            On::Base => self.base.advance()?,
            On::Change => self.pass_change(),
        }
        self.settle()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryStore;
    use proptest::prelude::*;

    const FAMILY: Family = Family { index: 0, name: "f", large_values: false };

    fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
        let key = prop::collection::vec(0_u8..4, 0..3);
        let one = (key, prop::option::of(any::<u8>())).prop_map(|(key, value)| match value {
            Some(value) => Mutation::Put { family: FAMILY, key, value: vec![value] },
            None => Mutation::Delete { family: FAMILY, key },
        });
        prop::collection::vec(one, 0..24)
    }

    fn walk(reader: &dyn Reader, from: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut cursor = reader.cursor(FAMILY);
        cursor.seek(from).expect("memory");
        let mut found = Vec::new();
        while let Some((key, value)) = cursor.entry() {
            found.push((key.to_vec(), value.to_vec()));
            cursor.advance().expect("memory");
        }
        cursor.advance().expect("past the end");
        assert_eq!(cursor.entry(), None);
        found
    }

    proptest! {
        #[test]
        fn an_overlay_reads_like_a_store_that_was_written(
            written in mutations(),
            pending in prop::collection::vec(mutations(), 0..3),
            from in prop::collection::vec(0_u8..4, 0..3),
        ) {
            let mut base = MemoryStore::default();
            base.write(written);
            let mut expected = base.clone();
            let mut overlay = Overlay::new(&base);
            for batch in pending {
                expected.write(batch.clone());
                overlay.add(batch);
                prop_assert_eq!(walk(&overlay, &from), walk(&expected, &from));
                for (key, _) in walk(&expected, b"") {
                    prop_assert_eq!(overlay.get(FAMILY, &key).expect("memory"), expected.get(FAMILY, &key).expect("memory"));
                }
                prop_assert_eq!(overlay.get(FAMILY, &from).expect("memory"), expected.get(FAMILY, &from).expect("memory"));
            }
        }
    }
}

//! The families of the index and the keys in them: one file per family, which alone knows its keys' bytes.
//!
//! Numbers in keys are big-endian, so that byte order is number order. A [`Row`] ties a key to the type of its value.

pub mod accounts;
pub mod blobs;
pub mod buckets;
pub mod credentials;
pub mod garbage;
pub mod inline;
pub mod meta;
pub mod objects;
pub mod outbox;
pub mod parts;
pub mod replays;
pub mod uploads;
pub mod versions;

use super::format::{self, Record};
use bulkhead_replica::{Cursor, Family, Reader, StoreError};
use std::marker::PhantomData;

/// All families, each at its index. An index, once released, is never given to another family.
pub static FAMILIES: [Family; 13] = [
    accounts::FAMILY,
    credentials::FAMILY,
    buckets::FAMILY,
    objects::FAMILY,
    versions::FAMILY,
    uploads::FAMILY,
    parts::FAMILY,
    blobs::FAMILY,
    garbage::FAMILY,
    replays::FAMILY,
    outbox::FAMILY,
    inline::FAMILY,
    meta::FAMILY,
];

/// Where one value of type `T` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<T> {
    pub family: Family,
    pub key: Vec<u8>,
    value: PhantomData<fn() -> T>,
}

impl<T: Record> Row<T> {
    pub(super) fn new(family: Family, key: Vec<u8>) -> Self {
        Self { family, key, value: PhantomData }
    }

    /// The value in `reader`.
    ///
    /// # Errors
    /// When the store cannot be read or the value does not decode.
    pub fn get<R: Reader + ?Sized>(&self, reader: &R) -> Result<Option<T>, StoreError> {
        let bytes = reader.get(self.family, &self.key)?;
        Ok(bytes.map(|bytes| format::decode(&bytes)).transpose()?)
    }
}

/// The entry under `cursor` if its key begins with `prefix`: the rest of the key, and the value.
pub fn within<'c>(cursor: &'c dyn Cursor, prefix: &[u8]) -> Option<(&'c [u8], &'c [u8])> {
    let (key, value) = cursor.entry()?;
    Some((key.strip_prefix(prefix)?, value))
}

/// The first byte string after all those that begin with `prefix`; `None` when there is no such.
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

/// The big-endian `u64` at the front of a key, and the rest.
///
/// # Errors
/// When the key is shorter.
fn take_u64<'k>(what: &'static str, key: &'k [u8]) -> Result<(u64, &'k [u8]), StoreError> {
    let (number, rest) = key.split_first_chunk().ok_or_else(|| short(what))?;
    Ok((u64::from_be_bytes(*number), rest))
}

fn short(what: &'static str) -> StoreError {
    StoreError::Corrupt { what, why: "its key is too short".into() }
}

fn text(what: &'static str, bytes: &[u8]) -> Result<String, StoreError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(StoreError::Corrupt { what, why: error.to_string() }),
    }
}

/// Object keys inside a longer key: their end must be told, and byte order must stay the order of the object keys. A zero
/// byte becomes `00 FF`, the end is `00 01`.
mod escaped {
    use bulkhead_replica::StoreError;

    const ZERO: [u8; 2] = [0, 0xFF];
    const END: [u8; 2] = [0, 1];

    /// Appends `key` without an end: the front of every escaped key that begins with `key`.
    pub fn push_open(to: &mut Vec<u8>, key: &str) {
        for &byte in key.as_bytes() {
            if byte == 0 { to.extend_from_slice(&ZERO) } else { to.push(byte) }
        }
    }

    /// Appends `key` and its end.
    pub fn push(to: &mut Vec<u8>, key: &str) {
        push_open(to, key);
        to.extend_from_slice(&END);
    }

    /// Reads an escaped key; returns it and what follows its end.
    pub fn take<'k>(what: &'static str, from: &'k [u8]) -> Result<(String, &'k [u8]), StoreError> {
        let mut key = Vec::with_capacity(from.len());
        let mut rest = from;
        loop {
            match rest {
                [0, 1, tail @ ..] => return Ok((super::text(what, &key)?, tail)),
                [0, 0xFF, tail @ ..] => {
                    key.push(0);
                    rest = tail;
                }
                [byte, tail @ ..] if *byte != 0 => {
                    key.push(*byte);
                    rest = tail;
                }
                [] | [_, ..] => return Err(super::short(what)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_at_its_index_and_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), FAMILIES.len());
        for (at, family) in FAMILIES.iter().enumerate() {
            assert_eq!(usize::from(family.index), at, "{}", family.name);
        }
    }

    #[test]
    fn the_end_of_a_prefix_is_the_first_key_that_no_longer_has_it() {
        for (prefix, end) in
            [(&b"a/"[..], Some(b"a0".to_vec())), (b"a\xFF", Some(b"b".to_vec())), (b"\xFF\xFF", None), (b"", None)]
        {
            assert_eq!(after_prefix(prefix), end, "{prefix:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn escaped_keys_keep_the_order_of_object_keys(a in "[\u{0}ab\u{10FFFF}]{0,6}", b in "[\u{0}ab\u{10FFFF}]{0,6}") {
            let escape = |key: &str| { let mut to = Vec::new(); escaped::push(&mut to, key); to };
            proptest::prop_assert_eq!(escape(&a).cmp(&escape(&b)), a.as_bytes().cmp(b.as_bytes()));
            let mut long = escape(&a);
            long.push(7);
            proptest::prop_assert_eq!(escaped::take("a key", &long).expect("its own bytes"), (a, &[7][..]));
        }
    }
}

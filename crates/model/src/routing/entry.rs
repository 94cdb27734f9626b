//! Entries of a [`super::packed::Packed`] map as bytes: length of the key, key, length of the value, value.
//!
//! Part of a stored form: what is written here is read by later builds. Nothing that was read from outside is trusted before
//! [`check`] has seen it.

use super::{Home, packed::SHARDS};
use crate::{AccessKeyId, AccountId, Epoch};
use std::collections::BTreeMap;

/// Why stored bytes are no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// The bytes of what is looked up.
pub trait Packable {
    fn with_bytes<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R;
}

/// The bytes of a key that is kept.
pub trait PackedKey: Packable + Sized {
    /// The key with these bytes; `None` when there is none.
    fn unpack(bytes: &[u8]) -> Option<Self>;
}

/// The bytes of a value.
pub trait PackedValue: Sized {
    fn pack(&self, into: &mut Vec<u8>);

    /// The value with these bytes; `None` when there is none.
    fn unpack(bytes: &[u8]) -> Option<Self>;
}

/// Ids have twelve digits: five bytes hold them.
const ACCOUNT_BYTES: usize = 5;

fn account_bytes(account: AccountId) -> [u8; ACCOUNT_BYTES] {
    let [_, _, _, bytes @ ..] = account.value().to_be_bytes();
    bytes
}

fn account_of(bytes: &[u8]) -> Option<AccountId> {
    let bytes: [u8; ACCOUNT_BYTES] = bytes.try_into().ok()?;
    AccountId::new(bytes.into_iter().fold(0, |value, byte| value << 8 | u64::from(byte))).ok()
}

impl Packable for AccountId {
    fn with_bytes<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R {
        take(&account_bytes(*self))
    }
}

impl PackedKey for AccountId {
    fn unpack(bytes: &[u8]) -> Option<Self> {
        account_of(bytes)
    }
}

impl Packable for AccessKeyId {
    fn with_bytes<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R {
        take(self.as_str().as_bytes())
    }
}

impl PackedKey for AccessKeyId {
    fn unpack(bytes: &[u8]) -> Option<Self> {
        std::str::from_utf8(bytes).ok()?.parse().ok()
    }
}

impl Packable for String {
    fn with_bytes<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R {
        take(self.as_bytes())
    }
}

impl PackedKey for String {
    fn unpack(bytes: &[u8]) -> Option<Self> {
        String::from_utf8(bytes.to_vec()).ok()
    }
}

/// For looking up what is kept under a [`String`].
impl Packable for str {
    fn with_bytes<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R {
        take(self.as_bytes())
    }
}

impl PackedValue for AccountId {
    fn pack(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&account_bytes(*self));
    }

    fn unpack(bytes: &[u8]) -> Option<Self> {
        account_of(bytes)
    }
}

impl PackedValue for Home {
    fn pack(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.epoch.0.to_le_bytes());
        into.extend_from_slice(self.cell.as_str().as_bytes());
    }

    fn unpack(bytes: &[u8]) -> Option<Self> {
        let (epoch, cell) = bytes.split_first_chunk()?;
        let cell = std::str::from_utf8(cell).ok()?.parse().ok()?;
        Some(Self { cell, epoch: Epoch(u64::from_le_bytes(*epoch)) })
    }
}

/// An entry where it lies.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    pub start: u32,
    pub key: &'a [u8],
    pub value: &'a [u8],
}

/// The shard of a key: FNV-1a, folded. Part of the stored form.
pub fn shard_of(key: &[u8]) -> usize {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325, fold);
    let folded = hash ^ (hash >> 32) ^ (hash >> 48);
    usize::try_from(folded % SHARDS as u64).unwrap_or(0)
}

/// Appends an entry.
pub fn write(into: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    for part in [key, value] {
        let mut rest = part.len();
        while rest >= 0x80 {
            into.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        into.push(rest as u8);
        into.extend_from_slice(part);
    }
}

/// A length and the part that has it, and what comes after.
fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut len, mut shift, mut rest) = (0_usize, 0, bytes);
    loop {
        let (byte, after) = rest.split_first()?;
        rest = after;
        len |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return rest.split_at_checked(len);
        }
        shift += 7;
        if shift > 28 {
            return None;
        }
    }
}

/// The entry that begins at `start`.
pub fn at(bytes: &[u8], start: u32) -> Option<Entry<'_>> {
    let (key, rest) = part(bytes.get(usize::try_from(start).ok()?..)?)?;
    let (value, _) = part(rest)?;
    Some(Entry { start, key, value })
}

/// All entries, up to the first that is none.
pub fn entries(bytes: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let start = u32::try_from(bytes.len() - rest.len()).ok()?;
        let (key, after) = part(rest)?;
        let (value, after) = part(after)?;
        rest = after;
        Some(Entry { start, key, value })
    })
}

/// Entries in the order of their keys; of several with one key the last.
pub fn sorted(raw: &[u8]) -> Vec<u8> {
    let mut all: Vec<Entry<'_>> = entries(raw).collect();
    all.sort_by(|a, b| a.key.cmp(b.key).then(b.start.cmp(&a.start)));
    all.dedup_by(|later, kept| later.key == kept.key);
    let mut bytes = Vec::with_capacity(raw.len());
    for entry in all {
        write(&mut bytes, entry.key, entry.value);
    }
    bytes
}

/// The entries of `old` with edits, in the order of their keys.
pub fn merge(old: &[u8], edits: &BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(old.len() + 64);
    let mut edits = edits.iter().peekable();
    let put = |bytes: &mut Vec<u8>, (key, value): (&Vec<u8>, &Option<Vec<u8>>)| {
        if let Some(value) = value {
            write(bytes, key, value);
        }
    };
    for entry in entries(old) {
        while let Some(edit) = edits.next_if(|(key, _)| key.as_slice() < entry.key) {
            put(&mut bytes, edit);
        }
        match edits.next_if(|(key, _)| key.as_slice() == entry.key) {
            Some(edit) => put(&mut bytes, edit),
            None => write(&mut bytes, entry.key, entry.value),
        }
    }
    edits.for_each(|edit| put(&mut bytes, edit));
    bytes
}

/// Whether bytes from outside are the entries of shard `shard`.
///
/// # Errors
/// [`Malformed`] says what is wrong.
pub fn check<K: PackedKey, V: PackedValue>(bytes: &[u8], shard: usize) -> Result<(), Malformed> {
    if u32::try_from(bytes.len()).is_err() {
        return Err(Malformed("a shard has more than 4 GiB"));
    }
    let cut_off = Malformed("an entry is cut off");
    let (mut rest, mut last): (_, Option<&[u8]>) = (bytes, None);
    while !rest.is_empty() {
        let (key, after) = part(rest).ok_or(cut_off)?;
        let (value, after) = part(after).ok_or(cut_off)?;
        if K::unpack(key).is_none() || V::unpack(value).is_none() {
            return Err(Malformed("an entry holds no id, name or place"));
        }
        if last.is_some_and(|last| last >= key) || shard_of(key) != shard {
            return Err(Malformed("an entry is out of its order or in another shard's place"));
        }
        (rest, last) = (after, Some(key));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_survive_their_bytes() {
        for value in [AccountId::FIRST, 123_456_789_012, AccountId::END - 1] {
            let account = AccountId::new(value).expect("in range");
            assert_eq!(account.with_bytes(<AccountId as PackedKey>::unpack), Some(account));
        }
        let home = Home { cell: "c1".parse().expect("a label"), epoch: Epoch(u64::MAX) };
        let mut bytes = Vec::new();
        home.pack(&mut bytes);
        assert_eq!(Home::unpack(&bytes), Some(home));
        assert_eq!(Home::unpack(&bytes[..8]), None);
        assert_eq!(<AccountId as PackedKey>::unpack(&[0; 5]), None);
    }

    #[test]
    fn lengths_of_more_than_a_byte_are_read_back() {
        for len in [0, 1, 127, 128, 300, 20_000] {
            let (mut bytes, key) = (Vec::new(), vec![7; len]);
            write(&mut bytes, &key, b"v");
            let entry = at(&bytes, 0).expect("an entry");
            assert_eq!((entry.key, entry.value), (&key[..], &b"v"[..]));
        }
    }

    #[test]
    fn bytes_that_are_no_entries_are_refused_and_never_read_past() {
        let mut good = Vec::new();
        AccountId::new(AccountId::FIRST).expect("in range").pack(&mut good);
        let mut bytes = Vec::new();
        write(&mut bytes, b"photos", &good);
        let shard = shard_of(b"photos");
        let check = |bytes: &[u8], shard| check::<String, AccountId>(bytes, shard);
        assert_eq!(check(&bytes, shard), Ok(()));
        assert!(check(&bytes, shard + 1).is_err());
        for cut in 1..bytes.len() {
            assert!(check(&bytes[..cut], shard).is_err(), "cut at {cut}");
        }
        assert!(check(&[&bytes[..], &bytes[..]].concat(), shard).is_err(), "a key twice");
        assert!(check(&[0xff; 16], 0).is_err());
    }
}

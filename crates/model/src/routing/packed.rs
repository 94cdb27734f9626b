//! A map of millions of small entries: packed bytes in shards that are shared between tables until one of them changes.
//!
//! A table of a million accounts is copied for every change that is published, so a copy must cost little: it shares all shards, and a
//! change writes anew only the shards it touches. Within a shard entries are packed without pointers, in the order of their keys, and
//! found by an index of one byte and one offset for each slot; the time of a lookup does not depend on how many there are.
//!
//! The shard of a key is part of a stored form ([`super::binary`]): it is the same in every process. The index is not stored, and hashed
//! with a secret of this process, since tenants choose names.

#![allow(clippy::disallowed_methods, reason = "what `JsonSchema` derives unwraps literals of its own")]

use super::entry::{self, Entry, Malformed, Packable, PackedKey, PackedValue};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap as _,
};
use std::{
    borrow::Borrow,
    collections::{BTreeMap, hash_map::RandomState},
    fmt,
    hash::BuildHasher as _,
    marker::PhantomData,
    sync::Arc,
};

/// Shards of a map. With five million entries one has some forty kilobytes: little to write anew for one change.
pub const SHARDS: usize = 4096;

/// What was changed of one entry: its new value, or that it is gone.
type Edit = Option<Vec<u8>>;

/// A map from `K` to `V`. Copies share what neither has changed.
pub struct Packed<K, V> {
    shards: Arc<Vec<Option<Arc<Shard>>>>,
    len: usize,
    secret: RandomState,
    kind: PhantomData<fn(K) -> V>,
}

impl<K, V> Packed<K, V> {
    /// Entries.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory, the copies' shared ones included.
    pub fn memory(&self) -> usize {
        let shards = self.shards.iter().flatten().map(|shard| shard.memory()).sum::<usize>();
        shards + self.shards.len() * size_of::<Option<Arc<Shard>>>()
    }

    fn set(&mut self, at: usize, shard: Option<Arc<Shard>>) {
        let slot = &mut Arc::make_mut(&mut self.shards)[at];
        self.len -= slot.as_ref().map_or(0, |shard| shard.len);
        self.len += shard.as_ref().map_or(0, |shard| shard.len);
        *slot = shard;
    }

    /// The entries of a shard, packed; `None` when it has none.
    pub(super) fn shard(&self, at: usize) -> Option<&[u8]> {
        self.shards.get(at)?.as_ref().map(|shard| &*shard.bytes)
    }
}

impl<K: PackedKey, V: PackedValue> Packed<K, V> {
    /// The value of `key`.
    pub fn get<Q: Packable + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        key.with_bytes(|bytes| V::unpack(self.find(bytes)?))
    }

    pub fn contains_key<Q: Packable + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        key.with_bytes(|bytes| self.find(bytes).is_some())
    }

    /// Sets one entry. Many are set at once with [`Packed::edit`], or by collecting them.
    pub fn insert(&mut self, key: K, value: V) {
        let mut edits = Edits::default();
        edits.put(&key, &value);
        self.edit(edits);
    }

    pub fn remove<Q: Packable + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        let mut edits = Edits::default();
        edits.take_out(key);
        self.edit(edits);
    }

    /// Applies edits. Costs one shard's size for each shard that is touched.
    pub fn edit(&mut self, edits: Edits) {
        for (at, edits) in edits.shards {
            let old = self.shard(at).unwrap_or_default();
            let new = entry::merge(old, &edits);
            let new = (!new.is_empty()).then(|| Arc::new(self.index(new)));
            self.set(at, new);
        }
    }

    /// Takes a shard as it is stored. One that is the same in `base` is shared with it.
    pub(super) fn take_shard(&mut self, at: usize, bytes: &[u8], base: &Self) -> Result<(), Malformed> {
        if at >= SHARDS || self.shard(at).is_some() || bytes.is_empty() {
            return Err(Malformed("a shard is numbered wrongly, repeated or empty"));
        }
        let same = base.shards.get(at).and_then(Option::as_ref).filter(|shard| &*shard.bytes == bytes);
        let shard = match same {
            Some(shard) => Arc::clone(shard),
            None => {
                entry::check::<K, V>(bytes, at)?;
                Arc::new(self.index(bytes.to_vec()))
            }
        };
        self.set(at, Some(shard));
        Ok(())
    }

    /// An empty map whose shards may be shared with this one's.
    pub(super) fn sibling(&self) -> Self {
        Self { secret: self.secret.clone(), ..Self::default() }
    }

    /// All entries, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (K, V)> + '_ {
        let entries = self.shards.iter().flatten().flat_map(|shard| entry::entries(&shard.bytes));
        entries.filter_map(|entry| Some((K::unpack(entry.key)?, V::unpack(entry.value)?)))
    }

    fn find(&self, key: &[u8]) -> Option<&[u8]> {
        let shard = self.shards[entry::shard_of(key)].as_ref()?;
        shard.find(key, self.secret.hash_one(key))
    }

    fn index(&self, bytes: Vec<u8>) -> Shard {
        Shard::new(bytes, |key| self.secret.hash_one(key))
    }
}

/// Changes of entries, put together by shard. Of several for one key the last counts.
#[derive(Debug, Default)]
pub struct Edits {
    shards: BTreeMap<usize, BTreeMap<Vec<u8>, Edit>>,
}

impl Edits {
    pub fn put<K: Packable + ?Sized, V: PackedValue>(&mut self, key: &K, value: &V) {
        let mut packed = Vec::new();
        value.pack(&mut packed);
        self.note(key, Some(packed));
    }

    pub fn take_out<K: Packable + ?Sized>(&mut self, key: &K) {
        self.note(key, None);
    }

    fn note<K: Packable + ?Sized>(&mut self, key: &K, edit: Edit) {
        key.with_bytes(|key| {
            self.shards.entry(entry::shard_of(key)).or_default().insert(key.to_vec(), edit);
        });
    }
}

/// Packed entries and the index of them.
struct Shard {
    bytes: Box<[u8]>,
    /// Of each slot, 0 when it is empty, else seven bits of the key's hash and a one.
    tags: Box<[u8]>,
    /// Of each slot that is not empty, where its entry begins.
    starts: Box<[u32]>,
    len: usize,
}

impl Shard {
    fn new(bytes: Vec<u8>, hash: impl Fn(&[u8]) -> u64) -> Self {
        let len = entry::entries(&bytes).count();
        // A third of the slots stays empty.
        let slots = len + len / 2 + 1;
        let (mut tags, mut starts) = (vec![0; slots].into_boxed_slice(), vec![0; slots].into_boxed_slice());
        for entry in entry::entries(&bytes) {
            let (mut at, tag) = place(hash(entry.key), slots);
            while tags[at] != 0 {
                at = (at + 1) % slots;
            }
            (tags[at], starts[at]) = (tag, entry.start);
        }
        Self { bytes: bytes.into_boxed_slice(), tags, starts, len }
    }

    fn find(&self, key: &[u8], hash: u64) -> Option<&[u8]> {
        let (mut at, tag) = place(hash, self.tags.len());
        loop {
            match self.tags[at] {
                0 => return None,
                found if found == tag => {
                    let Entry { key: has, value, .. } = entry::at(&self.bytes, self.starts[at])?;
                    if has == key {
                        return Some(value);
                    }
                }
                _ => {}
            }
            at = (at + 1) % self.tags.len();
        }
    }

    fn memory(&self) -> usize {
        self.bytes.len() + self.tags.len() + self.starts.len() * size_of::<u32>() + size_of::<Self>()
    }
}

/// The first slot to look at, and the tag.
fn place(hash: u64, slots: usize) -> (usize, u8) {
    let at = (u128::from(hash) * slots as u128) >> 64;
    (usize::try_from(at).unwrap_or(0), (hash & 0x7f) as u8 | 0x80)
}

impl<K, V> Default for Packed<K, V> {
    fn default() -> Self {
        Self { shards: Arc::new(vec![None; SHARDS]), len: 0, secret: RandomState::new(), kind: PhantomData }
    }
}

impl<K, V> Clone for Packed<K, V> {
    fn clone(&self) -> Self {
        Self { shards: Arc::clone(&self.shards), len: self.len, secret: self.secret.clone(), kind: PhantomData }
    }
}

impl<K, V> PartialEq for Packed<K, V> {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&Option<Arc<Shard>>, &Option<Arc<Shard>>)| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a.bytes == b.bytes,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        self.len == other.len && self.shards.iter().zip(other.shards.iter()).all(same)
    }
}

impl<K, V> Eq for Packed<K, V> {}

impl<K, V> fmt::Debug for Packed<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries", self.len)
    }
}

impl<K: PackedKey, V: PackedValue> FromIterator<(K, V)> for Packed<K, V> {
    /// Of several with one key the last counts.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut raw = vec![Vec::new(); SHARDS];
        let mut value = Vec::new();
        for (key, of) in entries {
            value.clear();
            of.pack(&mut value);
            key.with_bytes(|key| entry::write(&mut raw[entry::shard_of(key)], key, &value));
        }
        let mut packed = Self::default();
        for (at, raw) in raw.into_iter().enumerate().filter(|(_, raw)| !raw.is_empty()) {
            let shard = packed.index(entry::sorted(&raw));
            packed.set(at, Some(Arc::new(shard)));
        }
        packed
    }
}

impl<K: PackedKey + Serialize, V: PackedValue + Serialize> Serialize for Packed<K, V> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.len))?;
        for (key, value) in self.iter() {
            map.serialize_entry(&key, &value)?;
        }
        map.end()
    }
}

/// As it is in JSON: an object with an entry for each key.
impl<K, V: JsonSchema> JsonSchema for Packed<K, V> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("MapTo{}", V::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "object", "additionalProperties": generator.subschema_for::<V>() })
    }
}

impl<'de, K: PackedKey + Deserialize<'de>, V: PackedValue + Deserialize<'de>> Deserialize<'de> for Packed<K, V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries<K, V>(PhantomData<(K, V)>);

        impl<'de, K: PackedKey + Deserialize<'de>, V: PackedValue + Deserialize<'de>> Visitor<'de> for Entries<K, V> {
            type Value = Packed<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut failed = None;
                let entries = std::iter::from_fn(|| match map.next_entry().transpose()? {
                    Ok(entry) => Some(entry),
                    Err(error) => {
                        failed = Some(error);
                        None
                    }
                });
                let packed = entries.collect();
                failed.map_or(Ok(packed), Err)
            }
        }
        from.deserialize_map(Entries(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AccountId;
    use std::collections::HashMap;

    type Names = Packed<String, AccountId>;

    fn account(n: u64) -> AccountId {
        AccountId::new(AccountId::FIRST + n).expect("in range")
    }

    fn as_map(names: &Names) -> HashMap<String, AccountId> {
        names.iter().collect()
    }

    #[test]
    fn it_holds_what_an_ordinary_map_holds() {
        let (mut names, mut expected) = (Names::default(), HashMap::new());
        // Few names and many steps, so that entries are set again and removed; steps of a fixed sequence, not of chance.
        let mut step = 1_u64;
        for n in 0..4_000 {
            step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let name = format!("bucket-{}", (step >> 33) % 400);
            if step >> 62 == 0 {
                names.remove(name.as_str());
                expected.remove(&name);
            } else {
                names.insert(name.clone(), account(n));
                expected.insert(name, account(n));
            }
        }
        assert!(expected.len() > 100);
        assert_eq!((names.len(), as_map(&names)), (expected.len(), expected.clone()));
        for n in 0..400 {
            let name = format!("bucket-{n}");
            assert_eq!(names.get(name.as_str()), expected.get(&name).copied());
        }
        let collected: Names = expected.into_iter().collect();
        assert_eq!(names, collected);
    }

    #[test]
    fn a_copy_shares_everything_but_the_shard_that_was_changed() {
        let before: Names = (0..20_000).map(|n| (format!("bucket-{n}"), account(n))).collect();
        let mut after = before.clone();
        after.insert("bucket-7".into(), account(1));
        let pairs = before.shards.iter().zip(after.shards.iter());
        let shared = |(a, b): &(&Option<Arc<Shard>>, &Option<Arc<Shard>>)| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        assert_eq!(pairs.filter(|pair| !shared(pair)).count(), 1);
        assert_eq!((before.get("bucket-7"), after.get("bucket-7")), (Some(account(7)), Some(account(1))));
    }

    #[test]
    fn of_several_changes_of_one_entry_the_last_counts() {
        let mut names = Names::default();
        let mut edits = Edits::default();
        edits.put("a", &account(1));
        edits.take_out("a");
        edits.put("b", &account(1));
        edits.put("b", &account(2));
        names.edit(edits);
        assert_eq!((names.len(), names.get("a"), names.get("b")), (1, None, Some(account(2))));
        let twice: Names = [("b".to_owned(), account(1)), ("b".to_owned(), account(2))].into_iter().collect();
        assert_eq!(twice, names);
    }

    #[test]
    fn shards_are_filled_evenly() {
        let names: Names = (0..100_000).map(|n| (format!("photos-{n}"), account(n))).collect();
        let fullest = names.shards.iter().flatten().map(|shard| shard.len).max();
        assert!(fullest.is_some_and(|fullest| fullest < 70), "{fullest:?} where 24 are the mean");
    }
}

//! Recounts a store from its rows and compares with what it says of itself.

use super::*;
use crate::meta::{
    bookkeeping::{AccountTotals, BlobState, BucketState, CellState},
    format::Record,
    record::Object,
};
use std::collections::{BTreeMap, BTreeSet};

/// All rows of a family whose keys begin with `prefix`: what follows it, and the value.
fn rows<T: Record>(store: &MemoryStore, family: Family, prefix: &[u8]) -> Vec<(Vec<u8>, T)> {
    let mut cursor = store.cursor(family);
    cursor.seek(prefix).expect("memory");
    let mut rows = Vec::new();
    while let Some((rest, value)) = keys::within(&*cursor, prefix) {
        rows.push((rest.to_vec(), format::decode(value).expect("its own bytes")));
        cursor.advance().expect("memory");
    }
    rows
}

/// The bucket id at the front of a key.
fn bucket_of(key: &[u8]) -> BucketId {
    BucketId(u64::from_be_bytes(*key.first_chunk().expect("a bucket id")))
}

/// Panics unless bucket, account and cell usage equal a recount, every blob has one owner, and garbage has none.
pub(super) fn audit(store: &MemoryStore) {
    let cell = keys::meta::cell().get(store).expect("memory").unwrap_or_default();
    let mut counted: BTreeMap<BucketId, (Usage, u64)> = BTreeMap::new();
    let mut inline = BTreeSet::new();
    let mut blobs = BTreeSet::new();
    for (key, object) in rows::<Object>(store, keys::objects::FAMILY, &[]) {
        let (usage, _) = counted.entry(bucket_of(&key)).or_default();
        usage.bytes += object.len;
        usage.objects += 1;
        match object.layout {
            Layout::Inline(blob) => assert!(inline.insert(keys::inline::key(blob)), "{blob:?} has two owners"),
            Layout::Segments(segments) => own(&mut blobs, &segments),
        }
    }
    for (key, part) in rows::<Part>(store, keys::parts::FAMILY, &[]) {
        counted.entry(bucket_of(&key)).or_default().0.bytes += part.len;
        own(&mut blobs, &part.segments);
    }
    for (key, _) in rows::<crate::meta::record::Upload>(store, keys::uploads::FAMILY, &[]) {
        counted.entry(bucket_of(&key)).or_default().1 += 1;
    }
    compare_usage(store, &cell, &counted);

    let bodies: BTreeSet<_> = rows_raw(store, keys::inline::FAMILY);
    assert_eq!(bodies, inline, "inline bodies and the objects that name them");
    let (mut owned, mut released) = (BTreeSet::new(), BTreeSet::new());
    for (key, state) in rows::<BlobState>(store, keys::blobs::FAMILY, &[]) {
        match state {
            BlobState::Named { .. } => owned.insert(key),
            BlobState::Released { at } => released.insert([&at.0.to_be_bytes()[..], &key].concat()),
        };
    }
    assert_eq!(owned, blobs, "blob rows and the segments that name them");
    assert_eq!(released, rows_raw(store, keys::garbage::FAMILY), "released blobs and the garbage of their segments");
}

fn compare_usage(store: &MemoryStore, cell: &CellState, counted: &BTreeMap<BucketId, (Usage, u64)>) {
    let mut accounts: BTreeMap<AccountId, AccountTotals> = BTreeMap::new();
    let states = rows::<BucketState>(store, keys::buckets::FAMILY, &[3]);
    for (key, state) in &states {
        let (usage, uploads) = counted.get(&bucket_of(key)).copied().unwrap_or_default();
        assert_eq!((state.usage, state.uploads), (usage, uploads), "bucket {}", state.name);
        let totals = accounts.entry(state.owner).or_default();
        totals.usage.bytes += usage.bytes;
        totals.usage.objects += usage.objects;
        totals.buckets += 1;
        totals.uploads += uploads;
    }
    let mut whole = Usage::default();
    for n in [1, 2] {
        let expected = accounts.get(&account(n)).copied().unwrap_or_default();
        let found = keys::accounts::totals(account(n)).get(store).expect("memory").unwrap_or_default();
        assert_eq!(AccountTotals { keys: 0, ..found }, expected, "account {n}");
        whole.bytes += expected.usage.bytes;
        whole.objects += expected.usage.objects;
    }
    assert_eq!((cell.usage, cell.buckets), (whole, states.len() as u64), "the cell");
}

fn own(blobs: &mut BTreeSet<Vec<u8>>, segments: &[Segment]) {
    for segment in segments {
        assert!(blobs.insert(keys::blobs::bytes(segment.blob).to_vec()), "{segment:?} has two owners");
    }
}

fn rows_raw(store: &MemoryStore, family: Family) -> BTreeSet<Vec<u8>> {
    let mut cursor = store.cursor(family);
    cursor.seek(&[]).expect("memory");
    let mut found = BTreeSet::new();
    while let Some((key, _)) = cursor.entry() {
        found.insert(key.to_vec());
        cursor.advance().expect("memory");
    }
    found
}

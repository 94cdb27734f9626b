//! The census walks two long lists of different lengths in bounded parts, and misses nothing.

use super::*;
use crate::{
    limits::CENSUS_BLOBS,
    meta::{
        bookkeeping::CellState,
        format, keys,
        record::{BucketId, UploadEpoch},
        view::IndexView,
    },
};
use bulkhead_replica::{Family, MemoryStore, Mutation};
use proptest::prelude::*;
use std::collections::BTreeSet;

const EPOCH: u64 = 3;

fn blob(number: u64) -> BlobId {
    BlobId { epoch: UploadEpoch(EPOCH), number }
}

fn chunk(number: u64, index: u32) -> ChunkId {
    ChunkId { blob: blob(number).into(), index }
}

fn put(family: Family, key: Vec<u8>, value: Vec<u8>) -> Mutation {
    Mutation::Put { family, key, value }
}

/// An index that names these blobs, of so many chunks each. All epochs are closed.
fn index(named: impl IntoIterator<Item = (u64, u32)>) -> Bytes<MemoryStore> {
    let mut store = MemoryStore::default();
    let cell = keys::meta::cell();
    let state = CellState { last_epoch: EPOCH, ..CellState::default() };
    let mut rows = vec![put(cell.family, cell.key, format::encode(&state))];
    for (number, chunks) in named {
        let row = keys::blobs::row(blob(number));
        let (bucket, len) = (BucketId(1), u64::from(chunks) * 10);
        let state = BlobState::Named { bucket, key: "k".into(), len, chunk_bytes: 10 };
        rows.push(put(row.family, row.key, format::encode(&state)));
    }
    store.write(rows);
    Bytes::new(IndexView::new(store), Duration::ZERO).expect("memory")
}

/// Walks all parts, with pages of `page` chunks: what is to be freed, and what is missing.
fn walk(bytes: &Bytes<MemoryStore>, here: &BTreeSet<ChunkId>, page: usize) -> (Vec<ChunkId>, Vec<ChunkId>) {
    let (mut free, mut missing, mut after) = (vec![], vec![], None);
    for _ in 0..10_000 {
        let behind = here.iter().filter(|chunk| after.is_none_or(|after| **chunk > after));
        let chunks: Vec<_> = behind.copied().take(page).collect();
        let held = Held { is_all: chunks.len() < page, chunks };
        let part = plan(bytes, after, &held, |chunk| chunk.index != 1).expect("memory");
        free.extend(part.free);
        missing.extend(part.missing);
        match part.to {
            Some(to) => {
                assert!(after.is_none_or(|after| to > after), "it does not get on from {after:?}");
                after = Some(to);
            }
            None => return (free, missing),
        }
    }
    panic!("the census does not end")
}

proptest! {
    #[test]
    fn whatever_the_pages_each_chunk_is_judged_once(
        named in prop::collection::btree_map(0..30u64, 0..4u32, 0..20),
        here in prop::collection::btree_set((0..30u64, 0..4u32), 0..40),
        page in 1..9usize,
    ) {
        let here: BTreeSet<_> = here.into_iter().map(|(number, index)| chunk(number, index)).collect();
        let (free, missing) = walk(&index(named.clone()), &here, page);
        let named_chunks: BTreeSet<_> =
            named.iter().flat_map(|(number, chunks)| (0..*chunks).map(|index| chunk(*number, index))).collect();
        let is_named = |one: &&ChunkId| named.keys().any(|number| u128::from(blob(*number)) == one.blob);
        let expected_free: Vec<_> = here.iter().filter(|one| !is_named(one)).copied().collect();
        let expected_missing: Vec<_> =
            named_chunks.difference(&here).filter(|one| one.index != 1).copied().collect();
        prop_assert_eq!(free, expected_free);
        prop_assert_eq!(missing, expected_missing);
    }
}

#[test]
fn a_node_that_came_back_empty_lacks_everything_placed_on_it_part_by_part() {
    let blobs = CENSUS_BLOBS as u64 * 2 + 7;
    let (free, missing) = walk(&index((0..blobs).map(|number| (number, 1))), &BTreeSet::new(), 4);
    assert_eq!((free.len(), missing.len() as u64), (0, blobs));
}

#[test]
fn bytes_of_an_open_epoch_are_left_alone_and_those_of_a_closed_one_are_not() {
    let here = [chunk(1, 0), ChunkId { blob: BlobId { epoch: UploadEpoch(EPOCH + 1), number: 1 }.into(), index: 0 }];
    let (free, missing) = walk(&index([]), &here.into(), 10);
    assert_eq!((free, missing), (vec![chunk(1, 0)], vec![]));
}

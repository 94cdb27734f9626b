//! What the index says of a chunk that lacks a copy.

use super::*;
use crate::{
    chunks::ChunkId,
    meta::{
        bookkeeping::{BlobState, BucketState, CellState},
        format::{self, Record},
        keys::{self, Row},
        record::{BlobId, BucketId, UploadEpoch, Usage},
        view::IndexView,
    },
};
use bulkhead_model::{AccountId, Timestamp, settings::Kind};
use bulkhead_replica::{MemoryStore, Mutation};

fn put<T: Record>(store: &mut MemoryStore, row: Row<T>, value: &T) {
    store.write(vec![Mutation::Put { family: row.family, key: row.key, value: format::encode(value) }]);
}

#[test]
fn only_what_is_named_is_copied_and_each_chunk_with_its_own_length() {
    let owner = AccountId::new(AccountId::FIRST).expect("in range");
    let blob = |number| BlobId { epoch: UploadEpoch(1), number };
    let named = |bucket| BlobState::Named { bucket: BucketId(bucket), key: "k".into(), len: 25, chunk_bytes: 10 };
    let mut store = MemoryStore::default();
    put(&mut store, keys::meta::cell(), &CellState { last_epoch: 1, time: Timestamp(50), ..CellState::default() });
    let state = BucketState { owner, name: "b".into(), usage: Usage::default(), uploads: 0 };
    put(&mut store, keys::buckets::state(BucketId(1)), &state);
    put(&mut store, keys::blobs::row(blob(1)), &named(1));
    put(&mut store, keys::blobs::row(blob(2)), &named(2));
    put(&mut store, keys::blobs::row(blob(3)), &BlobState::Released { at: Timestamp(45) });
    let bytes = Bytes::new(IndexView::new(store), Duration::from_millis(10)).expect("memory");
    let ask = |number, index| need(&bytes, ChunkId { blob: blob(number).into(), index }).expect("memory");
    let wanted =
        |index, len| Need::Copy(Wanted { chunk: ChunkId { blob: blob(1).into(), index }, account: owner, len });
    assert_eq!([ask(1, 0), ask(1, 2), ask(1, 3)], [wanted(0, 10), wanted(2, 5), Need::Nothing]);
    assert_eq!([ask(2, 0), ask(3, 0), ask(4, 0)], [Need::Later, Need::Nothing, Need::Nothing]);
    let later = ChunkId { blob: BlobId { epoch: UploadEpoch(2), number: 1 }.into(), index: 0 };
    assert_eq!(need(&bytes, later).expect("memory"), Need::Later, "it may be named yet");
}

#[test]
fn repair_has_a_floor_and_a_ceiling() {
    let Kind::Number { min, max, default, .. } = REPAIR_RATE.kind else { panic!("it is a number") };
    let floor = REPAIR_BYTES_PER_SECOND_MIN;
    assert_eq!(min, floor, "no setting goes below the floor");
    for most in [min, default, max] {
        assert_eq!((rate(true, 0, most), rate(false, 0, most)), (floor, most));
        let full = (rate(true, 100, most), rate(false, 100, most));
        assert_eq!(full, (floor, floor), "tenants take everything, but for the floor");
        assert!((floor..=most).contains(&rate(false, 50, most)));
    }
}

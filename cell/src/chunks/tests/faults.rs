//! What the store does when the disk refuses.

use super::*;
use crate::{
    chunks::{CopyError, disk::Fault, health::DiskState},
    limits::{DISK_RESERVE_BYTES, EXTENT_FAILURES_MAX},
};

#[tokio::test]
async fn a_failed_write_or_sync_fails_the_chunk_and_the_next_goes_elsewhere() {
    for fault in [Fault::Write(0), Fault::Sync(0)] {
        let disk = disk(3);
        let store = open(&disk).await;
        store.put(chunk(1, 5_000), deadline()).await.expect("stored");
        disk.plan(fault);
        let failed = store.put(chunk(2, 5_000), deadline()).await;
        assert!(matches!(failed, Err(CopyError::Disk(_))), "{failed:?}");
        assert!(!store.has(id(2)));
        assert!(matches!(store.disk_state(), DiskState::Suspect { failures: 1, .. }));
        store.put(chunk(3, 5_000), deadline()).await.expect("stored in another extent");
        let store = open(&disk.crash()).await;
        for number in [1, 3] {
            assert_eq!(read(&store, number, 5_000).await, Ok(bytes(number, 5_000)), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_failed_sync_is_not_repeated() {
    let disk = disk(3);
    let store = open(&disk).await;
    store.put(chunk(1, 5_000), deadline()).await.expect("stored");
    let before = disk.syncs();
    disk.plan(Fault::Sync(0));
    store.put(chunk(2, 5_000), deadline()).await.expect_err("the sync failed");
    assert_eq!(disk.syncs(), before + 1);
}

#[tokio::test]
async fn a_chunk_that_failed_may_be_put_again() {
    let disk = disk(3);
    let store = open(&disk).await;
    disk.plan(Fault::Sync(1));
    store.put(chunk(1, 5_000), deadline()).await.expect_err("the sync behind the extent's own failed");
    store.put(chunk(1, 5_000), deadline()).await.expect("stored");
    let store = open(&disk.crash()).await;
    assert_eq!(read(&store, 1, 5_000).await, Ok(bytes(1, 5_000)));
}

#[tokio::test]
async fn a_disk_that_goes_on_failing_takes_no_more_writes_and_still_reads() {
    let disk = disk(3);
    let store = open(&disk).await;
    store.put(chunk(0, 5_000), deadline()).await.expect("stored");
    for number in 1..=u64::from(EXTENT_FAILURES_MAX) {
        disk.plan(Fault::Write(0));
        store.put(chunk(number, 5_000), deadline()).await.expect_err("the write failed");
    }
    assert!(matches!(store.disk_state(), DiskState::Failed { .. }));
    assert!(matches!(store.put(chunk(99, 5_000), deadline()).await, Err(CopyError::Disk(_))));
    assert_eq!(read(&store, 0, 5_000).await, Ok(bytes(0, 5_000)));
}

#[tokio::test]
async fn writes_are_refused_before_the_reserve_is_touched() {
    let disk = FaultyDisk::new(0, DISK_RESERVE_BYTES + 3 * EXTENT_BYTES);
    let store = open(&disk).await;
    let mut stored = 0;
    let refused = loop {
        match store.put(chunk(stored, CHUNK_BYTES), deadline()).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, CopyError::Full);
    assert!((8..=10).contains(&stored), "two extents of five chunks each, less their ends: {stored}");
    assert_eq!(store.disk_state(), DiskState::Healthy);
    assert_eq!(read(&store, stored - 1, CHUNK_BYTES).await, Ok(bytes(stored - 1, CHUNK_BYTES)));
}

#[tokio::test]
async fn a_disk_without_space_is_full_and_not_broken() {
    let disk = disk(3);
    let store = open(&disk).await;
    disk.plan(Fault::WriteNoSpace(1));
    assert_eq!(store.put(chunk(1, 5_000), deadline()).await, Err(CopyError::Full));
    assert_eq!(store.disk_state(), DiskState::Healthy);
}

#[tokio::test]
async fn a_repeated_put_is_harmless_and_other_bytes_are_a_conflict() {
    let disk = disk(0);
    let store = open(&disk).await;
    store.put(chunk(1, 5_000), deadline()).await.expect("stored");
    let syncs = disk.syncs();
    store.put(chunk(1, 5_000), deadline()).await.expect("already there");
    assert_eq!(disk.syncs(), syncs);
    let other = Chunk { payload: Payload::seal(bytes(2, 5_000)), ..chunk(1, 5_000) };
    assert_eq!(store.put(other, deadline()).await, Err(CopyError::Conflict));
    assert_eq!(read(&store, 1, 5_000).await, Ok(bytes(1, 5_000)));
}

#[tokio::test]
async fn sizes_out_of_bounds_are_refused() {
    let store = open(&disk(0)).await;
    for len in [0, CHUNK_BYTES + 1] {
        let refused = store.put(chunk(1, len), deadline()).await;
        assert_eq!(refused, Err(CopyError::Size { bytes: len as usize, max: CHUNK_BYTES }));
    }
}

//! What is there after the process or the power is gone.

use super::*;
use crate::chunks::{
    OpenError,
    disk::{Disk as _, Fault},
    extent::ExtentId,
    format::{PAGE_BYTES, record_bytes},
    index::ExtentState,
};
use std::io::IoSlice;

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_crash() {
    for seed in 0..20 {
        let disk = disk(seed);
        let store = open(&disk).await;
        for number in 0..12 {
            store.put(chunk(number, 150_000), deadline()).await.expect("stored");
        }
        let store = open(&disk.crash()).await;
        for number in 0..12 {
            assert_eq!(read(&store, number, 150_000).await, Ok(bytes(number, 150_000)), "seed {seed}, chunk {number}");
        }
    }
}

#[tokio::test]
async fn any_range_is_the_bytes_that_were_put() {
    let disk = disk(0);
    let store = open(&disk).await;
    for (number, len) in [(1, 1), (2, 65_535), (3, 65_536), (4, 65_537), (5, CHUNK_BYTES)] {
        store.put(chunk(number, len), deadline()).await.expect("stored");
        for range in [0..1, 0..len, len - 1..len, len / 2..len, len / 3..(len / 3 + 1)] {
            let blocks = store.read(id(number), range.clone(), deadline()).await.expect("there");
            let expected = bytes(number, len).slice(range.start as usize..range.end as usize);
            assert_eq!(blocks.cut(&range), Some(expected), "{range:?} of {len}");
        }
        let behind = store.read(id(number), 0..len + 1, deadline()).await;
        assert_eq!(behind, Err(ReadError::Range { range: 0..len + 1, len }));
    }
}

#[tokio::test]
async fn after_a_shutdown_nothing_has_to_be_scanned() {
    let disk = disk(0);
    let store = open(&disk).await;
    for number in 0..20 {
        store.put(chunk(number, CHUNK_BYTES), deadline()).await.expect("stored");
    }
    store.shutdown().await;
    let store = open(&disk.kill()).await;
    assert_eq!((store.recovered().scanned, store.recovered().chunks), (0, 20));
}

#[tokio::test]
async fn an_extent_is_scanned_once_and_sealed() {
    let disk = disk(0);
    let store = open(&disk).await;
    store.put(chunk(1, 5_000), deadline()).await.expect("stored");
    let disk = disk.crash();
    assert_eq!(open(&disk).await.recovered().scanned, 1);
    let store = open(&disk.crash()).await;
    assert_eq!(store.recovered().scanned, 0);
    assert_eq!(read(&store, 1, 5_000).await, Ok(bytes(1, 5_000)));
}

#[tokio::test]
async fn a_record_that_memory_has_and_the_medium_lacks_is_not_trusted() {
    for seed in 0..50 {
        let disk = disk(seed);
        let store = open(&disk).await;
        store.put(chunk(1, 5_000), deadline()).await.expect("stored");
        disk.plan(Fault::Sync(0));
        store.put(chunk(2, 150_000), deadline()).await.expect_err("the sync failed");
        // Only the process dies: memory goes on pretending that the second record was written.
        let disk = disk.kill();
        let has = open(&disk).await.has(id(2));
        let store = open(&disk.crash()).await;
        assert_eq!(read(&store, 1, 5_000).await, Ok(bytes(1, 5_000)));
        assert!(!has || store.has(id(2)), "seed {seed}: the store had a chunk that no medium held");
    }
}

#[tokio::test]
async fn a_record_that_only_memory_has_is_made_durable_or_not_trusted() {
    for seed in 0..50 {
        let disk = disk(seed);
        open(&disk).await.put(chunk(1, 50_000), deadline()).await.expect("stored");
        // The state of a process killed between its write and its sync, on a disk that fails the next sync.
        let disk = disk.kill();
        let (name, len) = (ExtentId(0).to_string(), usize::try_from(record_bytes(50_000)).expect("small"));
        let file = disk.open(&name).expect("there");
        let mut record = Vec::new();
        file.read_at(&mut record, len, PAGE_BYTES).expect("read");
        file.set_len(PAGE_BYTES).expect("cut");
        file.sync().expect("synced");
        file.write_at(&mut [IoSlice::new(&record)], PAGE_BYTES).expect("written");
        disk.plan(Fault::Sync(0));
        let has = open(&disk).await.has(id(1));
        let store = open(&disk.crash()).await;
        assert!(!has || store.has(id(1)), "seed {seed}: the store had a chunk that no medium held");
    }
}

#[tokio::test]
async fn a_disk_that_refuses_a_read_at_open_costs_nothing_for_good() {
    for read_number in 0..12 {
        let disk = disk(0);
        let store = open(&disk).await;
        for number in 0..3 {
            store.put(chunk(number, 150_000), deadline()).await.expect("stored");
        }
        let disk = disk.kill();
        disk.plan(Fault::Read(read_number));
        disk.plan(Fault::Read(read_number + 1));
        drop(open(&disk).await);
        disk.heal();
        let store = open(&disk.kill()).await;
        for number in 0..3 {
            let read = read(&store, number, 150_000).await;
            assert!(read == Ok(bytes(number, 150_000)), "read {read_number}, chunk {number}");
        }
    }
}

/// Written and not synced when the process was killed, and the power fails after the next open: what that open found must be there.
#[tokio::test]
async fn what_an_open_takes_over_it_has_synced_first() {
    for seed in 0..20 {
        let disk = disk(seed);
        let store = open(&disk).await;
        store.put(chunk(1, 50_000), deadline()).await.expect("stored");
        let disk = disk.kill();
        let file = disk.open(&ExtentId(0).to_string()).expect("there");
        let len = usize::try_from(record_bytes(50_000)).expect("small");
        let mut record = Vec::new();
        file.read_at(&mut record, len, PAGE_BYTES).expect("read");
        file.write_at(&mut [IoSlice::new(&vec![0; len])], PAGE_BYTES).expect("written");
        file.sync().expect("the medium has no record");
        file.write_at(&mut [IoSlice::new(&record)], PAGE_BYTES).expect("memory has it");
        let syncs = disk.syncs();
        // The sealing fails at its first step, so that nothing else makes the record durable.
        disk.plan(Fault::Write(0));
        assert!(open(&disk).await.has(id(1)));
        assert_eq!(disk.syncs(), syncs + 1, "the one before the scan");
        let store = open(&disk.crash()).await;
        assert_eq!(read(&store, 1, 50_000).await, Ok(bytes(1, 50_000)), "seed {seed}");
    }
}

#[tokio::test]
async fn an_extent_that_cannot_be_read_whole_is_not_sealed() {
    let disk = disk(0);
    let store = open(&disk).await;
    for number in 0..3 {
        store.put(chunk(number, 150_000), deadline()).await.expect("stored");
    }
    let disk = disk.kill();
    let len = disk.open(&ExtentId(0).to_string()).and_then(|file| file.len()).expect("known");
    // The header and the place of a footer are read; then the scan, and its second try at the first record alone.
    disk.plan(Fault::Read(2));
    disk.plan(Fault::Read(3));
    let store = open(&disk).await;
    assert_eq!((store.has(id(0)), store.has(id(1)), store.has(id(2))), (false, true, true));
    assert_eq!(store.figures().extents[0].state, ExtentState::Kept);
    assert_eq!(disk.open(&ExtentId(0).to_string()).and_then(|file| file.len()).expect("known"), len, "it was not cut");
    drop(store);
    let store = open(&disk.kill()).await;
    assert_eq!(store.figures().extents[0].state, ExtentState::Sealed);
    assert_eq!(read(&store, 0, 150_000).await, Ok(bytes(0, 150_000)));
}

#[tokio::test]
async fn another_nodes_extents_are_refused() {
    let disk = disk(0);
    open(&disk).await.put(chunk(1, 5_000), deadline()).await.expect("stored");
    let other = LocalStore::open(config(2), Arc::new(disk.crash()), &Env::for_tests(0)).await;
    assert!(matches!(other.err(), Some(OpenError::OtherNode { expected: 2, found: 1 })));
}

#[tokio::test]
async fn an_extent_too_small_for_a_chunk_is_refused() {
    let config = LocalConfig { extent_bytes: u64::from(CHUNK_BYTES), ..config(1) };
    let refused = LocalStore::open(config, Arc::new(disk(0)), &Env::for_tests(0)).await;
    assert!(matches!(refused.err(), Some(OpenError::ExtentTooSmall { .. })));
}

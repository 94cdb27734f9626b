//! A cell that lost a node, or whose disks are full, goes on.

use crate::harness::{EXTENT_BYTES, TestCell, bytes};
use bulkhead_cell::{chunks::disk::FaultyDisk, limits::DISK_RESERVE_BYTES, ops::OpError};
use std::{sync::Arc, time::Duration};

/// Repeats a call under the same request id while it was not executed, or nobody knows whether it was, as a router would.
async fn persist<T, F: Future<Output = Result<T, OpError>>>(call: impl Fn() -> F) -> T {
    for _ in 0..100 {
        match call().await {
            Ok(done) => return done,
            Err(OpError::NotExecuted(_) | OpError::Unknown(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("never executed");
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_and_reads_go_on_without_the_leader() {
    let cell = TestCell::start().await;
    cell.bucket("bucket").await;
    let bodies = [bytes(100), bytes(5 << 20)];
    for (n, body) in bodies.iter().enumerate() {
        cell.put(n, &format!("before/{n}"), body.clone()).await.expect("stored");
    }
    let leader = cell.nodes.iter().position(|node| node.leads()).expect("a formed cell has a leader");
    cell.nodes[leader].stop().await;
    for (n, body) in bodies.iter().enumerate() {
        let survivor = leader + 1 + n;
        let after = format!("after/{n}");
        let caller = cell.caller(1);
        persist(|| cell.put_as(&caller, survivor, &after, body.clone())).await;
        for key in [format!("before/{n}"), after] {
            assert!(persist(|| cell.get(survivor, &key)).await == *body, "{key} differs");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rides_in_the_index_is_refused_while_the_disk_is_full_too_and_taken_again_afterwards() {
    const RESERVE: u64 = DISK_RESERVE_BYTES + EXTENT_BYTES;
    let disks: Vec<_> = (0..3).map(|n| FaultyDisk::new(n, RESERVE)).collect();
    let cell = TestCell::start_on(|n, _| Arc::new(disks[n as usize - 1].clone())).await;
    cell.bucket("bucket").await;
    cell.put(0, "before", bytes(100)).await.expect("there is room");
    for disk in &disks {
        disk.set_space(RESERVE - 1);
    }
    for (n, len) in [(0, 0), (1, 100), (2, 10_000)] {
        let refused = cell.put(n, "full", bytes(len)).await.map(|_| ());
        assert!(matches!(refused, Err(OpError::DiskFull)), "{len} bytes: {refused:?}");
    }
    assert_eq!(cell.get(1, "before").await.expect("reads go on"), bytes(100));
    for disk in &disks {
        disk.set_space(RESERVE);
    }
    cell.put(0, "after", bytes(100)).await.expect("there is room again");
}

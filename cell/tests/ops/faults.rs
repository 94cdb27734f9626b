//! A cell that lost a node goes on.

use crate::harness::{TestCell, bytes};
use bulkhead_cell::ops::OpError;
use std::time::Duration;

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

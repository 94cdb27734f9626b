//! What looks after a cell's chunks: lost copies come back, and what nobody needs goes.

use crate::harness::{TestCell, TestNode, account, bytes};
use bulkhead_cell::{
    chunks::ChunkId,
    jobs::{census, figures::Figures, repair},
    ops::{Caller, delete_object},
};
use bulkhead_service::settings::Live;
use std::{sync::Arc, time::Duration};

const LEN: usize = 9 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts census and repair on a node. Released bytes have no grace.
fn look_after(node: &TestNode) -> Arc<Figures> {
    let figures = Arc::<Figures>::default();
    let (index, chunks, env, grace) =
        (node.cell.index.clone(), node.cell.chunks.clone(), node.env.clone(), Duration::ZERO);
    let interval = Duration::from_millis(100);
    let census = census::Job {
        index: index.clone(),
        chunks: chunks.clone(),
        figures: Arc::clone(&figures),
        env: env.clone(),
        grace,
        interval,
    };
    let admission = node.cell.admission.clone();
    let settings = Live::default();
    let repair = repair::Job { index, chunks, figures: Arc::clone(&figures), admission, env, settings, grace };
    node.env.tasks.spawn("census", census.run());
    node.env.tasks.spawn("repair", repair.run());
    figures
}

fn held(node: &TestNode) -> Vec<ChunkId> {
    node.cell.chunks.local().page(None, 1_000)
}

/// Waits until `condition` holds.
async fn until(what: &str, node: &TestNode, condition: impl Fn() -> bool) {
    let deadline = node.env.clock.now() + PATIENCE;
    while !condition() {
        assert!(node.env.clock.now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_were_lost_are_found_and_made_anew() {
    let cell = TestCell::start().await;
    cell.bucket("bucket").await;
    for n in 0..3 {
        cell.put(n, &format!("object/{n}"), bytes(LEN + n)).await.expect("stored");
    }
    for node in &cell.nodes {
        until("all copies are made", node, || held(node).len() == 9).await;
    }
    // Node 1 comes back empty, and of one chunk there is a single copy left.
    let all = held(&cell.nodes[0]);
    cell.nodes[0].cell.chunks.local().free(&all);
    cell.nodes[1].cell.chunks.local().free(&all[..1]);
    let figures: Vec<_> = cell.nodes.iter().map(look_after).collect();
    for node in &cell.nodes {
        until("the copies are back", node, || held(node) == all && node.cell.chunks.repairs().is_empty()).await;
    }
    assert!(figures[0].snapshot().repair.copies >= 8, "another node may have made one of them");
    assert_eq!(figures[0].snapshot().freed.bytes, 0);
    for chunk in all {
        let deadline = cell.nodes[0].env.clock.now() + PATIENCE;
        let health = cell.nodes[0].cell.chunks.local().verify(chunk, deadline).await;
        assert!(matches!(health, Ok(bulkhead_cell::chunks::Health::Whole { .. })), "{chunk}: {health:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_or_never_named_is_freed_and_nothing_else() {
    let cell = TestCell::start().await;
    cell.bucket("bucket").await;
    let deadline = cell.nodes[0].env.clock.now() + PATIENCE;
    for key in ["kept", "deleted"] {
        cell.put(0, key, bytes(LEN)).await.expect("stored");
    }
    // An upload that breaks off, and one that goes on.
    let index = &cell.nodes[0].cell.index;
    let [broken, slow] = [index.lease_blob(deadline).await, index.lease_blob(deadline).await].map(|l| l.expect("open"));
    for lease in [&broken, &slow] {
        let chunk = ChunkId { blob: lease.blob().into(), index: 0 };
        cell.nodes[0].cell.chunks.put(chunk, account(1), bytes(1_000), deadline).await.expect("stored");
    }
    drop(broken);
    let caller: Caller = cell.caller(1);
    let request =
        delete_object::Request { bucket: "bucket".into(), key: "deleted".into(), condition: Default::default() };
    delete_object::run(cell.node(1), &caller, request).await.expect("deleted");
    for node in &cell.nodes {
        until("all copies are made", node, || held(node).len() == 8).await;
        look_after(node);
    }
    // All of it is of one epoch, which the slow upload holds open.
    for _ in 0..2 {
        index.rotate_epoch(deadline).await.expect("a leader");
    }
    let view = index.read(deadline).await.expect("a leader");
    assert!(view.epoch_is_open(slow.blob().epoch).expect("readable"));
    assert!(cell.nodes.iter().all(|node| held(node).len() == 8));
    drop(slow);
    index.rotate_epoch(deadline).await.expect("a leader");
    for node in &cell.nodes {
        until("garbage is freed", node, || held(node).len() == 3).await;
    }
    assert_eq!(cell.get(2, "kept").await.expect("readable"), bytes(LEN));
}

//! Three replicas in one process over loopback: what a group promises, and what survives.

#[allow(dead_code, reason = "other tests use more of it")]
mod cluster;

use bulkhead_model::NodeId;
use bulkhead_replica::{ProposeError, Reader};
use cluster::{Cluster, KEYS, Node, PATIENCE, appended, deadline, now, put, value};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_view_on_any_node_shows_what_was_just_acknowledged() {
    let cluster = Cluster::formed(u64::MAX).await;
    // So long that applying one takes longer than asking where the group is: who does not wait for it is behind.
    let ballast = "x".repeat(512 << 10);
    for round in 0..30_u64 {
        let proposer = cluster.node(round % 3 + 1);
        let written = format!("{round} {ballast}");
        let outcome = proposer.replica.propose(put("k", &written), deadline()).await.expect("proposed");
        assert_eq!(&outcome[..], b"put");
        let readers = cluster.nodes().map(|reader| async {
            let view = reader.replica.view(deadline()).await.expect("a view");
            assert!(
                value(&view, "k").as_ref() == Some(&written),
                "node {} is behind round {round}",
                reader.member.node
            );
        });
        futures::future::join_all(readers).await;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_proposals_are_all_applied_once_and_in_one_order() {
    let cluster = Cluster::formed(u64::MAX).await;
    let proposals = (0..300_u64).map(|i| {
        let node = cluster.node(i % 3 + 1);
        async move { node.replica.propose(appended("list", &format!("{i},")), deadline()).await }
    });
    let outcomes = futures::future::join_all(proposals).await;
    // Each outcome is the length of the list before: exclusive, so all differ.
    let mut seen: Vec<String> =
        outcomes.into_iter().map(|o| String::from_utf8(o.expect("proposed").to_vec()).expect("text")).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 300);
    let mut lists = Vec::new();
    for node in cluster.nodes() {
        let view = node.replica.view(deadline()).await.expect("a view");
        lists.push(value(&view, "list").expect("there"));
    }
    assert_eq!(lists[0].split_terminator(',').count(), 300);
    assert!(lists.iter().all(|list| *list == lists[0]), "the replicas differ");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forming_twice_is_harmless_and_forming_otherwise_is_refused() {
    let cluster = Cluster::formed(u64::MAX).await;
    let members = cluster.members();
    for node in cluster.nodes() {
        node.replica.form(&members).await.expect("the same members");
    }
    assert!(cluster.node(1).replica.form(&members[..1]).await.is_err());
    assert!(cluster.node(1).replica.form(&members[1..]).await.is_err(), "it is not among them");
    assert_eq!(cluster.node(2).replica.status().members, members);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_leader_takes_writes_within_three_seconds() {
    let mut cluster = Cluster::formed(u64::MAX).await;
    cluster.node(1).replica.propose(put("a", "1"), deadline()).await.expect("proposed");
    let leader = cluster.leader().await;
    let killed = now();
    let down = cluster.kill(leader).await;
    let survivor = cluster.nodes().next().expect("two are left").member.node;
    loop {
        match cluster.node(survivor.0).replica.propose(put("b", "2"), deadline()).await {
            Ok(_) => break,
            // It was on its way when the leader died. Putting the same again is harmless.
            Err(ProposeError::Unknown(_)) => assert!(killed.elapsed() < PATIENCE),
            Err(error) => panic!("it waits for the successor: {error}"),
        }
        tokio::task::yield_now().await;
    }
    assert!(killed.elapsed().as_millis() < 3_000, "{:?}", killed.elapsed());

    let back = cluster.start(down).await;
    assert!(cluster.node(back).replica.wait_ready(deadline()).await);
    let view = cluster.node(back).replica.view(deadline()).await.expect("a view");
    assert_eq!((value(&view, "a"), value(&view, "b")), (Some("1".into()), Some("2".into())));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_stopped_at_once_keep_everything_acknowledged() {
    let mut cluster = Cluster::formed(u64::MAX).await;
    for i in 0..50 {
        cluster.node(1).replica.propose(put(&format!("k{i}"), "v"), deadline()).await.expect("proposed");
    }
    let mut down = Vec::new();
    for id in 1..=3 {
        down.push(cluster.kill(NodeId(id)).await);
    }
    for node in down {
        cluster.start(node).await;
    }
    for node in cluster.nodes() {
        assert!(node.replica.wait_ready(deadline()).await, "node {}", node.member.node);
        let view = node.replica.view(deadline()).await.expect("a view");
        assert!((0..50).all(|i| value(&view, &format!("k{i}")).is_some()), "node {}", node.member.node);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_far_behind_catches_up_by_a_checkpoint() {
    let mut cluster = Cluster::formed(1 << 20).await;
    let leader = cluster.leader().await;
    let behind = cluster.nodes().map(|node| node.member.node).find(|id| *id != leader).expect("a follower");
    let down = cluster.kill(behind).await;
    let filler = "x".repeat(16 << 10);
    let node = cluster.node(leader.0);
    // More entries than are kept below a checkpoint, and many times the bytes after which one is taken.
    for round in 0..20 {
        let batch = (0..80).map(|i| node.replica.propose(put(&format!("{round}-{i}"), &filler), deadline()));
        for outcome in futures::future::join_all(batch).await {
            outcome.expect("proposed");
        }
    }
    cluster.until("the log is purged", |cluster| is_purged(cluster.node(leader.0))).await;
    // What is kept is bounded, however much was written: some checkpoints' worth of log, one checkpoint, nothing incoming.
    cluster
        .until("the log is short", |cluster| cluster.nodes().all(|node| bytes_below(node, "log") < LOG_BYTES_KEPT_MAX))
        .await;
    for node in cluster.nodes() {
        let checkpoints = std::fs::read_dir(node.dir.path().join("checkpoints")).expect("readable").count();
        assert!(checkpoints <= 2, "{checkpoints} checkpoints, of which one may be in the making");
        assert_eq!(bytes_below(node, "incoming"), 0);
    }
    let back = cluster.start(down).await;
    assert!(cluster.node(back).replica.wait_ready(deadline()).await);
    let view = cluster.node(back).replica.view(deadline()).await.expect("a view");
    for key in ["0-0", "10-40", "19-79"] {
        assert_eq!(value(&view, key).map(|found| found.len()), Some(filler.len()), "{key}");
    }
    assert!(cluster.node(back).dir.path().join("state/g-0000000002").exists(), "it did not come by checkpoint");
    let mut cursor = view.cursor(KEYS);
    cursor.seek(b"").expect("readable");
    let mut found = 0;
    while cursor.entry().is_some() {
        found += 1;
        cursor.advance().expect("readable");
    }
    assert_eq!(found, 20 * 80);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_a_little_behind_catches_up_by_the_log() {
    let mut cluster = Cluster::formed(u64::MAX).await;
    let leader = cluster.leader().await;
    let behind = cluster.nodes().map(|node| node.member.node).find(|id| *id != leader).expect("a follower");
    let down = cluster.kill(behind).await;
    let node = cluster.node(leader.0);
    for batch in 0..5 {
        let proposals = (0..100).map(|i| node.replica.propose(put(&format!("{batch}-{i}"), "v"), deadline()));
        for outcome in futures::future::join_all(proposals).await {
            outcome.expect("proposed");
        }
    }
    let back = cluster.start(down).await;
    assert!(cluster.node(back).replica.wait_ready(deadline()).await);
    let view = cluster.node(back).replica.view(deadline()).await.expect("a view");
    assert!((0..5).all(|batch| value(&view, &format!("{batch}-99")).is_some()));
    assert!(cluster.node(back).dir.path().join("state/g-0000000001").exists(), "it came by a checkpoint");
    cluster.stop().await;
}

/// What four checkpoints' worth of log take, one that is being written, and whole files at both ends.
const LOG_BYTES_KEPT_MAX: u64 = 8 << 20;

/// Bytes of the files directly below one of a node's directories.
fn bytes_below(node: &Node, dir: &str) -> u64 {
    let files = std::fs::read_dir(node.dir.path().join(dir)).into_iter().flatten().flatten();
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

/// The first file of the log is gone, which only a checkpoint allows.
fn is_purged(node: &Node) -> bool {
    let files = std::fs::read_dir(node.dir.path().join("log")).into_iter().flatten().flatten();
    let first = files.map(|file| file.file_name()).filter(|name| name.to_string_lossy().ends_with(".wal")).min();
    first.is_some_and(|name| name != "r-00_000_000_000_000_000_000.wal")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_larger_than_an_entry_is_refused() {
    let cluster = Cluster::formed(u64::MAX).await;
    let huge = bytes::Bytes::from(vec![0; bulkhead_replica::limits::RAFT_ENTRY_BYTES_MAX + 1]);
    let refused = cluster.node(1).replica.propose(huge, deadline()).await;
    assert!(matches!(refused, Err(ProposeError::TooLarge { .. })));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_alone_of_three_serves_nothing_and_says_so() {
    let mut cluster = Cluster::formed(u64::MAX).await;
    cluster.kill(NodeId(2)).await;
    cluster.kill(NodeId(3)).await;
    let soon = now() + Duration::from_millis(1500);
    let alone = cluster.node(1);
    assert!(alone.replica.view(soon).await.is_err());
    assert!(alone.replica.propose(put("k", "v"), soon).await.is_err());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_consensus_has_ended_says_so_and_why() {
    let cluster = Cluster::formed(u64::MAX).await;
    let leader = cluster.leader().await;
    let replica = &cluster.node(leader.0).replica;
    let broken = replica.propose("broken".into(), deadline());
    let (why, outcome) = tokio::join!(tokio::time::timeout(PATIENCE, replica.ended()), broken);
    assert!(outcome.is_err(), "{outcome:?}");
    let why = why.expect("it ends");
    assert!(why.contains("a read failed"), "{why}");
    cluster.stop().await;
}

//! A member hangs without being gone: connections to it stand, and nothing comes back.

use crate::cluster::{Cluster, deadline, now, put, value};
use bulkhead_model::NodeId;
use bulkhead_replica::ProposeError;
use std::time::Duration;

/// No request may cost this much for a member that it does not need.
const MUCH: Duration = Duration::from_millis(1_500);

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_hangs_costs_no_request_its_patience() {
    let mut cluster = Cluster::formed(u64::MAX).await;
    let leader = cluster.leader().await;
    let (hung, other) = (NodeId(leader.0 % 3 + 1), NodeId((leader.0 + 1) % 3 + 1));
    let (down, silent) = cluster.hang(hung).await;
    for round in 0..50_u64 {
        let node = cluster.node(if round % 2 == 0 { leader.0 } else { other.0 });
        let begun = now();
        node.replica.propose(put("k", &round.to_string()), deadline()).await.expect("two are there");
        let view = node.replica.view(deadline()).await.expect("two are there");
        assert_eq!(value(&view, "k"), Some(round.to_string()));
        assert!(begun.elapsed() < MUCH, "round {round} took {:?}", begun.elapsed());
    }
    drop(silent);
    let back = cluster.start(down).await;
    assert!(cluster.node(back).replica.wait_ready(deadline()).await, "it catches up once it goes on");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_hangs_costs_readers_an_election_and_no_more() {
    let mut cluster = Cluster::formed(u64::MAX).await;
    cluster.node(1).replica.propose(put("k", "v"), deadline()).await.expect("proposed");
    let leader = cluster.leader().await;
    let (_down, _silent) = cluster.hang(leader).await;
    let (begun, survivor) = (now(), cluster.node(leader.0 % 3 + 1));
    let view = survivor.replica.view(deadline()).await.expect("two are there");
    assert_eq!(value(&view, "k"), Some("v".into()));
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    for _ in 0..20 {
        let begun = now();
        survivor.replica.view(deadline()).await.expect("a leader is there");
        survivor.replica.propose(put("k", "w"), deadline()).await.expect("a leader is there");
        assert!(begun.elapsed() < MUCH, "{:?}", begun.elapsed());
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_sent_to_a_leader_that_hangs_ends_with_the_election() {
    let mut cluster = Cluster::formed(u64::MAX).await;
    let leader = cluster.leader().await;
    let (_down, _silent) = cluster.hang(leader).await;
    let (begun, survivor) = (now(), cluster.node(leader.0 % 3 + 1));
    // When the next leader is known before it is sent, it is executed there.
    let outcome = survivor.replica.propose(put("k", "v"), deadline()).await;
    assert!(matches!(outcome, Ok(_) | Err(ProposeError::Unknown(_))), "{outcome:?}");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    survivor.replica.propose(put("k", "w"), deadline()).await.expect("a leader is there");
    let view = survivor.replica.view(deadline()).await.expect("a leader is there");
    assert_eq!(value(&view, "k"), Some("w".into()));
    cluster.stop().await;
}

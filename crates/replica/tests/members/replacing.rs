//! Nodes come and go: the lead is handed over, voters are replaced, a wiped node is not its former self.

use crate::cluster::{Cluster, LOOK, PATIENCE, appended, deadline, now, put, value};
use bulkhead_model::NodeId;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// Makes `voters` the voters, through whoever leads.
async fn set_voters(cluster: &Cluster, voters: &[u64]) {
    let voters: Vec<NodeId> = voters.iter().copied().map(NodeId).collect();
    let until = deadline();
    loop {
        let leader = cluster.leader().await;
        match cluster.node(leader.0).replica.set_voters(&voters).await {
            Ok(()) => return,
            Err(error) => assert!(now() < until, "{error}"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Adds a fresh node and waits until it has what the leader has.
async fn add_learner(cluster: &mut Cluster, id: u64) {
    let fresh = cluster.add(id).await;
    let member = cluster.node(fresh).member.clone();
    let until = deadline();
    loop {
        let leader = cluster.leader().await;
        match cluster.node(leader.0).replica.add_learner(&member).await {
            Ok(()) => break,
            Err(error) => assert!(now() < until, "{error}"),
        }
        tokio::time::sleep(LOOK).await;
    }
    let leader = cluster.leader().await;
    let reached = cluster.node(leader.0).replica.status().applied;
    cluster.until("the learner caught up", |cluster| cluster.node(id).replica.status().applied >= reached).await;
    assert!(cluster.node(leader.0).replica.status().learners.contains(&member));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lead_can_be_handed_over_and_a_voter_replaced() {
    let mut cluster = Cluster::formed(u64::MAX).await;
    let leader = cluster.leader().await;
    let next = NodeId(leader.0 % 3 + 1);
    cluster.node(leader.0).replica.transfer_leader(next).await.expect("asked");
    cluster.until("the lead is handed over", |cluster| cluster.node(next.0).replica.is_leader()).await;

    let gone = NodeId(next.0 % 3 + 1);
    cluster.kill(gone).await;
    add_learner(&mut cluster, 4).await;
    let voters: Vec<u64> = [1, 2, 3, 4].into_iter().filter(|id| *id != gone.0).collect();
    for _ in 0..2 {
        set_voters(&cluster, &voters).await;
    }
    cluster.node(next.0).replica.propose(put("k", "v"), deadline()).await.expect("proposed");
    let view = cluster.node(4).replica.view(deadline()).await.expect("a view");
    assert_eq!(value(&view, "k"), Some("v".into()));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_voters_are_replaced_one_by_one_under_load_and_nothing_is_lost() {
    let mut cluster = Cluster::formed(1 << 20).await;
    let stop = AtomicBool::new(false);
    // Writers that stay: a node that leaves is asked nothing more. Each value is appended once it is acknowledged.
    let (mut acknowledged, mut replaced) = (Vec::new(), 0);
    let filler = "x".repeat(2 << 10);
    for old in 1..=3_u64 {
        let new = old + 3;
        add_learner(&mut cluster, new).await;
        let voters: Vec<u64> = (old + 1..=new).collect();
        stop.store(false, Ordering::SeqCst);
        let writer = cluster.node(new);
        let load = async {
            let mut done = Vec::new();
            for n in 0_u64.. {
                let value = format!("{old}-{n},");
                if writer.replica.propose(appended("list", &value), deadline()).await.is_ok() {
                    done.push(value);
                }
                let filled = put(&format!("f{}", n % 50), &filler);
                let _outcome_does_not_matter = writer.replica.propose(filled, deadline()).await;
                if stop.load(Ordering::SeqCst) && n > 20 {
                    break;
                }
            }
            done
        };
        let swap = async {
            set_voters(&cluster, &voters).await;
            stop.store(true, Ordering::SeqCst);
        };
        let (done, ()) = tokio::join!(load, swap);
        acknowledged.extend(done);
        replaced += 1;
        cluster.kill(NodeId(old)).await;
    }
    assert_eq!(replaced, 3);
    for node in cluster.nodes() {
        let view = node.replica.view(deadline()).await.expect("a view");
        let list = value(&view, "list").expect("there");
        let lost = acknowledged.iter().filter(|value| !list.contains(value.as_str())).count();
        assert_eq!(lost, 0, "of {} on node {}", acknowledged.len(), node.member.node);
        let voters: Vec<u64> = node.replica.status().members.iter().map(|member| member.node.0).collect();
        assert_eq!(voters, [4, 5, 6]);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_node_is_no_voter_and_says_that_it_must_be_replaced() {
    let mut cluster = Cluster::formed(u64::MAX).await;
    cluster.node(1).replica.propose(put("k", "v"), deadline()).await.expect("proposed");
    let leader = cluster.leader().await;
    let (wiped, healthy) = (NodeId(leader.0 % 3 + 1), NodeId((leader.0 + 1) % 3 + 1));
    let down = cluster.kill(wiped).await.wiped();
    cluster.start(down).await;
    cluster.until("it knows", |cluster| cluster.node(wiped.0).replica.status().wiped).await;
    assert!(!cluster.node(wiped.0).replica.status().ready);
    let begun = now();
    assert!(cluster.node(wiped.0).replica.view(deadline()).await.is_err());
    assert!(cluster.node(wiped.0).replica.propose(put("k", "?"), deadline()).await.is_err());
    assert!(begun.elapsed() < Duration::from_secs(1), "who asks it has not the time to wait in vain");
    cluster.node(leader.0).replica.propose(put("k", "w"), deadline()).await.expect("two voters are there");

    // Without the other voter nothing may be acknowledged, whatever the wiped one would say.
    let down = cluster.kill(healthy).await;
    let soon = now() + Duration::from_millis(1_500);
    assert!(cluster.node(leader.0).replica.propose(put("k", "x"), soon).await.is_err());
    assert!(cluster.node(leader.0).replica.view(now() + Duration::from_millis(500)).await.is_err());
    cluster.start(down).await;

    add_learner(&mut cluster, 4).await;
    set_voters(&cluster, &[leader.0, healthy.0, 4]).await;
    cluster.kill(wiped).await;
    let view = cluster.node(4).replica.view(now() + PATIENCE).await.expect("a view");
    assert!(value(&view, "k").is_some_and(|value| value == "w" || value == "x"), "{:?}", value(&view, "k"));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_who_it_says_it_is() {
    let mut cluster = Cluster::formed(u64::MAX).await;
    let leader = cluster.leader().await;
    let other = cluster.add(4).await;
    let mut stranger = cluster.node(other).member.clone();
    stranger.node = NodeId(5);
    let refused = cluster.node(leader.0).replica.add_learner(&stranger).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("node 4 answers")));
    let known = cluster.node(leader.0 % 3 + 1).member.clone();
    cluster.node(leader.0).replica.add_learner(&known).await.expect("it is a member");
    cluster.stop().await;
}

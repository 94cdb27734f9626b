//! A group is upgraded node by node: nobody meets a format that it does not read.

use crate::cluster::{Cluster, NEWER, deadline, put_newer, value};
use bulkhead_model::NodeId;
use bulkhead_replica::ProposeError;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_a_newer_format_is_refused_until_every_member_reads_it() {
    let mut cluster = Cluster::formed(u64::MAX).await;
    for id in 1..=3 {
        for node in cluster.nodes() {
            let proposed = node.replica.propose(put_newer("k", "v"), deadline()).await;
            assert!(matches!(proposed, Err(ProposeError::NotExecuted(_))), "{proposed:?} with {id} nodes to upgrade");
        }
        let mut down = cluster.kill(NodeId(id)).await;
        down.newest = NEWER;
        cluster.start(down).await;
        assert!(cluster.node(id).replica.wait_ready(deadline()).await);
    }
    cluster.until("the version is raised", |cluster| cluster.nodes().all(|n| n.replica.version() == NEWER)).await;
    cluster.node(1).replica.propose(put_newer("k", "v"), deadline()).await.expect("every member reads it");
    let view = cluster.node(2).replica.view(deadline()).await.expect("a view");
    assert_eq!(value(&view, "k"), Some("v".into()));

    // An older build neither opens what is there nor joins.
    let mut down = cluster.kill(NodeId(3)).await;
    down.newest = 1;
    cluster.refuses_to_open(&down, "format version 2").await;
    down.newest = NEWER;
    cluster.start(down).await;
    let leader = cluster.leader().await;
    let older = cluster.add(4).await;
    let member = cluster.node(older).member.clone();
    let refused = cluster.node(leader.0).replica.add_learner(&member).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("reads formats up to 1")));
    cluster.stop().await;
}

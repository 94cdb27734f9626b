//! The index over three real replicas: exactly once whatever fails and whatever the clocks say, and full to the byte.

mod cluster;

use bulkhead_cell::{
    limits::{BUCKETS_PER_ACCOUNT_MAX, REPLAY_TICKS},
    meta::{
        command::{Command, Condition, DeleteObject, Done, EtagMatch, Refusal},
        record::BucketId,
    },
};
use bulkhead_model::{Timestamp, blueprint::Capacity};
use cluster::{Cluster, HOUR, START, create_bucket, deadline, put};
use futures::future::join_all;

const ROOMY: Capacity = Capacity::holding(1 << 40, 1_000_000, 10);

async fn bucket(cluster: &Cluster, name: &str) -> BucketId {
    match cluster.run(1, None, create_bucket(name)).await {
        Ok(Done::BucketCreated { bucket }) => bucket,
        other => panic!("{other:?}"),
    }
}

fn only_new() -> Condition {
    Condition { if_match: None, if_none_match: Some(EtagMatch::Any) }
}

fn set_clock(cluster: &Cluster, node: u64, time: u64) {
    cluster.nodes[&node].env.clock.set_wall(Timestamp(time));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_carried_out_once_through_leader_changes_restarts_and_clocks_an_hour_off() {
    let mut cluster = Cluster::formed(ROOMY).await;
    let bucket = bucket(&cluster, "b").await;
    let command = put(&cluster, bucket, "k", 1, 10, only_new()).await;
    let first = cluster.run(1, Some(7), command.clone()).await;
    assert!(first.is_ok(), "{first:?}");

    // Two clocks jump, and everybody writes: neither makes the outcome old.
    for (node, time) in [(1, START.0 + HOUR), (2, START.0 - HOUR), (3, START.0)] {
        set_clock(&cluster, node, time);
        for n in 0..8_u8 {
            let other = put(&cluster, bucket, &format!("o{node}-{n}"), n, 10, Condition::default()).await;
            cluster.run(node, Some(u128::from(n) + 1_000 * u128::from(node)), other).await.expect("there is room");
        }
        assert_eq!(cluster.run(node, Some(7), command.clone()).await, first, "through node {node}");
    }
    // The leader dies, then everybody.
    let leader = cluster.leader().await;
    let down = cluster.kill(leader).await;
    let survivor = leader % 3 + 1;
    assert_eq!(cluster.run(survivor, Some(7), command.clone()).await, first, "under another leader");
    cluster.start(down).await;
    cluster.restart_all().await;
    for node in 1..=3 {
        assert_eq!(cluster.run(node, Some(7), command.clone()).await, first, "after a restart, through node {node}");
    }
    assert_eq!(cluster.run(1, Some(8), command.clone()).await, Err(Refusal::PreconditionFailed), "another request");

    // Only ticks make it old: it is there for all of them, and gone after.
    for after in 0..REPLAY_TICKS {
        assert_eq!(cluster.run(2, Some(7), command.clone()).await, first, "in tick {after}");
        cluster.run(1, None, Command::Tick { after }).await.expect("a tick");
    }
    assert_eq!(cluster.run(2, Some(7), command.clone()).await, first);
    cluster.run(1, None, Command::Tick { after: REPLAY_TICKS }).await.expect("a tick");
    assert_eq!(cluster.run(2, Some(7), command).await, Err(Refusal::PreconditionFailed));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timestamps_of_a_key_never_go_back_whatever_the_clocks_do() {
    let cluster = Cluster::formed(ROOMY).await;
    let bucket = bucket(&cluster, "b").await;
    let (mut last, mut tag) = (Timestamp(0), 0);
    for jump in [0, HOUR, 0, 2 * HOUR, HOUR, 0] {
        for node in 1..=3 {
            set_clock(&cluster, node, START.0 - HOUR + jump * node);
            tag += 1;
            let command = put(&cluster, bucket, "k", tag, 10, Condition::default()).await;
            let Ok(Done::ObjectPut { modified, .. }) = cluster.run(node, None, command).await else {
                panic!("there is room")
            };
            assert!(modified >= last, "{modified:?} after {last:?}");
            last = modified;
            for reader in cluster.nodes.values() {
                let view = reader.index.read(deadline()).await.expect("a view");
                let object = view.object(bucket, "k").expect("readable").expect("there");
                assert_eq!((object.modified, object.etag.md5), (last, [tag; 16]));
            }
        }
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_at_once_fill_a_cell_to_its_last_object_and_byte_and_no_further() {
    let cluster = Cluster::formed(Capacity::holding(1_000, 40, 1)).await;
    let bucket = bucket(&cluster, "b").await;
    let mut commands = Vec::new();
    for n in 0..120_u8 {
        commands.push(put(&cluster, bucket, &format!("k{n}"), n, 10, Condition::default()).await);
    }
    let outcomes = join_all((1_u64..).zip(commands).map(|(n, command)| cluster.run(n % 3 + 1, None, command))).await;
    let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(done, 40);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(Refusal::CellFull { .. }))), "{outcomes:?}");

    // 400 bytes are taken: overwriting grows what is there to the last byte.
    let taken = outcomes.iter().position(Result::is_ok).expect("forty are");
    let key = format!("k{taken}");
    let over = put(&cluster, bucket, &key, 9, 611, Condition::default()).await;
    assert!(matches!(cluster.run(2, None, over).await, Err(Refusal::CellFull { used: 400, max: 1_000, .. })));
    let exact = put(&cluster, bucket, &key, 9, 610, Condition::default()).await;
    cluster.run(2, None, exact).await.expect("610 bytes where 10 were: 1,000 in all");
    let usage = cluster.nodes[&3].index.read(deadline()).await.expect("a view").cell_usage().expect("readable");
    assert_eq!((usage.bytes, usage.objects), (1_000, 40));

    // Full to the brim, deleting works, and makes room.
    let objects = vec![DeleteObject { key, condition: Condition::default() }];
    cluster.run(1, None, Command::DeleteObjects { bucket, objects }).await.expect("deleting needs no room");
    let fits = put(&cluster, bucket, "again", 1, 610, Condition::default()).await;
    cluster.run(3, None, fits).await.expect("there is room again");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_gets_exactly_as_many_buckets_as_it_may_have() {
    let cluster = Cluster::formed(ROOMY).await;
    let wanted = BUCKETS_PER_ACCOUNT_MAX + 30;
    let creations = (0..wanted).map(|n| (n % 3 + 1, create_bucket(&format!("bucket-{n}"))));
    let outcomes = join_all(creations.map(|(node, command)| cluster.run(node, None, command))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64, BUCKETS_PER_ACCOUNT_MAX);
    let refused = Refusal::TooManyBuckets { used: BUCKETS_PER_ACCOUNT_MAX, max: BUCKETS_PER_ACCOUNT_MAX };
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(refused.clone())).count(), 30);
    cluster.stop().await;
}

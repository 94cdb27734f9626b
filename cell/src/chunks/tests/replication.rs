//! Three nodes in one process: who acknowledges, who serves, what is noted for repair.

use super::*;
use crate::{
    chunks::{
        ChunkStore, CopyError, GetError, PutError, Topology,
        extent::ExtentId,
        payload::Blocks,
        remote::{Loopback, Remote},
        repairs::MissingCopy,
    },
    limits::{PEER_FAILURES_MAX, THIRD_COPY_BYTES_MAX, THIRD_COPY_PATIENCE},
};
use async_trait::async_trait;
use bulkhead_model::api::cell::Member;
use std::{future::pending, ops::Range};

const LEN: u32 = 100_000;

fn members() -> Vec<Member> {
    let member = |(node, az): (u64, &str)| Member {
        node: NodeId(node),
        az: az.parse().expect("a label"),
        peer: ([127, 0, 0, 1], 1).into(),
    };
    [(1, "az-a"), (2, "az-b"), (3, "az-c")].map(member).to_vec()
}

struct Cell {
    loopback: Arc<Loopback>,
    /// Of node 1, 2 and 3.
    disks: Vec<FaultyDisk>,
    stores: Vec<ChunkStore>,
}

async fn cell() -> Cell {
    let loopback = Arc::new(Loopback::default());
    let disks: Vec<_> = (1..=3).map(disk).collect();
    let mut stores = Vec::new();
    for (node, disk) in (1..).zip(&disks) {
        let remote = Arc::clone(&loopback) as Arc<dyn Remote>;
        let store =
            ChunkStore::open(config(node), Arc::new(disk.clone()), remote, Env::for_tests(node)).await.expect("opens");
        store.set_topology(Topology::new(members()));
        loopback.add(NodeId(node), Arc::clone(store.local()));
        stores.push(store);
    }
    Cell { loopback, disks, stores }
}

impl Cell {
    fn holders(&self, number: u64) -> usize {
        self.stores.iter().filter(|store| store.local().has(id(number))).count()
    }
}

async fn put(store: &ChunkStore, number: u64) -> Result<(), PutError> {
    store.put(id(number), account(), bytes(number, LEN), deadline()).await
}

async fn get(store: &ChunkStore, number: u64) -> Result<Bytes, GetError> {
    store.get(id(number), 0..LEN, deadline()).await
}

/// Waits until `condition` holds; fails the test when it does not within a minute.
async fn until(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("the condition came true");
}

#[tokio::test]
async fn a_put_is_on_two_nodes_when_it_returns_and_on_three_soon() {
    let cell = cell().await;
    put(&cell.stores[0], 1).await.expect("stored");
    assert!(cell.holders(1) >= 2);
    until(|| cell.holders(1) == 3).await;
    for store in &cell.stores {
        assert_eq!(get(store, 1).await, Ok(bytes(1, LEN)));
        assert!(store.repairs().is_empty());
    }
}

#[tokio::test]
async fn one_dead_node_does_not_hold_up_a_put_and_its_missing_copy_is_noted() {
    for dead in [2, 3] {
        let cell = cell().await;
        cell.loopback.remove(NodeId(dead));
        for number in 0..10 {
            put(&cell.stores[0], number).await.expect("stored on two");
            assert_eq!(cell.holders(number), 2);
        }
        until(|| cell.stores[0].repairs().len() == 10).await;
        let noted = cell.stores[0].repairs().list();
        assert!(noted.iter().all(|missing| missing.node == NodeId(dead)));
    }
}

#[tokio::test]
async fn a_put_is_never_acknowledged_with_two_dead_nodes() {
    let cell = cell().await;
    cell.loopback.remove(NodeId(2));
    cell.loopback.remove(NodeId(3));
    for number in 0..10 {
        let refused = put(&cell.stores[0], number).await;
        assert!(matches!(refused, Err(PutError::NotEnoughReplicas { durable: 0..=1, needed: 2, .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn a_failed_local_disk_is_outvoted_by_the_others() {
    let cell = cell().await;
    cell.disks[0].plan(crate::chunks::disk::Fault::Sync(0));
    put(&cell.stores[0], 1).await.expect("stored on the other two");
    assert!(!cell.stores[0].local().has(id(1)));
    assert_eq!(get(&cell.stores[0], 1).await, Ok(bytes(1, LEN)));
    assert!(cell.stores[0].repairs().list().contains(&MissingCopy { chunk: id(1), node: NodeId(1) }));
}

#[tokio::test]
async fn two_azs_are_needed_whatever_their_nodes() {
    let cell = cell().await;
    let mut same_az = members();
    for member in &mut same_az {
        member.az = "az-a".parse().expect("a label");
    }
    cell.stores[0].set_topology(Topology::new(same_az));
    assert!(matches!(put(&cell.stores[0], 1).await, Err(PutError::NotEnoughReplicas { .. })));
}

#[tokio::test]
async fn a_damaged_local_copy_is_served_from_elsewhere_and_noted() {
    let cell = cell().await;
    put(&cell.stores[0], 1).await.expect("stored");
    until(|| cell.holders(1) == 3).await;
    cell.disks[0].flip(&ExtentId(0).to_string(), (4096 + 70_000) * 8);
    assert_eq!(get(&cell.stores[0], 1).await, Ok(bytes(1, LEN)));
    assert_eq!(cell.stores[0].repairs().list(), [MissingCopy { chunk: id(1), node: NodeId(1) }]);
}

#[tokio::test]
async fn a_chunk_is_missing_only_when_every_replica_has_answered() {
    let cell = cell().await;
    assert!(matches!(get(&cell.stores[0], 5).await, Err(GetError::Missing { .. })));
    cell.loopback.remove(NodeId(3));
    assert!(matches!(get(&cell.stores[0], 5).await, Err(GetError::Unavailable { .. })));
}

#[tokio::test]
async fn full_disks_are_named_as_the_reason() {
    let loopback = Arc::new(Loopback::default());
    let mut stores = Vec::new();
    for node in 1..=3 {
        let disk = FaultyDisk::new(node, EXTENT_BYTES);
        let remote = Arc::clone(&loopback) as Arc<dyn Remote>;
        let store = ChunkStore::open(config(node), Arc::new(disk), remote, Env::for_tests(node)).await.expect("opens");
        store.set_topology(Topology::new(members()));
        loopback.add(NodeId(node), Arc::clone(store.local()));
        stores.push(store);
    }
    assert_eq!(put(&stores[0], 1).await, Err(PutError::DiskFull));
}

/// Node 3 takes chunks and never answers.
struct Hanging(Loopback);

#[async_trait]
impl Remote for Hanging {
    async fn put(&self, peer: &Member, chunk: &Chunk, deadline: Instant) -> Result<(), CopyError> {
        if peer.node == NodeId(3) { pending().await } else { self.0.put(peer, chunk, deadline).await }
    }

    async fn get(&self, peer: &Member, id: ChunkId, range: Range<u32>, deadline: Instant) -> Result<Blocks, ReadError> {
        if peer.node == NodeId(3) { pending().await } else { self.0.get(peer, id, range, deadline).await }
    }

    async fn held(&self, peer: &Member, ids: &[ChunkId], deadline: Instant) -> Result<Vec<bool>, ReadError> {
        if peer.node == NodeId(3) { pending().await } else { self.0.held(peer, ids, deadline).await }
    }
}

#[tokio::test]
async fn a_node_that_hangs_costs_puts_little_and_memory_is_bounded() {
    let remote = Hanging(Loopback::default());
    let second = LocalStore::open(config(2), Arc::new(disk(2)), &Env::for_tests(2)).await.expect("opens");
    remote.0.add(NodeId(2), Arc::new(second));
    let env = Env::for_tests(1);
    let store = ChunkStore::open(config(1), Arc::new(disk(1)), Arc::new(remote), env.clone()).await.expect("opens");
    store.set_topology(Topology::new(members()));
    let (rounds, begun) = (THIRD_COPY_BYTES_MAX as u64 / u64::from(LEN) + 50, env.clock.now());
    for number in 0..rounds {
        put(&store, number).await.expect("stored on two");
    }
    let given_up = store.repairs().len();
    assert!(given_up >= 50, "copies beyond the bound are noted for repair: {given_up}");
    let patience = THIRD_COPY_PATIENCE * (PEER_FAILURES_MAX + 5);
    assert!(env.clock.now().duration_since(begun) < patience + Duration::from_secs(20));
}

#[tokio::test]
async fn a_replica_that_hangs_is_not_waited_for_when_another_has_the_chunk() {
    let topology = Topology::new(members());
    let asks_3_first = |number: &u64| {
        let order: Vec<_> = topology.replicas(id(*number)).iter().map(|member| member.node.0).collect();
        order.iter().position(|node| *node == 3) < order.iter().position(|node| *node == 2)
    };
    let number = (0..).find(asks_3_first).expect("half of all chunks");
    let remote = Hanging(Loopback::default());
    let second = LocalStore::open(config(2), Arc::new(disk(2)), &Env::for_tests(2)).await.expect("opens");
    second.put(chunk(number, LEN), deadline()).await.expect("stored");
    remote.0.add(NodeId(2), Arc::new(second));
    let store =
        ChunkStore::open(config(1), Arc::new(disk(1)), Arc::new(remote), Env::for_tests(1)).await.expect("opens");
    store.set_topology(Topology::new(members()));
    assert_eq!(get(&store, number).await, Ok(bytes(number, LEN)));
}

//! Three nodes' indexes in one process, each with a directory, a port and a wall clock of its own.

use bulkhead_cell::meta::{
    apply::Index,
    command::{Command, Condition, Envelope, Outcome, PutObject},
    index::{IndexHandle, SubmitError},
    record::{Account, BucketId, ContentHeaders, Etag, Layout},
};
use bulkhead_model::{AccountId, ClaimId, Epoch, NodeId, RequestId, Timestamp, api::cell::Member, blueprint::Capacity};
use bulkhead_replica::{Replica, ReplicaConfig};
use bulkhead_service::{
    Env,
    http::{Options, Running, serve},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::time::Instant;

/// How long anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(5);
/// Where every clock begins.
pub const START: Timestamp = Timestamp(1_750_000_000_000);
pub const HOUR: u64 = 3_600_000;

#[expect(clippy::disallowed_methods, reason = "these tests run in real time")]
pub fn now() -> Instant {
    Instant::now()
}

pub fn deadline() -> Instant {
    now() + PATIENCE
}

pub fn account() -> AccountId {
    AccountId::new(AccountId::FIRST).expect("in range")
}

pub struct Node {
    pub index: IndexHandle,
    pub env: Env,
    member: Member,
    dir: TempDir,
    server: Running,
}

/// A node that is not running.
pub struct Down {
    member: Member,
    dir: TempDir,
    time: Timestamp,
}

pub struct Cluster {
    pub nodes: BTreeMap<u64, Node>,
    capacity: Capacity,
    starts: u64,
}

impl Cluster {
    /// A formed cell with one account.
    pub async fn formed(capacity: Capacity) -> Self {
        let mut cluster = Self { nodes: BTreeMap::new(), capacity, starts: 0 };
        for id in 1..=3 {
            let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            let peer = free.local_addr().expect("an address");
            drop(free);
            let az = format!("az-{id}").parse().expect("a label");
            let member = Member { node: NodeId(id), az, peer };
            cluster.start(Down { member, dir: TempDir::new().expect("a directory"), time: START }).await;
        }
        let members: Vec<Member> = cluster.nodes.values().map(|node| node.member.clone()).collect();
        cluster.nodes[&1].index.replica().form(&members).await.expect("formed");
        for node in cluster.nodes.values() {
            assert!(node.index.replica().wait_ready(deadline()).await);
        }
        let record = Account { display_name: "n".into(), email: "n@example.com".into(), epoch: Epoch(1) };
        cluster.run(1, None, Command::PutAccount { account: account(), record }).await.expect("there is room");
        cluster
    }

    pub async fn start(&mut self, down: Down) {
        self.starts += 1;
        let env = Env::for_tests(down.member.node.0 + 100 * self.starts);
        env.clock.set_wall(down.time);
        let config = ReplicaConfig {
            dir: down.dir.path().to_owned(),
            node: down.member.node,
            az: down.member.az.clone(),
            peer: down.member.peer,
            cache_bytes: 8 << 20,
            checkpoint_log_bytes: 1 << 20,
            peer_token: None,
            wire: Default::default(),
        };
        let until = deadline();
        let replica = loop {
            // The one before may still be closing its files.
            match Replica::open(config.clone(), Arc::new(Index::new(self.capacity.clone())), env.clone()).await {
                Ok(replica) => break replica,
                Err(error) => assert!(now() < until, "{error}"),
            }
            tokio::time::sleep(LOOK).await;
        };
        let server = loop {
            match serve(&env, down.member.peer, Options::new("peer"), replica.peer_api()).await {
                Ok(server) => break server,
                Err(error) => assert!(now() < until, "{error}"),
            }
            tokio::time::sleep(LOOK).await;
        };
        let Down { member, dir, time: _ } = down;
        let index = IndexHandle::new(replica, env.clone(), member.node);
        self.nodes.insert(member.node.0, Node { index, env, member, dir, server });
    }

    /// Takes a node away without any farewell to the others.
    pub async fn kill(&mut self, id: u64) -> Down {
        let node = self.nodes.remove(&id).expect("a running node");
        let time = node.env.clock.wall();
        node.index.replica().shutdown().await;
        drop((node.index, node.server));
        assert!(node.env.tasks.shutdown(PATIENCE).await, "a task does not stop");
        Down { member: node.member, dir: node.dir, time }
    }

    pub async fn restart_all(&mut self) {
        let mut down = Vec::new();
        for id in 1..=3 {
            down.push(self.kill(id).await);
        }
        for node in down {
            self.start(node).await;
        }
        for node in self.nodes.values() {
            assert!(node.index.replica().wait_ready(deadline()).await);
        }
    }

    pub async fn stop(mut self) {
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.kill(id).await;
        }
    }

    pub async fn leader(&self) -> u64 {
        let found = async {
            loop {
                if let Some((id, _)) = self.nodes.iter().find(|(_, node)| node.index.replica().is_leader()) {
                    return *id;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("there is a leader in time")
    }

    /// Runs a command through a node, stamped with that node's clock, until its outcome is known.
    pub async fn run(&self, node: u64, request: Option<u128>, command: Command) -> Outcome {
        let node = &self.nodes[&node];
        let request = request.map(RequestId);
        let until = deadline();
        loop {
            let envelope = Envelope { time: node.env.clock.wall(), request, routed: None, command: command.clone() };
            match node.index.submit(envelope, until).await {
                Ok(outcome) => return outcome,
                Err(SubmitError::NotExecuted(why)) => assert!(now() < until, "{why}"),
                // What request ids are for: a connection to a leader that dies says nothing, and asking again is safe.
                Err(SubmitError::Unknown(why)) if request.is_some() => assert!(now() < until, "{why}"),
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

pub fn create_bucket(name: &str) -> Command {
    Command::CreateBucket { name: name.into(), owner: account(), claim: ClaimId(1), location: None }
}

/// Puts `len` bytes that ride along.
pub async fn put(cluster: &Cluster, bucket: BucketId, key: &str, tag: u8, len: u64, condition: Condition) -> Command {
    let lease = cluster.nodes[&1].index.lease_blob(deadline()).await.expect("an epoch opens");
    let body = vec![tag; usize::try_from(len).expect("small")];
    Command::PutObject(PutObject {
        bucket,
        key: key.into(),
        condition,
        len,
        etag: Etag { md5: [tag; 16], parts: None },
        checksum: None,
        headers: ContentHeaders::default(),
        layout: Layout::Inline(lease.blob()),
        body: Some(body.into()),
    })
}

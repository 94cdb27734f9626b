//! Replicas in one process, each with its own directory and port, over a small key-value machine.

use bulkhead_model::{NodeId, api::cell::Member};
use bulkhead_replica::{Applied, Family, Machine, Mutation, Reader, Replica, ReplicaConfig, StoreError, View};
use bulkhead_service::{
    Env,
    auth::Token,
    http::{Options, Running, serve},
};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::Instant;

/// How long anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(30);
pub const KEYS: Family = Family { index: 0, name: "keys", large_values: true };
/// The format of [`put_newer`].
pub const NEWER: u8 = 2;
const TOKEN: &str = "a-token-of-more-than-32-characters";

/// `p key value` puts; `a key value` appends and answers the length there was before; `P key value` puts too, in a format
/// that only newer builds read; `broken` finds the state unreadable.
struct Keys {
    newest: u8,
}

impl Machine for Keys {
    fn families(&self) -> &'static [Family] {
        &[KEYS]
    }

    fn newest_format(&self) -> u8 {
        self.newest
    }

    fn format_of(&self, command: &[u8]) -> u8 {
        if command.starts_with(b"P") { NEWER } else { 1 }
    }

    fn apply(&self, view: &dyn Reader, command: &[u8]) -> Result<Applied, StoreError> {
        assert!(self.format_of(command) <= self.newest, "a command in an unknown format reached apply");
        let text = String::from_utf8_lossy(command);
        let mut words = text.splitn(3, ' ');
        let (verb, key, value) = (words.next(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let old = view.get(KEYS, key.as_bytes())?.unwrap_or_default();
        let (value, outcome) = match verb {
            Some("a") => ([&old, value.as_bytes()].concat(), Bytes::from(old.len().to_string())),
            Some("broken") => return Err(StoreError::Store("a read failed".into())),
            _ => (value.as_bytes().to_vec(), Bytes::from_static(b"put")),
        };
        Ok(Applied { mutations: vec![Mutation::Put { family: KEYS, key: key.into(), value }], outcome })
    }
}

pub fn put(key: &str, value: &str) -> Bytes {
    format!("p {key} {value}").into()
}

/// As [`put`], in the newer format.
pub fn put_newer(key: &str, value: &str) -> Bytes {
    format!("P {key} {value}").into()
}

pub fn appended(key: &str, value: &str) -> Bytes {
    format!("a {key} {value}").into()
}

pub fn value(view: &View, key: &str) -> Option<String> {
    let value = view.get(KEYS, key.as_bytes()).expect("readable")?;
    Some(String::from_utf8(value.to_vec()).expect("text"))
}

/// Between two looks at a condition.
pub const LOOK: Duration = Duration::from_millis(5);

#[expect(clippy::disallowed_methods, reason = "these tests run in real time")]
pub fn now() -> Instant {
    Instant::now()
}

pub fn deadline() -> Instant {
    now() + PATIENCE
}

pub struct Node {
    pub member: Member,
    pub replica: Replica,
    pub dir: TempDir,
    env: Env,
    server: Running,
    newest: u8,
}

/// A node that is not running.
pub struct Down {
    member: Member,
    dir: TempDir,
    /// The newest format its build reads.
    pub newest: u8,
}

impl Down {
    /// Its disk is replaced by an empty one.
    pub fn wiped(self) -> Self {
        Self { dir: TempDir::new().expect("a directory"), ..self }
    }
}

pub struct Cluster {
    nodes: BTreeMap<u64, Node>,
    checkpoint_log_bytes: u64,
    /// Processes started so far: each has randomness of its own.
    starts: u64,
}

impl Cluster {
    /// Three nodes that form a group and are ready.
    pub async fn formed(checkpoint_log_bytes: u64) -> Self {
        let mut cluster = Self { nodes: BTreeMap::new(), checkpoint_log_bytes, starts: 0 };
        for id in 1..=3 {
            cluster.add(id).await;
        }
        cluster.node(1).replica.form(&cluster.members()).await.expect("formed");
        for node in cluster.nodes() {
            assert!(node.replica.wait_ready(deadline()).await, "node {} is not ready", node.member.node);
        }
        cluster
    }

    /// A fresh node that belongs to no group.
    pub async fn add(&mut self, id: u64) -> u64 {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let peer = free.local_addr().expect("an address");
        drop(free);
        let az = format!("az-{id}").parse().expect("an AZ");
        let member = Member { node: NodeId(id), az, peer };
        self.start(Down { member, dir: TempDir::new().expect("a directory"), newest: 1 }).await
    }

    pub async fn start(&mut self, down: Down) -> u64 {
        let Down { member, dir, newest } = down;
        self.starts += 1;
        let env = Env::for_tests(member.node.0 + 1_000 * self.starts);
        let config = config(&member, &dir, self.checkpoint_log_bytes);
        let until = deadline();
        let replica = loop {
            // The one before may still be closing its files.
            match Replica::open(config.clone(), Arc::new(Keys { newest }), env.clone()).await {
                Ok(replica) => break replica,
                Err(error) => assert!(now() < until, "{error}"),
            }
            tokio::time::sleep(LOOK).await;
        };
        let server = listen(&env, member.peer, &replica).await;
        let id = member.node.0;
        self.nodes.insert(id, Node { member, replica, dir, env, server, newest });
        id
    }

    /// Waits until a node does not open, and says why with these words. The one before may still be closing its files.
    pub async fn refuses_to_open(&self, down: &Down, why: &str) {
        let env = Env::for_tests(down.member.node.0);
        let config = config(&down.member, &down.dir, self.checkpoint_log_bytes);
        let until = deadline();
        loop {
            match Replica::open(config.clone(), Arc::new(Keys { newest: down.newest }), env.clone()).await {
                Ok(_) => panic!("node {} opened", down.member.node),
                Err(error) if error.to_string().contains(why) => return,
                Err(error) => assert!(now() < until, "{error}"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Takes a node away without any farewell to the others.
    pub async fn kill(&mut self, id: NodeId) -> Down {
        let node = self.nodes.remove(&id.0).expect("a running node");
        node.replica.shutdown().await;
        drop(node.server);
        assert!(node.env.tasks.shutdown(PATIENCE).await, "a task does not stop");
        Down { member: node.member, dir: node.dir, newest: node.newest }
    }

    /// A node hangs, as a stopped process does: connections to it are taken, and nothing is answered while this is held.
    pub async fn hang(&mut self, id: NodeId) -> (Down, TcpListener) {
        let down = self.kill(id).await;
        let until = deadline();
        loop {
            match TcpListener::bind(down.member.peer) {
                Ok(silent) => return (down, silent),
                Err(error) => assert!(now() < until, "{error}"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    pub async fn stop(mut self) {
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.kill(NodeId(id)).await;
        }
    }

    pub fn node(&self, id: u64) -> &Node {
        &self.nodes[&id]
    }

    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    pub fn members(&self) -> Vec<Member> {
        self.nodes().map(|node| node.member.clone()).collect()
    }

    pub async fn leader(&self) -> NodeId {
        self.until("there is a leader", |cluster| cluster.nodes().any(|node| node.replica.is_leader())).await;
        self.nodes().find(|node| node.replica.is_leader()).expect("just seen").member.node
    }

    /// Waits for a condition.
    pub async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let reached = async {
            while !condition(self) {
                tokio::time::sleep(LOOK).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, reached).await.is_ok(), "waited in vain until {what}");
    }
}

fn config(member: &Member, dir: &TempDir, checkpoint_log_bytes: u64) -> ReplicaConfig {
    ReplicaConfig {
        dir: dir.path().to_owned(),
        node: member.node,
        az: member.az.clone(),
        peer: member.peer,
        cache_bytes: 8 << 20,
        checkpoint_log_bytes,
        peer_token: Some(Token::new(TOKEN).expect("long enough")),
        wire: Default::default(),
    }
}

async fn listen(env: &Env, address: SocketAddr, replica: &Replica) -> Running {
    let until = deadline();
    loop {
        match serve(env, address, Options::new("peer"), replica.peer_api()).await {
            Ok(server) => return server,
            Err(error) => assert!(now() < until, "{error}"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

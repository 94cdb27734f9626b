//! One simulated machine: a runtime of its own with a clock that the world moves, and disks that outlive it.
//!
//! A crash drops the runtime, and with it every task between two of its awaits.

use crate::{
    entropy::mixed,
    net::{HostId, PORT, Uplink, Wires},
};
use bulkhead_cell::{
    chunks::{ChunkStore, LocalConfig, Topology, disk::FaultyDisk},
    meta::{apply::Index, index::IndexHandle},
    names::Names,
    ops::Cell,
    peer,
};
use bulkhead_model::{Blueprint, NodeId, Timestamp, api::cell::Member};
use bulkhead_replica::{MemoryDisk, Replica, ReplicaConfig};
use bulkhead_service::{
    Env,
    auth::Token,
    client::{Client, Endpoints},
    env::{Clock, Pace, Rng},
};
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    runtime::Runtime,
    time::{Instant, sleep_until},
};

const BLUEPRINT: &str = include_str!("../../../blueprints/dev.toml");
const TOKEN: &str = "a-token-that-only-the-simulation-knows";
/// The wall clock at the beginning of a run.
const EPOCH_MS: u64 = 1_750_000_000_000;
/// How long a disk takes, when nothing is wrong with it.
pub const DISK_PACE: Duration = Duration::from_millis(3);
/// Room on the disk of the chunk store; the reserve is 1 GiB of it.
const DISK_BYTES: u64 = 3 << 30;

/// A running machine.
pub struct Up {
    pub runtime: Runtime,
    began: (u64, Instant),
    pub clock: Clock,
    pub pace: Pace,
    /// There once the node has opened what it stored.
    pub parts: Arc<OnceLock<Parts>>,
    pub env: Env,
}

/// A node, as those who call it see it.
#[derive(Clone)]
pub struct Parts {
    pub cell: Cell,
    pub replica: Replica,
    pub router: axum::Router,
}

impl Up {
    /// A machine without a node, from simulated millisecond `now` on.
    pub fn bare(now: u64, seed: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime without threads");
        let rng = Rng::from_seed(seed);
        let clock = Clock::manual(Timestamp(EPOCH_MS + now));
        let pace = Pace::new(rng.clone(), DISK_PACE);
        let env = Env::simulated(clock.clone(), rng, pace.clone());
        let at = runtime.block_on(async { env.clock.now() });
        Self { runtime, began: (now, at), clock, pace, parts: Arc::default(), env }
    }

    /// Runs everything until simulated millisecond `until`.
    pub fn run(&self, until: u64, wall_skew_ms: i64) {
        self.clock.set_wall(Timestamp((EPOCH_MS + until).saturating_add_signed(wall_skew_ms)));
        let to = self.began.1 + Duration::from_millis(until - self.began.0);
        self.runtime.block_on(async move { sleep_until(to).await });
    }
}

/// A machine of the cell, up or down.
pub struct Host {
    pub id: HostId,
    seed: u64,
    dir: PathBuf,
    index_disk: MemoryDisk,
    pub chunk_disk: FaultyDisk,
    pub up: Option<Up>,
    /// How far its wall clock is off, milliseconds.
    pub skew_ms: i64,
    lives: u64,
}

/// How a machine goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    /// The process dies; what it wrote is there.
    Kill,
    /// The power fails: what was not synced may be gone.
    Power,
}

impl Host {
    /// A machine that has never run.
    pub fn new(id: HostId, seed: u64, dir: PathBuf) -> Self {
        let seed = mixed(seed ^ mixed(id as u64));
        let chunk_disk = FaultyDisk::new(seed, DISK_BYTES);
        Self { id, seed, dir, index_disk: MemoryDisk::default(), chunk_disk, up: None, skew_ms: 0, lives: 0 }
    }

    /// Powers up and begins to open the node.
    pub fn start(&mut self, now: u64, members: &[Member], wires: &Wires) {
        self.lives += 1;
        let up = Up::bare(now, mixed(self.seed ^ self.lives));
        let (parts, env, wires) = (Arc::clone(&up.parts), up.env.clone(), wires.clone());
        let boot = Boot {
            member: members[self.id - 1].clone(),
            members: members.to_vec(),
            dir: self.dir.clone(),
            index_disk: self.index_disk.clone(),
            chunk_disk: self.chunk_disk.clone(),
            client: Client::over(Arc::new(Uplink { host: self.id, wires: wires.clone() }), Some(&token())),
        };
        let id = self.id;
        up.runtime.spawn(async move {
            match boot.run(env).await {
                Ok(opened) => drop(parts.set(opened)),
                Err(error) => wires.note(format_args!("node {id} does not open: {error}")),
            }
        });
        self.up = Some(up);
    }

    /// Goes down.
    pub fn stop(&mut self, how: Down) {
        let Some(up) = self.up.take() else { return };
        drop(up);
        match how {
            Down::Kill => self.chunk_disk = self.chunk_disk.kill(),
            Down::Power => {
                self.index_disk.crash(&Rng::from_seed(mixed(self.seed ^ self.lives ^ (1 << 32))));
                self.chunk_disk = self.chunk_disk.crash();
            }
        }
    }
}

fn token() -> Token {
    Token::new(TOKEN).expect("long enough")
}

/// The cell's blueprint, with sizes that let a short run fill extents and take checkpoints.
pub fn blueprint() -> Blueprint {
    let mut blueprint = Blueprint::parse(BLUEPRINT).expect("the dev blueprint is valid");
    blueprint.sizes.chunk_bytes = 64 << 10;
    blueprint.sizes.inline_bytes_max = 2 << 10;
    blueprint.sizes.extent_bytes = 2 << 20;
    blueprint.sizes.body_budget_bytes = 64 << 20;
    blueprint.sizes.checkpoint_log_bytes = 256 << 10;
    blueprint
}

/// The nodes of the cell.
pub fn members() -> Vec<Member> {
    let azs = blueprint().topology.azs;
    let member = |(at, az): (usize, _)| {
        let port = PORT + u16::try_from(at + 1).expect("few nodes");
        Member { node: NodeId(at as u64 + 1), az, peer: SocketAddr::from(([127, 0, 0, 1], port)) }
    };
    azs.into_iter().enumerate().map(member).collect()
}

/// What a node is opened from.
struct Boot {
    member: Member,
    members: Vec<Member>,
    dir: PathBuf,
    index_disk: MemoryDisk,
    chunk_disk: FaultyDisk,
    client: Client,
}

impl Boot {
    async fn run(self, env: Env) -> Result<Parts, String> {
        let blueprint = blueprint();
        let (sizes, node) = (&blueprint.sizes, self.member.node);
        let config = ReplicaConfig {
            dir: self.dir,
            node,
            az: self.member.az.clone(),
            peer: self.member.peer,
            cache_bytes: sizes.index_cache_bytes,
            checkpoint_log_bytes: sizes.checkpoint_log_bytes,
            peer_token: Some(token()),
        };
        let machine = Arc::new(Index::new(blueprint.capacity.clone()));
        let replica = Replica::open_simulated(config, machine, env.clone(), &self.index_disk, self.client.clone());
        let replica = replica.await.map_err(|error| error.to_string())?;
        let local = LocalConfig { node, extent_bytes: sizes.extent_bytes, chunk_bytes: sizes.chunk_bytes };
        let remote = Arc::new(peer::PeerClient::new(self.client.clone(), env.clock.clone()));
        let chunks = ChunkStore::open(local, Arc::new(self.chunk_disk), remote, env.clone()).await;
        let chunks = chunks.map_err(|error| error.to_string())?;
        chunks.set_topology(Topology::new(self.members));
        let index = IndexHandle::new(replica.clone(), env.clone(), node);
        let names = Names::new(Endpoints::new(self.client, &[]), env.clock.clone());
        let chunk_routes = peer::routes(chunks.clone(), env.clock.clone(), Arc::new([token()]));
        let router = replica.peer_api().merge(chunk_routes);
        let cell = Cell::new(index, chunks, names, env, sizes);
        Ok(Parts { cell, replica, router })
    }
}

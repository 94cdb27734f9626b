//! One simulated machine: a runtime of its own with a clock that the world moves, and disks that outlive it.
//!
//! A crash drops the runtime, and with it every task between two of its awaits.

use crate::{
    entropy::mixed,
    faults::{SLOTS, Slot},
    line::Door,
    net::{HostId, Moment, PEER_PORT, S3_PORT, Uplink, Wires, address},
};
use bulkhead_cell::{
    chunks::{ChunkStore, LocalConfig, disk::FaultyDisk},
    clock,
    jobs::{Jobs, figures::Figures},
    limit::{self, Limiter},
    meta::{
        apply::Index,
        bytes::{Bytes, Verdict},
        index::IndexHandle,
        seal::CellKey,
        ticks,
    },
    names::Names,
    node,
    ops::Cell,
    peer,
    poison::Poison,
    s3::{self, Gates},
};
use bulkhead_model::{Blueprint, NodeId, Timestamp, api::cell::Member, routing::NodeRoute};
use bulkhead_replica::{MemoryDisk, Replica, ReplicaConfig, memory::Counts};
use bulkhead_service::{
    Env,
    auth::Token,
    client::{Client, Endpoints},
    env::{Clock, Pace, Rng},
    http,
    settings::Live,
};
use std::{
    convert::Infallible,
    fs,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    runtime::Runtime,
    time::{Instant, sleep_until},
};
use tower::ServiceExt as _;

const SCRUB_FILE: &str = "scrub.json";
const BLUEPRINT: &str = include_str!("../../../blueprints/dev.toml");
/// What the cell is called, and the region that signatures name.
pub const CELL: &str = "c1";
pub const REGION: &str = "us-east-1";
const TOKEN: &str = "a-token-that-only-the-simulation-knows";
/// The wall clock at the beginning of a run.
const EPOCH_MS: u64 = 1_750_000_000_000;
/// How long a disk takes, when nothing is wrong with it.
pub const DISK_PACE: Duration = Duration::from_millis(3);
/// Room on the disk of the chunk store; the reserve is 1 GiB of it.
const DISK_BYTES: u64 = 3 << 30;
/// How long what nobody names any more is kept.
pub const GRACE: Duration = Duration::from_secs(1);
/// Between two censuses, and within which every chunk is read.
const CENSUS: Duration = Duration::from_secs(3);
const SCRUB: Duration = Duration::from_secs(16);

/// A running machine.
pub struct Up {
    pub runtime: Runtime,
    began: (u64, Instant),
    pub clock: Clock,
    pub pace: Pace,
    /// There once the node has opened what it stored.
    pub parts: Arc<OnceLock<Parts>>,
    /// There once it serves S3.
    pub door: Arc<OnceLock<Door>>,
    /// There once the process would end: why.
    pub ended: Arc<OnceLock<String>>,
    pub env: Env,
}

/// A node, as those who call it see it.
#[derive(Clone)]
pub struct Parts {
    pub cell: Cell,
    pub replica: Replica,
    pub router: axum::Router,
    pub figures: Arc<Figures>,
    s3: s3::Service,
}

impl Parts {
    /// How the node serves S3 on a connection: as its S3 listener does.
    fn door(&self, id: HostId, wires: &Wires) -> Door {
        let (env, s3, wires) = (self.cell.env.clone(), self.s3.clone(), wires.clone());
        Arc::new(move |line| {
            let (env, s3, wires, caller) = (env.clone(), s3.clone(), wires.clone(), line.caller());
            Box::pin(async move {
                let options = node::s3_options();
                let handler = tower::service_fn(move |request: ::http::Request<http::RequestBody>| {
                    let (s3, wires) = (s3.clone(), wires.clone());
                    async move {
                        let answer = s3.oneshot(request).await?;
                        if answer.status().is_success() {
                            wires.moment(Moment::Outcome, id, caller);
                        }
                        Ok::<_, Infallible>(answer)
                    }
                });
                http::serve_connection(&env, line, address(S3_PORT, caller), &options, handler).await;
            })
        })
    }

    /// Copies that the node knows to be missing, of chunks that are named; `None` before it has compared all it holds with the
    /// index. What was never named waits longer, for its epoch to be closed.
    pub fn missing_copies(&self) -> Option<usize> {
        self.figures.covers(self.cell.chunks.topology().as_ref()).then_some(())?;
        let bytes = Bytes::new(self.cell.index.local(), GRACE).ok()?;
        let missing = self.cell.chunks.repairs().list();
        let verdicts = missing.iter().map(|copy| bytes.verdict(copy.chunk.blob.into()));
        Some(verdicts.filter(|verdict| !matches!(verdict, Ok(Verdict::Kept | Verdict::Free))).count())
    }
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
        let (parts, door, ended) = Default::default();
        Self { runtime, began: (now, at), clock, pace, parts, door, ended, env }
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
    pub slot: Slot,
    /// It is not to run again: another has its place.
    pub retired: bool,
    checkpoint_log_bytes: u64,
    seed: u64,
    dir: PathBuf,
    index_disk: MemoryDisk,
    pub chunk_disk: FaultyDisk,
    pub up: Option<Up>,
    /// How far its wall clock is off, milliseconds.
    pub skew_ms: i64,
    pace: Duration,
    lives: u64,
    /// Copies that former processes have made anew.
    repaired: u64,
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
    pub fn new(id: HostId, slot: Slot, seed: u64, dir: PathBuf, checkpoint_log_bytes: u64) -> Self {
        let seed = mixed(seed ^ mixed(id as u64));
        Self {
            id,
            slot,
            retired: false,
            checkpoint_log_bytes,
            seed,
            dir,
            index_disk: MemoryDisk::default(),
            chunk_disk: FaultyDisk::new(seed, DISK_BYTES),
            up: None,
            skew_ms: 0,
            pace: DISK_PACE,
            lives: 0,
            repaired: 0,
        }
    }

    /// The node, if it is up and open.
    pub fn parts(&self) -> Option<&Parts> {
        self.up.as_ref()?.parts.get()
    }

    /// Who it is to the group.
    pub fn member(&self) -> Member {
        member(self.id, self.slot)
    }

    /// Where it is, for routers.
    pub fn route(&self) -> NodeRoute {
        NodeRoute { node: NodeId(self.id as u64), az: self.member().az, s3: address(S3_PORT, self.id) }
    }

    /// From now on each piece of work of the disks takes up to `most`.
    pub fn set_pace(&mut self, most: Duration) {
        self.pace = most;
        if let Some(up) = &self.up {
            up.pace.set(most);
        }
    }

    /// Powers up and begins to open the node.
    pub fn start(&mut self, now: u64, wires: &Wires) {
        self.lives += 1;
        let up = Up::bare(now, mixed(self.seed ^ self.lives));
        up.pace.set(self.pace);
        let (parts, door, ended) = (Arc::clone(&up.parts), Arc::clone(&up.door), Arc::clone(&up.ended));
        let (env, wires) = (up.env.clone(), wires.clone());
        fs::create_dir_all(&self.dir).expect("a temporary directory is writable");
        let boot = Boot {
            member: self.member(),
            dir: self.dir.clone(),
            checkpoint_log_bytes: self.checkpoint_log_bytes,
            index_disk: self.index_disk.clone(),
            chunk_disk: self.chunk_disk.clone(),
            client: Client::over(Arc::new(Uplink { host: self.id, wires: wires.clone() }), Some(&token())),
        };
        let id = self.id;
        up.runtime.spawn(async move {
            let why = match boot.run(env).await {
                Ok(opened) => {
                    drop(door.set(opened.door(id, &wires)));
                    let replica = opened.replica.clone();
                    drop(parts.set(opened));
                    replica.ended().await
                }
                Err(error) => format!("it does not open: {error}"),
            };
            wires.note(format_args!("node {id} ends: {why}"));
            drop(ended.set(why));
        });
        self.up = Some(up);
    }

    /// Goes down.
    pub fn stop(&mut self, how: Down) {
        let Some(up) = self.up.take() else { return };
        self.repaired += copies(&up);
        drop(up);
        match how {
            Down::Kill => self.chunk_disk = self.chunk_disk.kill(),
            Down::Power => {
                self.index_disk.crash(&Rng::from_seed(mixed(self.seed ^ self.lives ^ (1 << 32))));
                self.chunk_disk = self.chunk_disk.crash();
            }
        }
    }

    /// Its data are gone. It must be down.
    pub fn wipe(&mut self) {
        self.index_disk = MemoryDisk::default();
        self.chunk_disk = FaultyDisk::new(mixed(self.seed ^ self.lives ^ (1 << 33)), DISK_BYTES);
        fs::remove_dir_all(&self.dir).expect("a temporary directory is writable");
    }

    /// Flips bits of the chunk store, on the medium and in memory.
    pub fn rot(&self, bits: u64, rng: &Rng) {
        let names = self.chunk_disk.names();
        let below = |most: u64| usize::try_from(rng.below(most)).expect("small");
        for _ in 0..bits {
            let Some(name) = names.get(below(names.len() as u64)) else { return };
            // Extents are filled from the front, so most flips are there.
            let most = 1 + rng.below(blueprint().sizes.extent_bytes * 8);
            self.chunk_disk.flip(name, below(most));
        }
    }

    /// The next sync of the Raft log fails.
    pub fn fail_log_sync(&self) {
        self.index_disk.fail_sync(Rng::from_seed(mixed(self.seed ^ self.lives ^ (1 << 34))));
    }

    /// What has happened to its Raft log.
    pub fn log_counts(&self) -> Counts {
        self.index_disk.counts()
    }

    /// Copies it has made anew.
    pub fn repaired(&self) -> u64 {
        self.repaired + self.up.as_ref().map_or(0, copies)
    }

    /// Forgets how far scrub was, so that it reads everything once more. It must be down.
    pub fn scrub_anew(&self) {
        // It need not have been written yet.
        drop(fs::remove_file(self.dir.join(SCRUB_FILE)));
    }
}

/// Copies that a process has made anew.
fn copies(up: &Up) -> u64 {
    up.parts.get().map_or(0, |parts| parts.figures.snapshot().repair.copies)
}

/// The key that all nodes of the cell have.
pub fn cell_key() -> CellKey {
    CellKey::new([7; 32])
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
    blueprint
}

/// The nodes that form the cell.
pub fn members() -> Vec<Member> {
    (1..=SLOTS).map(|slot| member(slot, slot)).collect()
}

fn member(id: HostId, slot: Slot) -> Member {
    let az = blueprint().topology.azs[slot - 1].clone();
    Member { node: NodeId(id as u64), az, peer: address(PEER_PORT, id) }
}

/// What a node is opened from.
struct Boot {
    member: Member,
    dir: PathBuf,
    checkpoint_log_bytes: u64,
    index_disk: MemoryDisk,
    chunk_disk: FaultyDisk,
    client: Client,
}

impl Boot {
    async fn run(self, env: Env) -> Result<Parts, String> {
        let blueprint = blueprint();
        let (sizes, node) = (&blueprint.sizes, self.member.node);
        let config = ReplicaConfig {
            dir: self.dir.join("index"),
            node,
            az: self.member.az.clone(),
            peer: self.member.peer,
            cache_bytes: sizes.index_cache_bytes,
            checkpoint_log_bytes: self.checkpoint_log_bytes,
            peer_token: Some(token()),
            wire: Default::default(),
        };
        let machine = Arc::new(Index::new(blueprint.capacity.clone()));
        let replica = Replica::open_simulated(config, machine, env.clone(), &self.index_disk, self.client.clone());
        let replica = replica.await.map_err(|error| error.to_string())?;
        let local = LocalConfig { node, extent_bytes: sizes.extent_bytes, chunk_bytes: sizes.chunk_bytes };
        let remote = Arc::new(peer::PeerClient::new(self.client.clone(), env.clock.clone()));
        let chunks = ChunkStore::open(local, Arc::new(self.chunk_disk), remote, env.clone()).await;
        let chunks = chunks.map_err(|error| error.to_string())?;
        let index = IndexHandle::new(replica.clone(), env.clone(), node);
        let names = Names::new(Endpoints::new(self.client.clone(), &[]), env.clock.clone());
        let (limits, at) = (blueprint.account_limits, index.clone());
        let known =
            move |account| at.local().account_limits(account).map_or(limits, |known| known.limits.over(&limits));
        let limiter = Limiter::new(Arc::new(known), env.clock.clone());
        let tokens: Arc<[Token]> = Arc::new([token()]);
        let chunk_routes = peer::routes(chunks.clone(), env.clock.clone(), Arc::clone(&tokens));
        let router = replica.peer_api().merge(chunk_routes);
        let router = router.merge(limit::exchange::routes(limiter.clone(), node, tokens));
        let figures = Arc::<Figures>::default();
        env.tasks.spawn("membership", node::follow_membership(env.clone(), replica.clone(), chunks.clone()));
        env.tasks.spawn("clock", clock::run(replica.clone(), env.clone()));
        env.tasks.spawn("ticks", ticks::run(index.clone(), env.clone()));
        let lending = limit::exchange::run(limiter.clone(), replica.clone(), node, self.client, env.clone());
        env.tasks.spawn("limits", lending);
        let cell = Cell::new(index.clone(), chunks.clone(), names, env.clone(), sizes);
        let gates = Gates { limiter, poison: Poison::forgetful(node, env.clock.clone()) };
        let identity =
            s3::Identity { cell: CELL.parse().expect("a label"), node, region: REGION.to_owned(), domains: Vec::new() };
        let s3 = s3::service(cell.clone(), cell_key(), gates, &identity);
        let jobs = Jobs {
            index,
            chunks,
            figures: Arc::clone(&figures),
            admission: cell.admission.clone(),
            env,
            settings: Live::default(),
            grace: GRACE,
            scrub: SCRUB,
            census: CENSUS,
            scrub_file: self.dir.join(SCRUB_FILE),
        };
        jobs.start();
        Ok(Parts { cell, replica, router, figures, s3 })
    }
}

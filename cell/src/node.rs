//! Wiring: one node of a cell, put together from its parts and taken apart in order. Decides nothing.
//!
//! ```text
//!  s3 listener ──► s3 ──► ops ──┬──► meta ──► replica ◄──┐
//!  admin listener ──► admin ────┘      └── jobs          ├── peer listener
//!                               └──► chunks ◄────────────┘
//! ```

use crate::{
    admin::{self, Admin},
    admit::Admission,
    chunks::{self, ChunkStore, LocalConfig, Topology, disk::RealDisk},
    clock,
    config::Config,
    drill::Drill,
    jobs::{self, figures::Figures},
    limit::{self, Limiter},
    limits::ROUTER_PATIENCE,
    meta::{apply::Index, index::IndexHandle, seal::CellKey, ticks},
    names::Names,
    ops::Cell,
    peer::{self, PeerClient},
    poison::{self, Poison},
    s3::{self, Gates},
};
use bulkhead_model::{api::cell::Member, blueprint::Sizes};
use bulkhead_replica::{Replica, ReplicaConfig};
use bulkhead_service::{
    Env,
    auth::Token,
    client::{Client, Endpoints},
    health,
    http::{self, Options, Running},
    settings::Live,
    shutdown,
    telemetry::Metrics,
    tls::{TlsError, Wire},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the index did not open: {0}")]
    Index(#[from] bulkhead_replica::OpenError),
    #[error("the chunk store did not open: {0}")]
    Chunks(#[from] chunks::OpenError),
    #[error("the disk of the chunk store did not open: {0}")]
    Disk(#[from] std::io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot listen for {what} on {address}: {why}")]
    Listen { what: &'static str, address: SocketAddr, why: std::io::Error },
}

/// A running node.
pub struct Node {
    env: Env,
    replica: Replica,
    chunks: ChunkStore,
    /// In the order in which they are drained: requests end before what they depend on.
    servers: Vec<Running>,
}

impl Node {
    /// Opens what the node has stored and starts serving. The node takes part in its group from then on; it is ready for
    /// tenants when `/readyz` says so.
    ///
    /// # Errors
    /// When stored state cannot be opened, or an address is taken.
    pub async fn start(config: Config, env: Env, metrics: Metrics) -> Result<Self, StartError> {
        let file = &config.file;
        let wire = Wire::open(file.tls.as_ref(), &[file.s3, file.admin, file.peer], &env)?;
        let sizes = config.blueprint.sizes.clone();
        let machine = Arc::new(Index::new(config.blueprint.capacity.clone()));
        let replica = Replica::open(replica_config(&config, &sizes, &wire), machine, env.clone()).await?;
        let chunks = open_chunks(&config, &sizes, &wire, &env).await?;
        let index = IndexHandle::new(replica.clone(), env.clone(), config.file.node);
        let key = CellKey::new(config.cell_key);
        let control_plane = control_plane(&config, &wire);
        let names = Names::new(control_plane.clone(), env.clock.clone());
        let admission = Admission::new(env.clock.clone(), config.blueprint.isolation.enabled);
        let drill = Drill::open(&config.file.data, config.may_be_drilled(), env.clock.clone());
        let cell = Cell::new(index.clone(), chunks.clone(), names.clone(), env.clone(), &sizes)
            .behind(admission.clone())
            .marked(drill.clone());

        env.tasks.spawn("membership", follow_membership(env.clone(), replica.clone(), chunks.clone()));
        env.tasks.spawn("clock", clock::run(replica.clone(), env.clone()));
        env.tasks.spawn("ticks", ticks::run(index.clone(), env.clone()));
        let figures = Arc::default();
        let settings = settings(&config, control_plane, &env);
        start_jobs(&config, settings, &index, &chunks, &figures, &admission, &env);
        env.tasks.spawn("outbox", jobs::outbox::run(index.clone(), names, env.clone()));
        env.tasks.spawn(
            "gauges",
            jobs::gauges::run(index.clone(), admission.clone(), config.blueprint.capacity.clone(), env.clone()),
        );

        let tokens: Arc<[Token]> = Arc::new([config.peer_token.clone()]);
        let limiter = limiter(&config, &index, &env);
        let poison = poison(&config, &env);
        let peers = Client::new(Some(&config.peer_token), wire.client());
        // What others know of requests that end processes is known before tenants are served.
        poison::exchange::round(&poison, &replica, &peers).await;
        env.tasks.spawn(
            "limits",
            limit::exchange::run(limiter.clone(), replica.clone(), config.file.node, peers.clone(), env.clone()),
        );
        env.tasks.spawn("poison", poison::exchange::run(poison.clone(), replica.clone(), peers, env.clone()));
        let peer_routes =
            replica.peer_api().merge(peer::routes(chunks.clone(), env.clock.clone(), Arc::clone(&tokens)));
        let peer_routes = peer_routes
            .merge(limit::exchange::routes(limiter.clone(), config.file.node, Arc::clone(&tokens)))
            .merge(poison::exchange::routes(poison.clone(), tokens));
        let admin = Admin {
            identity: admin_identity(&config),
            index,
            chunks: chunks.clone(),
            figures,
            admission,
            cell_key: key.clone(),
            account_limits: config.blueprint.account_limits,
            poison: poison.clone(),
            drill,
            env: env.clone(),
            waits: waits_for(&replica, &limiter),
        };
        let admin_routes = admin::routes(admin, Arc::new([config.admin_token.clone()]), metrics);
        let gates = Gates { limiter, poison };
        let s3_service = s3::service(cell, key, gates, &s3_identity(&config));

        let [peer_options, admin_options, s3_options] =
            [Options::new("peer"), Options::new("admin"), s3_options()].map(|options| options.over(&wire));
        let peer = listen("peer", file.peer, http::serve(&env, file.peer, peer_options, peer_routes)).await?;
        let admin = listen("admin", file.admin, http::serve(&env, file.admin, admin_options, admin_routes)).await?;
        let s3 = listen("s3", file.s3, http::serve(&env, file.s3, s3_options, s3_service)).await?;
        Ok(Self { env, replica, chunks, servers: vec![s3, admin, peer] })
    }

    /// Ends when the node can go on no more, and says why.
    pub async fn ended(&self) -> String {
        self.replica.ended().await
    }

    /// Stops: no new requests, then those in flight, then background work, then the stores.
    pub async fn stop(self, patience: Duration) {
        shutdown::drain(&self.env, self.servers, patience).await;
        self.replica.shutdown().await;
        self.chunks.shutdown().await;
    }
}

async fn listen(
    what: &'static str,
    address: SocketAddr,
    serving: impl Future<Output = std::io::Result<Running>>,
) -> Result<Running, StartError> {
    serving.await.map_err(|why| StartError::Listen { what, address, why })
}

/// How the S3 listener serves: its clients are routers.
pub fn s3_options() -> Options {
    Options { stall_patience: ROUTER_PATIENCE, slow_grace: ROUTER_PATIENCE, ..Options::new("s3") }
}

fn replica_config(config: &Config, sizes: &Sizes, wire: &Wire) -> ReplicaConfig {
    ReplicaConfig {
        dir: config.file.data.join("index"),
        node: config.file.node,
        az: config.file.az.clone(),
        peer: config.file.peer,
        peer_token: Some(config.peer_token.clone()),
        cache_bytes: sizes.index_cache_bytes,
        checkpoint_log_bytes: sizes.checkpoint_log_bytes,
        wire: wire.clone(),
    }
}

async fn open_chunks(config: &Config, sizes: &Sizes, wire: &Wire, env: &Env) -> Result<ChunkStore, StartError> {
    let disk = RealDisk::open(&config.file.data.join("chunks"))?;
    let peers = PeerClient::new(Client::new(Some(&config.peer_token), wire.client()), env.clock.clone());
    let local =
        LocalConfig { node: config.file.node, extent_bytes: sizes.extent_bytes, chunk_bytes: sizes.chunk_bytes };
    Ok(ChunkStore::open(local, Arc::new(disk), Arc::new(peers), env.clone()).await?)
}

/// Starts what looks after the node's epochs and chunks.
fn start_jobs(
    config: &Config,
    settings: Live,
    index: &IndexHandle,
    chunks: &ChunkStore,
    figures: &Arc<Figures>,
    admission: &Admission,
    env: &Env,
) {
    let background = &config.blueprint.background;
    let [grace, scrub, census] =
        [background.grace_seconds, background.scrub_seconds, background.census_seconds].map(Duration::from_secs);
    let scrub_file = config.file.data.join("scrub.json");
    let (index, chunks, figures) = (index.clone(), chunks.clone(), Arc::clone(figures));
    let (admission, env) = (admission.clone(), env.clone());
    jobs::Jobs { index, chunks, figures, admission, env, settings, grace, scrub, census, scrub_file }.start();
}

/// Limits as this node has them in its own state: behind by what it has yet to apply.
fn limiter(config: &Config, index: &IndexHandle, env: &Env) -> Limiter {
    let (index, defaults) = (index.clone(), config.blueprint.account_limits);
    let source = move |account| match index.local().account_limits(account) {
        Ok(known) => known.limits.over(&defaults),
        Err(error) => {
            tracing::error!(%account, %error, "an account's limits cannot be read: the cell's defaults hold");
            defaults
        }
    };
    Limiter::new(Arc::new(source), env.clock.clone())
}

/// What the last life of this node left. Tenants are served without it too.
fn poison(config: &Config, env: &Env) -> Poison {
    let dir = config.file.data.join("poison");
    Poison::open(&dir, config.file.node, env.clock.clone()).unwrap_or_else(|error| {
        tracing::error!(dir = %dir.display(), %error, "requests that end this process will not be recognised: nothing in flight is noted");
        Poison::forgetful(config.file.node, env.clock.clone())
    })
}

fn admin_identity(config: &Config) -> admin::Identity {
    admin::Identity {
        cell: config.file.cell.clone(),
        node: config.file.node,
        az: config.file.az.clone(),
        blueprint_hash: config.blueprint.hash(),
        build: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn s3_identity(config: &Config) -> s3::Identity {
    s3::Identity {
        cell: config.file.cell.clone(),
        node: config.file.node,
        region: config.file.region.clone(),
        domains: config.file.domains.clone(),
    }
}

/// Settings as they were saved, followed from now on.
fn settings(config: &Config, control_plane: Endpoints, env: &Env) -> Live {
    let settings = Live::open(&config.file.data, Some(config.file.cell.clone()));
    env.tasks.spawn("settings", settings.clone().follow(control_plane, env.clone()));
    settings
}

fn control_plane(config: &Config, wire: &Wire) -> Endpoints {
    Endpoints::new(Client::new(Some(&config.control_plane_token), wire.client()), &config.file.control_plane)
}

/// Keeps the chunk store's topology that of the Raft group.
pub async fn follow_membership(env: Env, replica: Replica, chunks: ChunkStore) {
    let stopping = env.tasks.stopping();
    let mut status = replica.watch();
    let mut known: Vec<Member> = Vec::new();
    loop {
        let members = status.borrow_and_update().members.clone();
        if members != known {
            chunks.set_topology(Topology::new(members.clone()));
            known = members;
        }
        match stopping.run_until_cancelled(status.changed()).await {
            Some(Ok(())) => {}
            Some(Err(_)) | None => return,
        }
    }
}

fn waits_for(replica: &Replica, limiter: &Limiter) -> health::Waits {
    let (replica, limiter) = (replica.clone(), limiter.clone());
    Arc::new(move || {
        let status = replica.status();
        let mut waits = Vec::new();
        if status.wiped {
            waits.push("its replacement under a new id: its data are gone (`bulkhead node replace`)".to_owned());
        } else if status.members.is_empty() {
            waits.push("its group to be formed".to_owned());
        } else if status.leader.is_none() {
            waits.push("a leader".to_owned());
        } else if !status.ready {
            waits.push("the index to catch up with what was committed when the node started".to_owned());
        } else if status.members.len() > 1 && !limiter.is_settled() {
            waits.push("what it may have lent of accounts' limits before it started to come back".to_owned());
        }
        waits
    })
}

//! Puts a replica together: identity, state, checkpoints, log, consensus, background work.

use crate::{
    apply::StateMachine,
    handle::{OpenError, ReplicaConfig, Status},
    identity,
    limits::{
        APPEND_ENTRIES_MAX, CHECKPOINT_TRANSFER_MAX, CONSENSUS_QUEUE_MAX, ELECTION_MAX, ELECTION_MIN, HEARTBEAT,
        LOG_FILE_BYTES_MAX, PURGE_BATCH, READ_ROUND_MAX,
    },
    log::LogStore,
    machine::Machine,
    medium::{Ground, Log, Medium},
    memory::MemoryLog,
    network::{Factory, Peers, Served, path},
    pace::{Pacer, Paces},
    propose::{Leader, Leading, Proposals, leader},
    reads::{self, Confirmed, Reads},
    snapshot::Checkpoints,
    store::{Make, Store, files},
    types::{Raft, position},
    version::{self, Gate, Raiser},
    watch::Watcher,
};
use bulkhead_model::NodeId;
use bulkhead_service::{Env, auth::Token, directory};
use openraft::{SnapshotPolicy, storage::RaftLogStorage};
use std::{
    fs::{self, File},
    io,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tokio::{sync::watch, time};
use tokio_util::sync::CancellationToken;

/// What a handle shares with its clones.
pub(crate) struct Parts {
    pub node: NodeId,
    pub raft: Raft,
    pub store: Arc<Store>,
    pub log: Log,
    pub proposals: Arc<Proposals>,
    pub reads: Reads,
    pub served: Arc<Served>,
    pub status: watch::Receiver<Status>,
    pub token: Option<Token>,
    pub env: Env,
    pub stop: CancellationToken,
    pub gate: Gate,
    pub peers: Peers,
    /// Keeps other processes away from the directory.
    _lock: File,
}

/// Opens everything and starts it.
pub(crate) async fn open(
    config: ReplicaConfig,
    machine: Arc<dyn Machine>,
    env: Env,
    ground: Ground,
) -> Result<Parts, OpenError> {
    let token = config.peer_token.clone();
    let disk = Disk::open(&config, &*machine, &env, ground.medium).await?;
    let Disk { store, checkpoints, mut log, life, lock } = disk;
    version::check(store.version(), machine.newest_format()).map_err(failed("the state"))?;
    let state = log.get_log_state().await.map_err(failed("the log"))?;
    let tail = position(state.last_log_id.as_ref());
    let applied = store.database().applied().map_err(failed("the state"))?.last;
    let kept = checkpoints.current().map_or(0, |saved| position(saved.applied().last.as_ref()));
    if kept < position(state.last_purged_log_id.as_ref()) || tail < position(applied.as_ref()) {
        // A crash came between installing a checkpoint and keeping a copy, or lost the end of the log that the state has:
        // a peer that needs entries below the log's beginning must find a checkpoint that reaches it.
        checkpoints.take(&store.database(), store.families()).map_err(failed("a checkpoint"))?;
    }

    let node = config.node.0;
    let peers = Peers::new(ground.client);
    let factory = Factory { node, peers: peers.clone(), tasks: env.tasks.clone() };
    let gate = Gate { store: Arc::clone(&store), machine: Arc::clone(&machine) };
    let (store_of, checkpoints_of) = (Arc::clone(&store), Arc::clone(&checkpoints));
    let tasks = env.tasks.clone();
    let state_machine = StateMachine { store: store_of, machine, checkpoints: checkpoints_of, tasks };
    let settings = Arc::new(settings().validate().map_err(failed("openraft's settings"))?);
    let raft = Raft::new(node, settings, factory, log.clone(), state_machine).await.map_err(failed("consensus"))?;

    let stop = env.tasks.stopping().child_token();
    let leading = Leading { raft: raft.clone(), env: env.clone(), gate: gate.clone() };
    let proposals = Arc::new(Proposals::new(node, leading.clone(), peers.clone()));
    let called_for_earlier_life = AtomicBool::new(false);
    let paces = Arc::<Paces>::default();
    let served = Served {
        node,
        life,
        raft: raft.clone(),
        leading,
        checkpoints,
        paces: Arc::clone(&paces),
        called_for_earlier_life,
    };
    let served = Arc::new(served);
    let (status_sender, status) = watch::channel(Status::default());
    let watcher = Watcher {
        raft: raft.clone(),
        log: log.clone(),
        tail,
        checkpoint_log_bytes: config.checkpoint_log_bytes,
        status: status_sender,
        served: Arc::clone(&served),
        stop: stop.clone(),
        clock: env.clock.clone(),
    };
    env.tasks.spawn("replica.watch", watcher.run());
    let raiser = Raiser { raft: raft.clone(), node, gate: gate.clone(), peers: peers.clone(), stop: stop.clone() };
    env.tasks.spawn("replica.version", raiser.run());
    let (clock, pacing) = (env.clock.clone(), stop.clone());
    let pacer = Pacer { raft: raft.clone(), node, log: log.clone(), peers: peers.clone(), paces, clock, stop: pacing };
    env.tasks.spawn("replica.pace", pacer.run());
    let reads = start_reads(&env, Arc::clone(&proposals), stop.clone());
    let (node, _lock) = (config.node, lock);
    Ok(Parts { node, raft, store, log, proposals, reads, served, status, token, env, stop, gate, peers, _lock })
}

/// What lies on disk.
struct Disk {
    store: Arc<Store>,
    checkpoints: Arc<Checkpoints>,
    log: Log,
    life: u64,
    lock: File,
}

impl Disk {
    /// A fresh directory becomes a life of this node last, when everything else in it is on stable storage.
    async fn open(config: &ReplicaConfig, machine: &dyn Machine, env: &Env, medium: Medium) -> Result<Self, OpenError> {
        let (dir, node, families) = (config.dir.clone(), config.node, machine.families());
        let cache_bytes = usize::try_from(config.cache_bytes).map_err(failed("the cache"))?;
        let lies = medium.clone();
        let opened = env.tasks.blocking(move || {
            let log = dir.join("log");
            directory::make(&dir).map_err(failed("the directory"))?;
            let lock = identity::lock(&dir)?;
            let life = identity::find(&dir, node)?;
            fs::create_dir_all(&log).map_err(failed("the log's directory"))?;
            if let Medium::Memory(_) = &lies {
                // A directory without a log is not taken for a node that has lived.
                fs::write(log.join("memory.log"), "").map_err(failed("the log's directory"))?;
            }
            let may = if life.is_some() { Make::Nothing } else { Make::Absent };
            let store =
                Store::open(dir.join("state"), families, cache_bytes, lies, may).map_err(failed("the state"))?;
            let checkpoints = Checkpoints::open(&dir).map_err(failed("the checkpoints"))?;
            files::sync(&dir).map_err(failed("the directory"))?;
            Ok((Arc::new(store), Arc::new(checkpoints), log, life, lock))
        });
        let (store, checkpoints, log, life, lock) = opened.await.map_err(failed("the disk"))??;
        let hardened = Arc::clone(&store);
        let guard = Box::new(move |upto: &_| hardened.harden(upto).map_err(io::Error::other));
        let file_bytes = usize::try_from(config.checkpoint_log_bytes / 4).unwrap_or(LOG_FILE_BYTES_MAX);
        let log = match medium {
            Medium::Files => {
                Log::Files(LogStore::open(&log, file_bytes.max(1), guard).await.map_err(failed("the log"))?)
            }
            Medium::Memory(disk) => Log::Memory(MemoryLog::open(&disk, guard, env).map_err(failed("the log"))?),
        };
        let life = match life {
            Some(life) => life,
            None => identity::begin(&config.dir, node, &env.rng)?,
        };
        Ok(Self { store, checkpoints, log, life, lock })
    }
}

fn settings() -> openraft::Config {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    openraft::Config {
        cluster_name: "bulkhead".into(),
        election_timeout_min: ms(ELECTION_MIN),
        election_timeout_max: ms(ELECTION_MAX),
        heartbeat_interval: ms(HEARTBEAT),
        install_snapshot_timeout: ms(CHECKPOINT_TRANSFER_MAX),
        max_payload_entries: APPEND_ENTRIES_MAX,
        max_append_entries: Some(APPEND_ENTRIES_MAX),
        snapshot_policy: SnapshotPolicy::Never,
        // What is kept is said by age and bytes: see `retain`.
        max_in_snapshot_log_to_keep: u64::MAX,
        purge_batch_size: PURGE_BATCH,
        api_channel_size: Some(CONSENSUS_QUEUE_MAX),
        notification_channel_size: Some(CONSENSUS_QUEUE_MAX),
        // A restarted leader would serve from a state that may be behind what it acknowledged.
        enable_leader_restore: Some(false),
        enable_pre_vote: Some(true),
        allow_log_reversion: Some(false),
        ..openraft::Config::default()
    }
}

/// Starts the one task that runs read-index rounds.
fn start_reads(env: &Env, proposals: Arc<Proposals>, stop: CancellationToken) -> Reads {
    let (reads, rounds) = reads::queue();
    env.tasks.spawn("replica.reads", async move {
        stop.run_until_cancelled(rounds.run(|| round(&proposals))).await;
    });
    reads
}

/// One round: this node's own when it leads, else the leader's.
async fn round(proposals: &Proposals) -> Confirmed {
    let confirm = async {
        match leader(&proposals.leading.raft, proposals.node) {
            Leader::This => proposals.leading.confirm_position().await,
            Leader::Other(id, peer) => {
                let answer = proposals.peers.ask(id, &peer, path::READ_INDEX, &(), READ_ROUND_MAX).await;
                answer.map_err(|error| format!("node {id}: {error}"))
            }
            Leader::Unknown => Err("no leader is known".into()),
        }
    };
    time::timeout(READ_ROUND_MAX, confirm).await.unwrap_or_else(|_| Err("the round took too long".into()))
}

pub(crate) fn failed<E: std::fmt::Display>(what: &str) -> impl FnOnce(E) -> OpenError {
    move |error| OpenError(format!("cannot open {what}: {error}"))
}

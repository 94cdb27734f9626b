//! The handle its users hold: propose, read, form, watch. Cheap to clone.
//!
//! Knows nothing of what is stored.

use crate::{
    limits::{LEADER_PAUSE, RAFT_ENTRY_BYTES_MAX},
    machine::Machine,
    medium::{Ground, Medium},
    membership::{Membership, MembershipError},
    memory::MemoryDisk,
    network,
    open::{self, Parts},
    propose::{Leader, leader},
    store::View,
    watch::status_of,
};
use bulkhead_model::{Az, NodeId, Timestamp, api::cell::Member};
use bulkhead_service::{Env, auth::Token, client::Client, tls::Wire};
use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver;
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{self, Instant},
};

/// Where a replica keeps its state and how much.
#[derive(Debug, Clone)]
pub struct ReplicaConfig {
    /// Holds `log/`, `state/`, `checkpoints/` and `incoming/`.
    pub dir: PathBuf,
    pub node: NodeId,
    pub az: Az,
    /// Where this node serves its peers.
    pub peer: SocketAddr,
    /// RocksDB's block cache, bytes.
    pub cache_bytes: u64,
    /// Raft log bytes after which a checkpoint is taken and the log purged. Entries since then take about 100 bytes of
    /// memory each.
    pub checkpoint_log_bytes: u64,
    /// What peers must show, and what this node shows to them. `None` admits everyone.
    pub peer_token: Option<Token>,
    /// How this node calls its peers. Whoever serves [`Replica::peer_api`] does so over the same.
    pub wire: Wire,
}

/// Why a replica could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(pub String);

/// Why a proposal has no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Certainly not executed and never will be: it may be proposed again.
    #[error("not executed: {0}")]
    NotExecuted(String),
    /// May have been executed, or may still be.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    #[error("a command of {bytes} bytes is larger than the {max} bytes an entry may have")]
    TooLarge { bytes: usize, max: usize },
}

/// Why a linearizable read was not possible in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no linearizable read: {0}")]
pub struct ReadError(pub String);

/// Why the group was not formed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the group was not formed: {0}")]
pub struct FormError(pub String);

/// What a replica knows of its group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    pub leader: Option<NodeId>,
    pub term: u64,
    /// Entries applied, counted from the beginning of the group.
    pub applied: u64,
    /// Voters; empty before the group is formed.
    pub members: Vec<Member>,
    /// Members that follow without a vote.
    pub learners: Vec<Member>,
    /// This node has caught up with what was committed before it started, and knows a leader.
    pub ready: bool,
    /// The group knows an earlier life of this node, whose data are gone: it takes no part, and must be replaced.
    pub wiped: bool,
}

/// Said at once by a node that waits to be replaced: waiting for a leader would be in vain.
const WIPED: &str = "the data of this node are gone";

/// A replica of the group.
#[derive(Clone)]
pub struct Replica {
    parts: Arc<Parts>,
}

impl Replica {
    /// Opens the state below `config.dir` (creating it when absent) and starts taking part in the group.
    ///
    /// # Errors
    /// When the directory cannot be read or holds another node's state.
    pub async fn open(config: ReplicaConfig, machine: Arc<dyn Machine>, env: Env) -> Result<Self, OpenError> {
        let client = Client::new(config.peer_token.as_ref(), config.wire.client());
        let ground = Ground { medium: Medium::Files, client };
        Ok(Self { parts: Arc::new(open::open(config, machine, env, ground).await?) })
    }

    /// As [`Replica::open`], for a simulation: state and log lie on `disk`, `client` calls the peers. Checkpoints are still
    /// files below `config.dir`.
    ///
    /// # Errors
    /// As [`Replica::open`].
    pub async fn open_simulated(
        config: ReplicaConfig,
        machine: Arc<dyn Machine>,
        env: Env,
        disk: &MemoryDisk,
        client: Client,
    ) -> Result<Self, OpenError> {
        let ground = Ground { medium: Medium::Memory(disk.clone()), client };
        Ok(Self { parts: Arc::new(open::open(config, machine, env, ground).await?) })
    }

    /// What peers call, to be served on `config.peer`. All routes are below `/raft/`.
    pub fn peer_api(&self) -> axum::Router {
        network::router(Arc::clone(&self.parts.served), self.parts.token.clone())
    }

    /// Forms the group with these voters, once each has said who it is. Repeating it with the same members is harmless.
    ///
    /// # Errors
    /// When the group exists with other members, or this node is not among them.
    pub async fn form(&self, members: &[Member]) -> Result<(), FormError> {
        self.membership().form(members).await
    }

    /// Has `command` applied by the group, forwarding it to the leader once, and returns the machine's outcome.
    ///
    /// While no leader is known it waits for one. A command that not every member reads is refused at once.
    ///
    /// # Errors
    /// [`ProposeError`] says whether the command may have been executed.
    #[tracing::instrument(name = "raft.propose", skip_all, fields(bytes = command.len()))]
    pub async fn propose(&self, command: Bytes, deadline: Instant) -> Result<Bytes, ProposeError> {
        metrics::counter!("replica_proposals").increment(1);
        if self.parts.served.is_wiped() {
            return Err(ProposeError::NotExecuted(WIPED.into()));
        }
        // One that is too large is told so below.
        if command.len() <= RAFT_ENTRY_BYTES_MAX
            && let Some(why) = self.parts.gate.refusal(&command)
        {
            return Err(ProposeError::NotExecuted(why));
        }
        self.parts.proposals.propose(command, deadline).await
    }

    /// A state that includes every command acknowledged before this call, anywhere in the group (`ReadIndex`, batched).
    ///
    /// # Errors
    /// When no leader confirms the index before `deadline`.
    #[tracing::instrument(name = "raft.view", level = "debug", skip_all)]
    pub async fn view(&self, deadline: Instant) -> Result<View, ReadError> {
        let position = loop {
            if self.parts.served.is_wiped() {
                return Err(ReadError(WIPED.into()));
            }
            match self.parts.reads.confirmed(deadline).await {
                Ok(position) => break position,
                Err(why) if self.parts.env.clock.now() + LEADER_PAUSE >= deadline => return Err(ReadError(why)),
                Err(_) => self.parts.proposals.leader_change(deadline).await,
            }
        };
        let mut applied = self.parts.store.watch_applied();
        let reached = applied.wait_for(|applied| *applied >= position);
        match time::timeout_at(deadline, reached).await.map(|reached| reached.map(drop)) {
            Ok(Ok(())) => Ok(self.local_view()),
            Ok(Err(_)) => Err(ReadError("this node is stopping".into())),
            Err(_) => Err(ReadError(format!("entry {position} is not applied here yet"))),
        }
    }

    /// The state as this node has it now, possibly behind the group.
    pub fn local_view(&self) -> View {
        self.parts.store.view()
    }

    /// What this node knows of the group.
    pub fn status(&self) -> Status {
        let recovered = self.parts.status.borrow().ready;
        let now = self.parts.raft.metrics().borrow_watched().clone();
        status_of(&now, recovered, self.parts.served.is_wiped())
    }

    /// Follows the status.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.parts.status.clone()
    }

    /// Ends when consensus has ended here, and says why: after an error of the disk this node takes no further part, so its process
    /// is to end too and to start anew from what is on stable storage.
    pub async fn ended(&self) -> String {
        let mut news = self.parts.raft.metrics();
        loop {
            if let Err(fatal) = &news.borrow_and_update().running_state {
                return fatal.to_string();
            }
            if news.changed().await.is_err() {
                return "this node is stopping".into();
            }
        }
    }

    /// Waits until this node is ready to serve; says whether it is before `deadline`.
    pub async fn wait_ready(&self, deadline: Instant) -> bool {
        let mut status = self.watch();
        matches!(time::timeout_at(deadline, status.wait_for(|status| status.ready)).await, Ok(Ok(_)))
    }

    /// Whether this node leads.
    pub fn is_leader(&self) -> bool {
        matches!(leader(&self.parts.raft, self.parts.node.0), Leader::This)
    }

    /// Syncs of the log since it was opened. Proposals that come together share one.
    pub fn log_syncs(&self) -> u64 {
        self.parts.log.syncs()
    }

    /// Adds a node that follows without a vote, and returns when that is committed; it catches up by and by. Repeating it is
    /// harmless. Only on the leader.
    ///
    /// # Errors
    /// When this node does not lead, another change is under way, or the node does not answer or is of another build.
    pub async fn add_learner(&self, member: &Member) -> Result<(), MembershipError> {
        self.membership().add_learner(member).await
    }

    /// Makes exactly these nodes the voters; each must be in the group already. A voter that is not named leaves it. A leader
    /// that is to leave hands over first and refuses: ask again, and the next one. Repeating it is harmless. Only on the leader.
    ///
    /// # Errors
    /// When this node does not lead, a node is not in the group, or another change is under way.
    pub async fn set_voters(&self, voters: &[NodeId]) -> Result<(), MembershipError> {
        self.membership().set_voters(voters).await
    }

    /// Hands the lead over, if this node has it. Returns at once; watch the status.
    ///
    /// # Errors
    /// When consensus has stopped.
    pub async fn transfer_leader(&self, to: NodeId) -> Result<(), MembershipError> {
        self.membership().transfer_leader(to).await
    }

    /// The group's format version, as far as it is applied here: commands in newer formats are refused.
    pub fn version(&self) -> u8 {
        self.parts.store.version()
    }

    /// What the clocks of the other voters show, of those that say so within `patience`.
    pub async fn clocks(&self, patience: Duration) -> Vec<Timestamp> {
        let others = self.status().members.into_iter().filter(|member| member.node != self.parts.node);
        let asked = others.map(|member| async move {
            let met = self.parts.peers.meet(member.peer, patience).await.ok()?;
            (met.node == member.node.0).then_some(met.clock)
        });
        futures::future::join_all(asked).await.into_iter().flatten().collect()
    }

    fn membership(&self) -> Membership<'_> {
        let Parts { raft, node, served, gate, peers, env, .. } = &*self.parts;
        Membership {
            raft,
            identity: gate.identity(node.0, served.life, env.clock.machine()),
            peers,
            version: gate.store.version(),
            env,
        }
    }

    /// Stops taking part; everything acknowledged stays durable.
    pub async fn shutdown(&self) {
        self.parts.stop.cancel();
        if let Err(error) = self.parts.raft.shutdown().await {
            tracing::error!(%error, "consensus did not stop cleanly");
        }
    }
}

//! The handle its users hold: propose, read, form, watch. Cheap to clone.
//!
//! SKELETON: the signatures are the contract; the bodies are being written.

use crate::machine::{Cursor, Family, Machine, Reader, StoreError};
use bulkhead_model::{Az, NodeId, api::cell::Member};
use bulkhead_service::Env;
use bytes::Bytes;
use std::{net::SocketAddr, path::PathBuf, sync::Arc};
use tokio::time::Instant;

/// Where a replica keeps its state and how much.
#[derive(Debug, Clone)]
pub struct ReplicaConfig {
    /// Holds `log/`, `state/` and `checkpoints/`.
    pub dir: PathBuf,
    pub node: NodeId,
    pub az: Az,
    /// Where this node serves its peers.
    pub peer: SocketAddr,
    /// RocksDB's block cache, bytes.
    pub cache_bytes: u64,
    /// Raft log bytes after which a checkpoint is taken and the log purged.
    pub checkpoint_log_bytes: u64,
    /// What peers must show, and what this node shows to them. `None` admits everyone.
    pub peer_token: Option<Arc<str>>,
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
    pub applied: u64,
    /// Voters; empty before the group is formed.
    pub members: Vec<Member>,
    /// This node has caught up with what was committed before it started, and knows a leader.
    pub ready: bool,
}

/// A replica of the group.
#[derive(Clone)]
pub struct Replica {}

impl Replica {
    /// Opens the state below `config.dir` (creating it when absent) and starts taking part in the group.
    ///
    /// # Errors
    /// When the directory cannot be read or holds another node's state.
    pub async fn open(_config: ReplicaConfig, _machine: Arc<dyn Machine>, _env: Env) -> Result<Self, OpenError> {
        todo!("skeleton")
    }

    /// What peers call, to be served on `config.peer`. All routes are below `/raft/`.
    pub fn peer_api(&self) -> axum::Router {
        todo!("skeleton")
    }

    /// Forms the group with these voters. Repeating it with the same members is harmless.
    ///
    /// # Errors
    /// When the group exists with other members, or this node is not among them.
    pub async fn form(&self, _members: &[Member]) -> Result<(), FormError> {
        todo!("skeleton")
    }

    /// Has `command` applied by the group, forwarding it to the leader once, and returns the machine's outcome.
    ///
    /// # Errors
    /// [`ProposeError`] says whether the command may have been executed.
    pub async fn propose(&self, _command: Bytes, _deadline: Instant) -> Result<Bytes, ProposeError> {
        todo!("skeleton")
    }

    /// A state that includes every command acknowledged before this call, anywhere in the group (`ReadIndex`, batched).
    ///
    /// # Errors
    /// When no leader confirms the index before `deadline`.
    pub async fn view(&self, _deadline: Instant) -> Result<View, ReadError> {
        todo!("skeleton")
    }

    /// The state as this node has it now, possibly behind the group.
    pub fn local_view(&self) -> View {
        todo!("skeleton")
    }

    /// What this node knows of the group.
    pub fn status(&self) -> Status {
        todo!("skeleton")
    }

    /// Whether this node leads.
    pub fn is_leader(&self) -> bool {
        todo!("skeleton")
    }

    /// Stops taking part; everything acknowledged stays durable.
    pub async fn shutdown(&self) {
        todo!("skeleton")
    }
}

/// An immutable state at one applied index.
pub struct View {}

impl Reader for View {
    fn get(&self, _family: Family, _key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        todo!("skeleton")
    }

    fn cursor(&self, _family: Family) -> Box<dyn Cursor + '_> {
        todo!("skeleton")
    }
}

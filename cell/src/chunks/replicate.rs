//! The handle its users hold: put and get chunks, replicated over the AZs. Cheap to clone.
//!
//! A put returns when two copies in different AZs are durable, never before. Whatever it returns, copies may exist: unnamed bytes are garbage.

use crate::{
    chunks::{
        ChunkId, CopyError, GetError, OpenError, PutError, ReadError, Topology,
        disk::Disk,
        local::{LocalConfig, LocalStore},
        payload::{Blocks, Chunk, Payload},
        remote::Remote,
        repairs::{MissingCopy, Repairs},
        suspicion::Suspicions,
    },
    limits::{COPY_PATIENCE_MAX, THIRD_COPY_BYTES_MAX},
};
use arc_swap::ArcSwapOption;
use bulkhead_model::{AccountId, NodeId, api::cell::Member};
use bulkhead_service::Env;
use bytes::Bytes;
use std::{
    ops::Range,
    sync::{Arc, atomic::AtomicU64},
};
use tokio::{sync::Semaphore, time::Instant};

/// Durable copies, each in another AZ, that acknowledge a chunk.
pub const COPIES_NEEDED: usize = 2;

/// The chunk store of one node, and through it the cell's.
#[derive(Clone)]
pub struct ChunkStore {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub node: NodeId,
    pub local: Arc<LocalStore>,
    pub remote: Arc<dyn Remote>,
    pub topology: ArcSwapOption<Topology>,
    pub suspicions: Suspicions,
    pub repairs: Repairs,
    /// Bytes of the third copies that go on.
    pub third_copies: Arc<Semaphore>,
    /// Of tenants: whether the disk is left alone is told by it.
    pub operations: AtomicU64,
    pub env: Env,
}

impl ChunkStore {
    /// Opens the extents on `disk`, and asks `remote` for what lies elsewhere.
    ///
    /// # Errors
    /// When the disk cannot be read, or holds another node's extents.
    pub async fn open(
        config: LocalConfig,
        disk: Arc<dyn Disk>,
        remote: Arc<dyn Remote>,
        env: Env,
    ) -> Result<Self, OpenError> {
        let local = Arc::new(LocalStore::open(config, disk, &env).await?);
        let shared = Shared {
            node: config.node,
            local,
            remote,
            topology: ArcSwapOption::empty(),
            suspicions: Suspicions::default(),
            repairs: Repairs::new(config.node),
            third_copies: Arc::new(Semaphore::new(THIRD_COPY_BYTES_MAX)),
            operations: AtomicU64::new(0),
            env,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The nodes that hold chunks. Until it is set, puts fail with [`PutError::NotEnoughReplicas`].
    pub fn set_topology(&self, topology: Topology) {
        self.shared.topology.store(Some(Arc::new(topology)));
    }

    /// Stores a chunk: on return it is durable on two nodes in different AZs; the third copy goes on in the background.
    ///
    /// Putting the same bytes under the same id again is harmless.
    ///
    /// # Errors
    /// [`PutError`] says what was missing. The bytes may be durable somewhere all the same.
    pub async fn put(&self, id: ChunkId, account: AccountId, data: Bytes, deadline: Instant) -> Result<(), PutError> {
        self.count_operation();
        let max = self.shared.local.chunk_bytes();
        if data.is_empty() || data.len() > max as usize {
            return Err(PutError::Size { bytes: data.len(), max });
        }
        let chunk = Chunk { id, account, payload: Payload::seal(data) };
        super::put::put(&self.shared, chunk, deadline).await
    }

    /// Bytes `range` of a chunk, verified: from this node when it has them whole, else from another.
    ///
    /// # Errors
    /// [`GetError`] says whether the chunk is gone or only out of reach.
    pub async fn get(&self, id: ChunkId, range: Range<u32>, deadline: Instant) -> Result<Bytes, GetError> {
        self.count_operation();
        super::get::get(&self.shared, id, range, deadline).await
    }

    /// This node's own chunks, without the other nodes.
    pub fn local(&self) -> &Arc<LocalStore> {
        &self.shared.local
    }

    /// Copies known to be missing.
    pub fn repairs(&self) -> &Repairs {
        &self.shared.repairs
    }

    /// Notes that this node was asked for a chunk it does not have whole. Whether it should have it, repair finds out.
    pub fn lacks_here(&self, id: ChunkId) {
        self.shared.lacks(id, self.shared.node);
    }

    /// Finishes what is queued and seals the open extent.
    pub async fn shutdown(&self) {
        self.shared.local.shutdown().await;
    }
}

impl Shared {
    /// The nodes that hold `id`: this one first, then those that answer, then those that lately did not.
    pub fn replicas(&self, id: ChunkId) -> Vec<Member> {
        let Some(topology) = self.topology.load_full() else { return Vec::new() };
        let now = self.env.clock.now();
        let mut replicas: Vec<Member> = topology.replicas(id).into_iter().cloned().collect();
        replicas.sort_by_key(|member| (member.node != self.node, self.suspicions.is_suspect(member.node, now)));
        replicas
    }

    /// Stores a copy on one node.
    pub async fn copy_to(&self, member: &Member, chunk: &Chunk, deadline: Instant) -> Result<(), CopyError> {
        if member.node == self.node {
            return self.local.put(chunk.clone(), deadline).await;
        }
        let deadline = deadline.min(self.env.clock.now() + COPY_PATIENCE_MAX);
        let outcome = self.remote.put(member, chunk, deadline).await;
        match &outcome {
            Err(CopyError::Unreachable(_) | CopyError::Deadline | CopyError::Stopping) => {
                self.suspicions.failed(member.node, self.env.clock.now());
            }
            Ok(())
            | Err(
                CopyError::Full
                | CopyError::Disk(_)
                | CopyError::Conflict
                | CopyError::Size { .. }
                | CopyError::Damaged(_)
                | CopyError::Protocol(_),
            ) => self.suspicions.answered(member.node),
        }
        outcome
    }

    /// Reads blocks from one node.
    pub async fn read_from(
        &self,
        member: &Member,
        id: ChunkId,
        range: Range<u32>,
        deadline: Instant,
    ) -> Result<Blocks, ReadError> {
        if member.node == self.node {
            return self.local.read(id, range, deadline).await;
        }
        let deadline = deadline.min(self.env.clock.now() + COPY_PATIENCE_MAX);
        let outcome = self.remote.get(member, id, range, deadline).await;
        match &outcome {
            Err(ReadError::Unreachable(_) | ReadError::Deadline | ReadError::Stopping) => {
                self.suspicions.failed(member.node, self.env.clock.now());
            }
            Ok(_)
            | Err(ReadError::Missing | ReadError::Damaged(_) | ReadError::Range { .. } | ReadError::Protocol(_)) => {
                self.suspicions.answered(member.node);
            }
        }
        outcome
    }

    /// Notes that `node` lacks a copy it should have.
    pub fn lacks(&self, chunk: ChunkId, node: NodeId) {
        self.repairs.add(MissingCopy { chunk, node });
    }
}

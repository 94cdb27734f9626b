//! What the chunk store asks of the other nodes. Knows no HTTP.
//!
//! Two implementations: [`crate::peer::PeerClient`], and [`Loopback`] for cells inside one process.

use crate::chunks::{
    ChunkId, CopyError, ReadError,
    local::LocalStore,
    payload::{Blocks, Chunk},
};
use async_trait::async_trait;
use bulkhead_model::{NodeId, api::cell::Member};
use parking_lot::RwLock;
use std::{collections::HashMap, ops::Range, sync::Arc};
use tokio::time::Instant;

/// The chunk stores of the other nodes.
#[async_trait]
pub trait Remote: Send + Sync {
    /// Stores a chunk on `peer`. On return it is on stable storage there.
    ///
    /// # Errors
    /// [`CopyError`]; the chunk may be durable there all the same.
    async fn put(&self, peer: &Member, chunk: &Chunk, deadline: Instant) -> Result<(), CopyError>;

    /// The verified blocks of a chunk of `peer` that cover bytes `range`.
    ///
    /// # Errors
    /// [`ReadError`] says whether the peer has the chunk.
    async fn get(&self, peer: &Member, id: ChunkId, range: Range<u32>, deadline: Instant) -> Result<Blocks, ReadError>;

    /// Which of these chunks, at most [`crate::limits::HELD_IDS_MAX`], `peer` has, as far as it knows without reading them.
    ///
    /// # Errors
    /// [`ReadError`] when it does not answer.
    async fn held(&self, peer: &Member, ids: &[ChunkId], deadline: Instant) -> Result<Vec<bool>, ReadError>;
}

/// Nodes in this process: a node that was not added, or was removed, does not answer.
#[derive(Default)]
pub struct Loopback {
    nodes: RwLock<HashMap<NodeId, Arc<LocalStore>>>,
}

impl Loopback {
    pub fn add(&self, node: NodeId, store: Arc<LocalStore>) {
        self.nodes.write().insert(node, store);
    }

    /// From now on the node does not answer.
    pub fn remove(&self, node: NodeId) {
        self.nodes.write().remove(&node);
    }

    fn node(&self, node: NodeId) -> Option<Arc<LocalStore>> {
        self.nodes.read().get(&node).cloned()
    }
}

#[async_trait]
impl Remote for Loopback {
    async fn put(&self, peer: &Member, chunk: &Chunk, deadline: Instant) -> Result<(), CopyError> {
        match self.node(peer.node) {
            Some(store) => store.put(chunk.clone(), deadline).await,
            None => Err(CopyError::Unreachable("it is gone".to_owned())),
        }
    }

    async fn get(&self, peer: &Member, id: ChunkId, range: Range<u32>, deadline: Instant) -> Result<Blocks, ReadError> {
        match self.node(peer.node) {
            Some(store) => store.read(id, range, deadline).await,
            None => Err(ReadError::Unreachable("it is gone".to_owned())),
        }
    }

    async fn held(&self, peer: &Member, ids: &[ChunkId], _deadline: Instant) -> Result<Vec<bool>, ReadError> {
        match self.node(peer.node) {
            Some(store) => Ok(ids.iter().map(|id| store.has(*id)).collect()),
            None => Err(ReadError::Unreachable("it is gone".to_owned())),
        }
    }
}

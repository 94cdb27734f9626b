//! The handle its users hold: put and get chunks, replicated over the AZs. Cheap to clone.
//!
//! SKELETON: the signatures are the contract; the bodies are being written.

use crate::chunks::{ChunkId, GetError, OpenError, PutError, Topology};
use bulkhead_model::{AccountId, NodeId};
use bulkhead_service::Env;
use bytes::Bytes;
use std::{ops::Range, path::PathBuf};
use tokio::time::Instant;

/// Where a node keeps its chunks, and how large things are.
#[derive(Debug, Clone)]
pub struct ChunkStoreConfig {
    /// Holds the extent files.
    pub dir: PathBuf,
    pub node: NodeId,
    /// Size of one extent file, bytes (blueprint).
    pub extent_bytes: u64,
    /// The largest chunk, bytes (blueprint).
    pub chunk_bytes: u32,
    /// The bearer token of the cell's peers.
    pub peer_token: String,
}

/// The chunk store of one node, and through it the cell's.
#[derive(Clone)]
pub struct ChunkStore {}

impl ChunkStore {
    /// Opens the extents below `config.dir` (creating it when absent).
    ///
    /// # Errors
    /// When the directory cannot be read, is in use, or holds another node's extents.
    pub async fn open(_config: ChunkStoreConfig, _env: Env) -> Result<Self, OpenError> {
        todo!("skeleton")
    }

    /// The nodes that hold chunks. Until it is set, puts fail with [`PutError::NotEnoughReplicas`].
    pub fn set_topology(&self, _topology: Topology) {
        todo!("skeleton")
    }

    /// Stores a chunk: on return it is durable on two nodes in different AZs; the third copy goes on in the background.
    ///
    /// Putting the same bytes under the same id again is harmless.
    ///
    /// # Errors
    /// [`PutError`] says what was missing. The bytes may be durable somewhere all the same.
    pub async fn put(
        &self,
        _id: ChunkId,
        _account: AccountId,
        _data: Bytes,
        _deadline: Instant,
    ) -> Result<(), PutError> {
        todo!("skeleton")
    }

    /// Bytes `range` of a chunk, verified: from this node when it has them whole, else from another.
    ///
    /// # Errors
    /// [`GetError`] says whether the chunk is gone or only out of reach.
    pub async fn get(&self, _id: ChunkId, _range: Range<u32>, _deadline: Instant) -> Result<Bytes, GetError> {
        todo!("skeleton")
    }

    /// Finishes what is queued and seals the open extent.
    pub async fn shutdown(&self) {
        todo!("skeleton")
    }
}

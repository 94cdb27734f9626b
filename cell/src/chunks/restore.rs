//! A missing copy made anew, out of one that is whole: the bytes and their CRCs as they were when they entered the cell.
//!
//! Whether the chunk is needed, and by whom it is paid for, the caller knows from the index.

use crate::chunks::{
    ChunkId, ChunkStore, CopyError, ReadError, Topology,
    payload::{Blocks, Chunk},
};
use bulkhead_model::{AccountId, NodeId, api::cell::Member};
use std::sync::{Arc, atomic::Ordering};
use tokio::time::Instant;

/// What a copy is to be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub chunk: ChunkId,
    pub account: AccountId,
    /// The chunk's length, bytes.
    pub len: u32,
}

/// Why a copy was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Every other replica answered, and none has it whole.
    #[error("no node has the chunk whole: {0}")]
    NoSource(String),
    /// A replica that may have it did not answer.
    #[error("no reachable node has the chunk whole: {0}")]
    Unavailable(String),
    /// The node that is to have it did not take it.
    #[error("the copy was not taken: {0}")]
    Target(#[from] CopyError),
}

impl ChunkStore {
    /// The cell's nodes, once they are known.
    pub fn topology(&self) -> Option<Arc<Topology>> {
        self.shared.topology.load_full()
    }

    /// The nodes on which this chunk is placed.
    pub fn placed_on(&self, id: ChunkId) -> Vec<Member> {
        self.topology().map(|topology| topology.replicas(id).into_iter().cloned().collect()).unwrap_or_default()
    }

    /// Whether this node is to have the chunk.
    pub fn is_placed_here(&self, id: ChunkId) -> bool {
        let topology = self.topology();
        topology.is_some_and(|topology| topology.replicas(id).iter().any(|member| member.node == self.shared.node))
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.shared.node
    }

    /// Which of these chunks a node has, as far as it knows without reading them.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn held_by(&self, member: &Member, ids: &[ChunkId], deadline: Instant) -> Result<Vec<bool>, ReadError> {
        if member.node == self.shared.node {
            return Ok(ids.iter().map(|id| self.shared.local.has(*id)).collect());
        }
        self.shared.remote.held(member, ids, deadline).await
    }

    /// Makes the copy of `wanted` that `to` is to have, out of another node's.
    ///
    /// # Errors
    /// [`RestoreError`] says whether there is a copy to make it of.
    pub async fn restore(&self, wanted: Wanted, to: &Member, deadline: Instant) -> Result<(), RestoreError> {
        let (mut why, mut is_certain) = (Vec::new(), true);
        for source in self.shared.replicas(wanted.chunk).into_iter().filter(|source| source.node != to.node) {
            let read = self.shared.read_from(&source, wanted.chunk, 0..wanted.len, deadline).await;
            match read.and_then(|blocks| whole(blocks, wanted)) {
                Ok(chunk) => return Ok(self.shared.copy_to(to, &chunk, deadline).await?),
                Err(error) => {
                    if let ReadError::Missing | ReadError::Damaged(_) = error {
                        self.shared.lacks(wanted.chunk, source.node);
                    } else {
                        is_certain = false;
                    }
                    why.push(format!("node {}: {error}", source.node));
                }
            }
        }
        let why = why.join("; ");
        Err(if is_certain { RestoreError::NoSource(why) } else { RestoreError::Unavailable(why) })
    }

    /// Reads and writes of tenants in which this node took part. Never falls.
    pub fn operations(&self) -> u64 {
        self.shared.operations.load(Ordering::Relaxed)
    }

    /// Counts one that came from another node.
    pub fn count_operation(&self) {
        self.shared.operations.fetch_add(1, Ordering::Relaxed);
    }
}

/// The chunk, if these blocks are all of it.
fn whole(blocks: Blocks, wanted: Wanted) -> Result<Chunk, ReadError> {
    if blocks.start == 0 && blocks.payload.data().len() == wanted.len as usize {
        return Ok(Chunk { id: wanted.chunk, account: wanted.account, payload: blocks.payload });
    }
    Err(ReadError::Protocol(format!("{} bytes of a chunk of {}", blocks.payload.data().len(), wanted.len)))
}

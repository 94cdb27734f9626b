//! What one node's chunk store says of itself, and the calls of the jobs that look after it: what is here, whether it is whole, what is garbage.
//!
//! The store knows no names: what is alive it is told by [`LocalStore::free`]. That is kept in memory only, so that it is never a second
//! truth: after a restart everything in the extents counts as alive until it is freed again.

use crate::chunks::{
    ChunkId, LocalStore, ReadError,
    extent::ExtentId,
    health::DiskState,
    index::{ExtentState, Freed, Usage},
    latency::Latency,
    local::Parts,
    reader,
};
use tokio::time::Instant;

/// What a chunk's record on this disk is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Read from the medium, every CRC right. `bytes` is the length of the payload.
    Whole { bytes: u32 },
    /// It is not here.
    Missing,
    /// It was here, and has been given up now: the copy is to be made anew.
    Damaged { why: String },
}

/// One extent. Bytes are those of whole records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtentFigures {
    pub id: ExtentId,
    pub state: ExtentState,
    /// Bytes of records that are needed.
    pub live: u64,
    /// Bytes that compaction gives back.
    pub dead: u64,
    /// Records found damaged, and neither replaced nor freed.
    pub corrupt: u32,
}

impl ExtentFigures {
    fn new((id, usage): (ExtentId, Usage)) -> Self {
        Self { id, state: usage.state, live: usage.live, dead: usage.dead(), corrupt: usage.corrupt }
    }
}

/// How a disk and its extents are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskFigures {
    /// The oldest first.
    pub extents: Vec<ExtentFigures>,
    pub chunks: usize,
    /// Chunks of which no whole record is known here any more.
    pub corrupt: usize,
    /// Extents that are emptied and not removed yet, and what they take.
    pub trash_extents: usize,
    pub trash_bytes: u64,
    /// What may still be allocated on the disk. None when the disk does not say.
    pub free_bytes: Option<u64>,
    /// Below so many free bytes, writes are refused.
    pub reserve_bytes: u64,
    /// Whether writes are refused for this reason now.
    pub full: bool,
    /// Whether the disk is suspect, and why.
    pub state: DiskState,
    /// Of fsyncs, over the last minute.
    pub sync: Latency,
    /// Of reads, over the last minute.
    pub read: Latency,
}

impl LocalStore {
    /// The first `max` chunks behind `after` that are here, in the order of their ids. Fewer than `max` means that there are no more.
    pub fn page(&self, after: Option<ChunkId>, max: usize) -> Vec<ChunkId> {
        self.parts.index.page(after, max)
    }

    /// Forgets chunks that nobody needs: they can no longer be read, and compaction gives their bytes back. Returns what was here.
    ///
    /// Ids that are not here are passed over. A restart brings back what was not compacted yet.
    pub fn free(&self, ids: &[ChunkId]) -> Freed {
        let freed = self.parts.index.free(ids);
        metrics::counter!("bulkhead_chunk_bytes_freed_total").increment(freed.bytes);
        freed
    }

    /// Reads a whole chunk from the medium, not from memory, and checks every CRC. A damaged one is given up.
    ///
    /// # Errors
    /// [`ReadError::Deadline`] and [`ReadError::Stopping`], which say nothing of the chunk.
    pub async fn verify(&self, id: ChunkId, deadline: Instant) -> Result<Health, ReadError> {
        match self.reading(deadline, move |index| reader::verify(index, id)).await {
            Ok(bytes) => Ok(Health::Whole { bytes }),
            Err(ReadError::Missing) => Ok(Health::Missing),
            Err(ReadError::Damaged(why)) => Ok(Health::Damaged { why }),
            Err(
                error @ (ReadError::Deadline
                | ReadError::Stopping
                | ReadError::Range { .. }
                | ReadError::Unreachable(_)
                | ReadError::Protocol(_)),
            ) => Err(error),
        }
    }

    /// Whether the disk has more than its reserve: below it no bytes of tenants are taken, whatever holds them. A disk that does not say
    /// how much is free is taken to have room, and says so when it is written to.
    pub fn has_room(&self) -> bool {
        self.parts.disk.free_bytes().map_or(true, |free| free >= self.config.reserve_bytes())
    }

    /// How the disk and its extents are now. Asks the disk for its free space, and reads nothing else.
    pub fn figures(&self) -> DiskFigures {
        let now = self.clock.now();
        let Parts { disk, index, health, trash } = &self.parts;
        DiskFigures {
            extents: index.usages().into_iter().map(ExtentFigures::new).collect(),
            chunks: index.chunks(),
            corrupt: index.corrupt(),
            trash_extents: trash.len(),
            trash_bytes: trash.bytes(),
            free_bytes: disk.free_bytes().ok(),
            reserve_bytes: self.config.reserve_bytes(),
            full: health.is_full() || !self.has_room(),
            state: health.state(),
            sync: health.syncs.p99(now),
            read: health.reads.p99(now),
        }
    }
}

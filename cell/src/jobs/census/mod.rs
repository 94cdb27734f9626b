//! The census: everything this node holds compared with everything the index says it should hold, in the order of chunk ids.
//!
//! What is here and needed by nobody is freed; what is needed, placed here and not here goes to repair. It finds what the fast paths
//! miss: bytes that were never named, deletions while the node was down, and everything, on a node that came back empty.

#[cfg(test)]
mod tests;

use super::{blocking, figures::Figures};
use crate::{
    chunks::{ChunkId, ChunkStore},
    limits::{
        CENSUS_BLOBS, CENSUS_CHUNKS, CENSUS_PAGE, CENSUS_PATIENCE, CENSUS_PAUSE, CENSUS_RETRY, REPAIRS_CENSUS_MAX,
    },
    meta::{
        bookkeeping::BlobState,
        bytes::{Bytes, Verdict, chunk_count},
        index::IndexHandle,
        record::BlobId,
    },
};
use bulkhead_replica::{ReadError, Reader, StoreError};
use bulkhead_service::Env;
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::time::sleep;

/// Why a part of the census was not taken.
#[derive(Debug, thiserror::Error)]
pub enum CensusError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the index cannot be read: {0}")]
    Store(#[from] StoreError),
}

/// Chunks of this node in the order of their ids, from behind some chunk on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub chunks: Vec<ChunkId>,
    /// There are no more.
    pub is_all: bool,
}

/// What a part of the census comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Here, and needed by nobody.
    pub free: Vec<ChunkId>,
    /// Needed and placed here, but not among the chunks held when the page was taken.
    pub missing: Vec<ChunkId>,
    /// Up to where, inclusive, this was the whole truth; `None` when that is the end.
    pub to: Option<ChunkId>,
}

/// Compares the chunks behind `after` with the index, as far as both are known. Pure.
///
/// # Errors
/// When the index cannot be read.
pub fn plan<R: Reader>(
    bytes: &Bytes<R>,
    after: Option<ChunkId>,
    held: &Held,
    is_placed_here: impl Fn(ChunkId) -> bool,
) -> Result<Part, StoreError> {
    let Some(from) = first_blob(after) else { return Ok(Part::default()) };
    let (rows, is_all) = bytes.blobs(from, CENSUS_BLOBS, CENSUS_CHUNKS)?;
    let held_to = if held.is_all { None } else { held.chunks.last().copied() };
    let rows_to = if is_all { None } else { rows.last().map(|(blob, _)| last_chunk(*blob)) };
    let to = held_to.into_iter().chain(rows_to).min();
    let within = |chunk: &ChunkId| after.is_none_or(|after| *chunk > after) && to.is_none_or(|to| *chunk <= to);

    let mut part = Part { to, ..Part::default() };
    let mut last: Option<(u128, Verdict)> = None;
    for chunk in held.chunks.iter().filter(|chunk| within(chunk)) {
        let verdict = match last {
            Some((blob, verdict)) if blob == chunk.blob => verdict,
            Some(_) | None => bytes.verdict(chunk.blob.into())?,
        };
        last = Some((chunk.blob, verdict));
        if verdict == Verdict::Free {
            part.free.push(*chunk);
        }
    }
    let here: HashSet<_> = held.chunks.iter().collect();
    for (blob, state) in &rows {
        let needed = chunks_needed(*blob, state).filter(within);
        part.missing.extend(needed.filter(|chunk| !here.contains(chunk) && is_placed_here(*chunk)));
    }
    Ok(part)
}

/// The first blob of which there may be chunks behind `after`; `None` when there is none.
fn first_blob(after: Option<ChunkId>) -> Option<BlobId> {
    let Some(after) = after else { return Some(0.into()) };
    if after.index < u32::MAX { Some(after.blob.into()) } else { Some(after.blob.checked_add(1)?.into()) }
}

fn last_chunk(blob: BlobId) -> ChunkId {
    ChunkId { blob: blob.into(), index: u32::MAX }
}

fn chunks_needed(blob: BlobId, state: &BlobState) -> impl Iterator<Item = ChunkId> + use<> {
    let count = match state {
        BlobState::Named { len, chunk_bytes, .. } => chunk_count(*len, *chunk_bytes),
        BlobState::Released { .. } => 0,
    };
    (0..u32::try_from(count).unwrap_or(u32::MAX)).map(move |index| ChunkId { blob: blob.into(), index })
}

/// Takes the census until the node stops: at start, and then again and again.
pub struct Job {
    pub index: IndexHandle,
    pub chunks: ChunkStore,
    pub figures: Arc<Figures>,
    pub env: Env,
    pub grace: Duration,
    /// Between the end of one census and the beginning of the next.
    pub interval: Duration,
}

impl Job {
    pub async fn run(self) {
        let stopping = self.env.tasks.stopping();
        stopping.run_until_cancelled(self.again_and_again()).await;
    }

    async fn again_and_again(&self) {
        loop {
            while !self.can_begin() {
                sleep(CENSUS_RETRY).await;
            }
            self.whole().await;
            self.rest().await;
        }
    }

    /// Until the next is due: at once when the cell has other nodes now, since other chunks may be placed here.
    async fn rest(&self) {
        let due = self.env.clock.now() + self.interval + self.env.rng.jitter(self.interval / 8);
        while self.env.clock.now() < due && self.figures.covers(self.chunks.topology().as_ref()) {
            sleep(CENSUS_RETRY).await;
        }
    }

    /// Without the cell's nodes nothing is placed anywhere, and an index that is far behind says little.
    fn can_begin(&self) -> bool {
        self.chunks.topology().is_some() && self.index.replica().status().ready
    }

    async fn whole(&self) {
        let topology = self.chunks.topology();
        self.figures.census_began(self.env.clock.wall());
        let mut after = None;
        loop {
            match self.part(after).await {
                Ok(part) => {
                    let Some(to) = part.to else { break };
                    after = Some(to);
                    sleep(CENSUS_PAUSE).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "the census waits for the index");
                    sleep(CENSUS_RETRY).await;
                }
            }
            while self.chunks.repairs().here() >= REPAIRS_CENSUS_MAX {
                sleep(CENSUS_RETRY).await;
            }
        }
        self.figures.census_ended(self.env.clock.wall(), topology);
    }

    async fn part(&self, after: Option<ChunkId>) -> Result<Part, CensusError> {
        let chunks = self.chunks.local().page(after, CENSUS_PAGE);
        let held = Held { is_all: chunks.len() < CENSUS_PAGE, chunks };
        let seen = held.chunks.len();
        // After the page: what is in it and named is named in this view.
        let view = self.index.read(self.env.clock.now() + CENSUS_PATIENCE).await?;
        let (grace, store) = (self.grace, self.chunks.clone());
        let is_placed_here = move |chunk| store.is_placed_here(chunk);
        let mut part =
            blocking(&self.env.tasks, move || plan(&Bytes::new(view, grace)?, after, &held, is_placed_here)).await?;
        self.figures.freed(self.chunks.local().free(&part.free));
        // Written since the page was taken, most of them.
        part.missing.retain(|chunk| !self.chunks.local().has(*chunk));
        for chunk in &part.missing {
            self.chunks.lacks_here(*chunk);
        }
        self.figures.census_part(seen, part.free.len(), part.missing.len());
        Ok(part)
    }
}

//! Garbage whose grace has passed: each node frees its own chunks of it, and the leader forgets the rows and closes what nobody else does.
//!
//! This is the fast path: it walks the `garbage` rows. What it does not see (bytes that were never named, deletions while the node was
//! down) is found by [`super::census`]. Nothing is freed but by the verdict of [`Bytes`], which no later state of the index can turn.

#[cfg(test)]
mod tests;

use super::{blocking, figures::Figures};
use crate::{
    chunks::{ChunkId, ChunkStore},
    limits::{
        EPOCH_ABSENT_MAX, EPOCH_LIFE, GARBAGE_INTERVAL, GARBAGE_LINGER, GARBAGE_PAGE_ROWS, GARBAGE_PATIENCE,
        GARBAGE_ROWS_PER_COMMAND,
    },
    meta::{
        bytes::{Bytes, GarbageKey, chunk_count},
        command::Command,
        index::{IndexHandle, Origin, SubmitError},
        record::{BlobId, OpenEpoch, Segment, UploadEpoch},
    },
};
use bulkhead_model::{NodeId, Timestamp};
use bulkhead_replica::{Reader, StoreError};
use bulkhead_service::Env;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// Why garbage is still there.
#[derive(Debug, thiserror::Error)]
pub enum GarbageError {
    #[error("the index cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error("what was forgotten is not committed: {0}")]
    Submit(#[from] SubmitError),
    #[error("forgetting was refused: {0}")]
    Refused(#[from] crate::meta::command::Refusal),
}

/// A page of garbage, sorted out.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// Past their grace, their epoch closed, in the order of their release.
    pub ready: Vec<(Timestamp, Segment)>,
    /// The first that is past its grace and may be named under an epoch that is still open.
    pub held: Option<GarbageKey>,
    /// Where to go on; `None` when the rest is within its grace, or there is none.
    pub next: Option<GarbageKey>,
    /// Behind the last row that was past its grace.
    pub end: GarbageKey,
}

/// Sorts out the garbage from `from` on that was released longer ago than the grace and `more`. Pure.
///
/// # Errors
/// When the index cannot be read.
pub fn plan<R: Reader>(bytes: &Bytes<R>, from: GarbageKey, more: Duration) -> Result<Page, StoreError> {
    let rows = bytes.garbage(from, GARBAGE_PAGE_ROWS)?;
    let full = rows.len() == GARBAGE_PAGE_ROWS;
    let mut page = Page { ready: Vec::new(), held: None, next: None, end: from };
    for (released, segment) in rows {
        if !bytes.is_past_grace(released, more) {
            return Ok(page);
        }
        let key = |blob| GarbageKey { released, blob: Some(blob) };
        if bytes.is_closed(segment.blob.epoch) {
            page.ready.push((released, segment));
        } else {
            page.held = page.held.or(Some(key(segment.blob)));
        }
        page.end = key(after(segment.blob));
    }
    page.next = full.then_some(page.end);
    Ok(page)
}

fn after(blob: BlobId) -> BlobId {
    u128::from(blob).saturating_add(1).into()
}

/// The chunks of a segment.
pub fn chunks_of(segment: &Segment) -> impl Iterator<Item = ChunkId> {
    let blob = u128::from(segment.blob);
    let count = u32::try_from(chunk_count(segment.len, segment.chunk_bytes)).unwrap_or(u32::MAX);
    (0..count).map(move |index| ChunkId { blob, index })
}

/// The epochs that nobody closes but the leader: of nodes that have left, and of nodes that are long gone or do not rotate. Pure.
pub fn abandoned(open: &[(UploadEpoch, OpenEpoch)], members: &BTreeSet<NodeId>, now: Timestamp) -> Vec<UploadEpoch> {
    let too_old = |(_, open): &&(UploadEpoch, OpenEpoch)| {
        let allowed = if members.contains(&open.node) { EPOCH_LIFE + EPOCH_ABSENT_MAX } else { EPOCH_ABSENT_MAX };
        Duration::from_millis(now.0.saturating_sub(open.opened.0)) > allowed
    };
    open.iter().filter(too_old).map(|(epoch, _)| *epoch).collect()
}

/// Frees and forgets until the node stops.
pub struct Job {
    pub index: IndexHandle,
    pub chunks: ChunkStore,
    pub figures: Arc<Figures>,
    pub env: Env,
    pub grace: Duration,
    /// Where the next walk of this node begins, and the next of the leader: rows before are done with.
    freed_to: GarbageKey,
    forgotten_to: GarbageKey,
}

impl Job {
    pub fn new(index: IndexHandle, chunks: ChunkStore, figures: Arc<Figures>, env: Env, grace: Duration) -> Self {
        Self {
            index,
            chunks,
            figures,
            env,
            grace,
            freed_to: GarbageKey::default(),
            forgotten_to: GarbageKey::default(),
        }
    }

    pub async fn run(mut self) {
        let stopping = self.env.tasks.stopping();
        loop {
            let pause = GARBAGE_INTERVAL + self.env.rng.jitter(GARBAGE_INTERVAL / 4);
            let step = async {
                tokio::time::sleep(pause).await;
                if let Err(error) = self.step().await {
                    tracing::warn!(%error, "garbage is still to be freed or forgotten");
                }
            };
            if stopping.run_until_cancelled(step).await.is_none() {
                return;
            }
        }
    }

    async fn step(&mut self) -> Result<(), GarbageError> {
        self.free().await?;
        if self.index.replica().is_leader() {
            self.close_abandoned().await?;
            self.forget().await?;
        } else {
            // Another leads, and forgets: a walk that begins anew finds only what is left.
            self.forgotten_to = GarbageKey::default();
        }
        Ok(())
    }

    /// Frees this node's chunks of garbage, as this node's own, possibly old, state of the index has it.
    async fn free(&mut self) -> Result<(), GarbageError> {
        let (mut at, mut held) = (self.freed_to, None);
        loop {
            let page = self.page(at, Duration::ZERO).await?;
            for (_, segment) in &page.ready {
                let chunks: Vec<_> = chunks_of(segment).collect();
                self.figures.freed(self.chunks.local().free(&chunks));
            }
            held = held.or(page.held);
            self.freed_to = held.unwrap_or(page.end);
            match page.next {
                Some(next) => at = next,
                None => return Ok(()),
            }
        }
    }

    /// Forgets rows that every node that is up has had the time to see.
    async fn forget(&mut self) -> Result<(), GarbageError> {
        let (mut at, mut held) = (self.forgotten_to, None);
        loop {
            let page = self.page(at, GARBAGE_LINGER).await?;
            let rows: Vec<_> = page.ready.iter().map(|(released, segment)| (*released, segment.blob)).collect();
            for rows in rows.chunks(GARBAGE_ROWS_PER_COMMAND) {
                self.execute(Command::ExpireGarbage { rows: rows.to_vec() }).await?;
            }
            held = held.or(page.held);
            self.forgotten_to = held.unwrap_or(page.end);
            match page.next {
                Some(next) => at = next,
                None => return Ok(()),
            }
        }
    }

    async fn close_abandoned(&self) -> Result<(), GarbageError> {
        let bytes = Bytes::new(self.index.local(), self.grace)?;
        let members = self.index.replica().status().members.iter().map(|member| member.node).collect();
        let epochs = abandoned(&bytes.view().open_epochs()?, &members, bytes.now());
        if epochs.is_empty() {
            return Ok(());
        }
        tracing::warn!(?epochs, "upload epochs that their nodes did not close are closed");
        self.execute(Command::CloseEpochs { epochs }).await
    }

    async fn page(&self, from: GarbageKey, more: Duration) -> Result<Page, GarbageError> {
        let (view, grace) = (self.index.local(), self.grace);
        Ok(blocking(&self.env.tasks, move || plan(&Bytes::new(view, grace)?, from, more)).await?)
    }

    async fn execute(&self, command: Command) -> Result<(), GarbageError> {
        let deadline = self.env.clock.now() + GARBAGE_PATIENCE;
        self.index.execute(Origin::default(), command, deadline).await??;
        Ok(())
    }
}

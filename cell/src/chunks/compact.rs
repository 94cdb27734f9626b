//! Gives back the bytes of chunks that nobody needs: what is alive in an extent that is mostly dead is written anew, and the extent goes to trash.
//!
//! - A record is copied through the writer, so that it is synced like any other; read back from the medium and verified; and only then does
//!   the index name the copy in place of the original. Meanwhile the original serves. What is freed or replaced meanwhile is not switched.
//! - An extent goes to trash only when the index names nothing in it, and nothing in it is known to be damaged and not replaced.
//! - A crash at any step leaves each chunk at its old place, its new one, or both, with the same bytes.
//! - Copies may use the disk's reserve, which ordinary writes may not: a full disk gets its space back without help.

use crate::{
    chunks::{
        CopyError, LocalStore, ReadError,
        extent::ExtentId,
        format::FooterEntry,
        index::{ExtentState, Location, Usage},
        payload::Chunk,
        reader,
        trash::records_of,
        writer::Stored,
    },
    limits::{
        COMPACTION_BATCH_BYTES, COMPACTION_BYTES_PER_SECOND_MAX, COMPACTION_LIVE_PERCENT, COPY_PATIENCE_MAX,
        OPEN_EXTENT_DEAD_FRACTION, TRASH_EXTENTS_MAX,
    },
};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// What one call may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Payload to be copied. A chunk that is begun is finished, so that every budget gets on.
    pub bytes: u64,
    /// Bounded by [`COMPACTION_BYTES_PER_SECOND_MAX`].
    pub bytes_per_second: u64,
}

/// What one call did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compacted {
    pub outcome: Outcome,
    /// Chunks that lie elsewhere now, and their payload.
    pub chunks: usize,
    pub bytes: u64,
}

/// How far one call came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// No extent is worth it.
    Nothing,
    /// The extent that is written to was mostly dead and is sealed now.
    Sealed(ExtentId),
    /// The budget ended. The next call goes on.
    Partly(ExtentId),
    /// Nothing in the extent is needed any more: it is in trash.
    Trashed(ExtentId),
    /// The trash has to be emptied first.
    TrashFull,
    /// Not even the reserve has room for the copies.
    Full,
    /// Something went wrong. What was not copied is where it was; a damaged chunk waits for repair.
    Failed { why: String },
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Rest,
    Seal(ExtentId),
    Empty(ExtentId),
}

/// The extent with the least to copy for what it gives back, when one is below the bound; else an open one that is mostly dead.
fn plan(usages: &[(ExtentId, Usage)], extent_bytes: u64) -> Step {
    let mostly_dead = |usage: &Usage| {
        usage.corrupt == 0 && u128::from(usage.live) * 100 < u128::from(usage.used) * COMPACTION_LIVE_PERCENT
    };
    let mut worth: Option<(u128, ExtentId)> = None;
    let mut open = None;
    for (id, usage) in usages.iter().filter(|(_, usage)| mostly_dead(usage)) {
        match usage.state {
            ExtentState::Sealed | ExtentState::Failed => {
                let live = u128::from(usage.live) * 1_000_000 / u128::from(usage.used.max(1));
                worth = Some(worth.map_or((live, *id), |best| best.min((live, *id))));
            }
            ExtentState::Open if usage.dead() >= extent_bytes / OPEN_EXTENT_DEAD_FRACTION => open = Some(*id),
            ExtentState::Open | ExtentState::Kept => {}
        }
    }
    match (worth, open) {
        (Some((_, id)), _) => Step::Empty(id),
        (None, Some(id)) => Step::Seal(id),
        (None, None) => Step::Rest,
    }
}

impl LocalStore {
    /// Does one step of compaction, within `budget`. One call at a time; others wait for it.
    pub async fn compact_once(&self, budget: Budget) -> Compacted {
        let _one_at_a_time = self.compacting.lock().await;
        let mut done = Compacted { outcome: Outcome::Nothing, chunks: 0, bytes: 0 };
        done.outcome = match plan(&self.parts.index.usages(), self.config.extent_bytes) {
            Step::Rest => Outcome::Nothing,
            Step::Seal(_) | Step::Empty(_) if self.parts.trash.len() >= TRASH_EXTENTS_MAX => Outcome::TrashFull,
            Step::Seal(id) => self.seal(id).await.map_or_else(failure, |()| Outcome::Sealed(id)),
            Step::Empty(id) => self.empty(id, budget, &mut done).await.unwrap_or_else(|outcome| outcome),
        };
        metrics::counter!("bulkhead_chunk_compacted_bytes_total").increment(done.bytes);
        done
    }

    /// Copies what is alive elsewhere, then moves the extent to trash.
    async fn empty(&self, id: ExtentId, budget: Budget, done: &mut Compacted) -> Result<Outcome, Outcome> {
        let rate = budget.bytes_per_second.clamp(1, COMPACTION_BYTES_PER_SECOND_MAX);
        let begun = self.clock.now();
        let live = self.alive(id).await?;
        let mut rest = &live[..];
        while !rest.is_empty() {
            if done.bytes >= budget.bytes {
                return Ok(Outcome::Partly(id));
            }
            let (batch, behind) = rest.split_at(batch(rest, budget.bytes - done.bytes));
            rest = behind;
            self.move_all(batch, done).await?;
            sleep_until(begun + Duration::from_millis(done.bytes.saturating_mul(1_000) / rate)).await;
        }
        let taken = self.blocking(move |parts| parts.trash.take(id, parts)).await.map_err(failure)?;
        if taken {
            tracing::info!(extent = %id, chunks = done.chunks, bytes = done.bytes, "an extent was emptied");
            return Ok(Outcome::Trashed(id));
        }
        // A chunk that was found damaged meanwhile keeps it; it is passed over until that is settled.
        let known = self.parts.index.extent(id).is_some_and(|held| held.usage.corrupt > 0);
        Err(failure(if known { "it holds a damaged chunk" } else { "the index names chunks that its footer does not" }))
    }

    /// The records of an extent that the index names.
    async fn alive(&self, id: ExtentId) -> Result<Vec<(FooterEntry, Location)>, Outcome> {
        let read = self.blocking(move |parts| {
            let Some(held) = parts.index.extent(id) else { return Ok(Vec::new()) };
            if held.usage.live == 0 {
                return Ok(Vec::new());
            }
            let entries = records_of(&held).inspect_err(|error| {
                parts.health.damaged(&format!("reading extent {id}: {error}"));
                parts.index.set_extent(id, ExtentState::Kept, held.usage.used);
            })?;
            let placed = entries.into_iter().map(|entry| (entry, Location::new(id, &entry)));
            Ok(placed.filter(|(entry, location)| parts.index.get(entry.head.id) == Some(*location)).collect())
        });
        read.await.map_err(failure)
    }

    /// Copies a few records, all under one sync.
    async fn move_all(&self, batch: &[(FooterEntry, Location)], done: &mut Compacted) -> Result<(), Outcome> {
        let deadline = self.clock.now() + COPY_PATIENCE_MAX;
        let moves = batch.iter().map(|(entry, from)| self.move_one(*entry, *from, deadline));
        let moves = futures::future::join_all(moves).await;
        for bytes in moves.iter().flatten() {
            done.chunks += usize::from(*bytes > 0);
            done.bytes += u64::from(*bytes);
        }
        moves.into_iter().find_map(Result::err).map_or(Ok(()), Err)
    }

    /// Returns the bytes of payload that lie elsewhere now: none when the chunk was freed or replaced meanwhile.
    async fn move_one(&self, entry: FooterEntry, from: Location, deadline: Instant) -> Result<u32, Outcome> {
        let id = entry.head.id;
        let read = self.reading(deadline, move |index| reader::read_at(index, id, from)).await;
        let payload = match read {
            Ok(payload) => payload,
            Err(ReadError::Missing) => return Ok(0),
            Err(error) => return Err(failure(error)),
        };
        let chunk = Chunk { id, account: entry.head.account, payload };
        let to = match self.store(chunk, Some(from), deadline).await {
            Ok(Stored::At(to)) => to,
            Ok(Stored::Unneeded) => return Ok(0),
            Err(CopyError::Full) => return Err(Outcome::Full),
            Err(error) => return Err(failure(error)),
        };
        let verified = self.reading(deadline, move |index| reader::verify_at(index, id, to)).await;
        verified.map_err(|error| failure(format!("the copy of chunk {id}: {error}")))?;
        Ok(if self.parts.index.switch(id, from, to) { entry.head.len } else { 0 })
    }
}

/// How many of `rest`, from the first on, are copied together: one at least.
fn batch(rest: &[(FooterEntry, Location)], budget: u64) -> usize {
    let (mut bytes, bound) = (0, budget.min(COMPACTION_BATCH_BYTES));
    let fits = |(entry, _): &&(FooterEntry, Location)| {
        bytes += u64::from(entry.head.len);
        bytes <= bound
    };
    rest.iter().take_while(fits).count().max(1)
}

fn failure(why: impl ToString) -> Outcome {
    let why = why.to_string();
    tracing::warn!(why, "compaction stopped");
    Outcome::Failed { why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(state: ExtentState, live: u64, used: u64) -> Usage {
        Usage { live, ..Usage::new(state, used) }
    }

    fn planned(usages: &[Usage]) -> Step {
        let numbered: Vec<_> = (0..).map(ExtentId).zip(usages.iter().copied()).collect();
        plan(&numbered, 1_000)
    }

    #[test]
    fn the_extent_with_the_smallest_share_alive_comes_first() {
        use ExtentState::{Failed, Sealed};
        assert_eq!(planned(&[usage(Sealed, 700, 1_000)]), Step::Rest, "70% is enough");
        assert_eq!(planned(&[usage(Sealed, 699, 1_000)]), Step::Empty(ExtentId(0)));
        let several = [usage(Sealed, 300, 1_000), usage(Failed, 20, 100), usage(Sealed, 699, 1_000)];
        assert_eq!(planned(&several), Step::Empty(ExtentId(1)));
        assert_eq!(planned(&[usage(Sealed, 0, 10), usage(Sealed, 0, 900)]), Step::Empty(ExtentId(0)));
    }

    #[test]
    fn an_extent_that_may_hold_more_than_is_known_is_passed_over() {
        assert_eq!(planned(&[usage(ExtentState::Kept, 0, 1_000)]), Step::Rest);
        let damaged = Usage { corrupt: 1, ..usage(ExtentState::Sealed, 0, 1_000) };
        assert_eq!(planned(&[damaged]), Step::Rest);
    }

    #[test]
    fn the_open_extent_is_sealed_when_enough_of_it_is_dead_and_nothing_else_is_to_be_done() {
        use ExtentState::{Open, Sealed};
        assert_eq!(planned(&[usage(Open, 0, 124)]), Step::Rest, "too little to be worth it");
        assert_eq!(planned(&[usage(Open, 0, 125)]), Step::Seal(ExtentId(0)));
        assert_eq!(planned(&[usage(Open, 700, 1_000)]), Step::Rest);
        assert_eq!(planned(&[usage(Open, 0, 900), usage(Sealed, 1, 1_000)]), Step::Empty(ExtentId(1)));
    }
}

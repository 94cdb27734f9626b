//! Scrub: every chunk of this node is read from the medium and verified within a period; a damaged one goes to repair.
//!
//! A reading of all chunks takes at most half the period and the next begins when half the period is over, so that no chunk waits
//! longer than the period for its turn. It is spread evenly over that time, goes faster while tenants leave the disk alone, and never
//! faster than a bound.

mod saved;

use super::{
    figures::Figures,
    pace::{Activity, Pacer, at_rate},
};
use crate::{
    admit::Admission,
    chunks::{ChunkId, ChunkStore, Health, ReadError},
    limits::{
        SCRUB_BYTES_PER_SECOND_MAX, SCRUB_IDLE_BYTES_PER_SECOND, SCRUB_PAGE, SCRUB_PATIENCE, SCRUB_RETRY,
        SCRUB_SAVE_INTERVAL, SCRUB_USED_PERCENT_MAX,
    },
};
use bulkhead_model::Timestamp;
use bulkhead_service::Env;
use saved::Saved;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, sleep_until};

/// How long the reading of a chunk of `bytes` may take, when `chunks` are to be read in the time `left`. Pure.
fn share(left: Duration, chunks: u64, bytes: u32, is_busy: bool) -> Duration {
    let even = left / u32::try_from(chunks.max(1)).unwrap_or(u32::MAX);
    let quick = at_rate(bytes.into(), SCRUB_IDLE_BYTES_PER_SECOND);
    let wanted = if is_busy { even } else { even.min(quick) };
    wanted.max(at_rate(bytes.into(), SCRUB_BYTES_PER_SECOND_MAX))
}

/// A reading of all chunks that is under way.
struct Reading {
    began: Timestamp,
    /// When it is to be done.
    until: Instant,
    after: Option<ChunkId>,
    read: u64,
    /// Chunks there were when it began, or was taken up again.
    of: u64,
    pacer: Pacer,
    saved: Instant,
}

/// Reads until the node stops.
pub struct Job {
    pub chunks: ChunkStore,
    pub figures: Arc<Figures>,
    /// Tells what tenants leave.
    pub admission: Admission,
    pub env: Env,
    /// Within which every chunk is read.
    pub period: Duration,
    /// Where it is kept how far it is.
    pub path: PathBuf,
}

impl Job {
    pub async fn run(self) {
        let stopping = self.env.tasks.stopping();
        stopping.run_until_cancelled(self.again_and_again()).await;
    }

    async fn again_and_again(&self) {
        let mut saved = Saved::load(&self.path, &self.env.tasks).await;
        loop {
            let pause = self.until_next(&saved);
            self.figures.scrub(|scrub| scrub.whole_since = saved.whole_since);
            sleep(pause).await;
            let (began, after) = match saved.under_way {
                Some((began, done)) => (began, Some(done)),
                None => (self.env.clock.wall(), None),
            };
            if !self.whole(began, after, saved.whole_since).await {
                return;
            }
            saved = Saved { whole_since: Some(began), under_way: None };
            self.save(&saved).await;
        }
    }

    /// How long to wait before the next reading: one that was interrupted goes on at once.
    fn until_next(&self, saved: &Saved) -> Duration {
        let Some(last) = saved.whole_since.filter(|_| saved.under_way.is_none()) else { return Duration::ZERO };
        let age = Duration::from_millis(self.env.clock.wall().0.saturating_sub(last.0));
        (self.period / 2).saturating_sub(age)
    }

    /// Reads everything behind `after`. Says whether it came to the end.
    async fn whole(&self, began: Timestamp, after: Option<ChunkId>, whole_since: Option<Timestamp>) -> bool {
        let (now, wall) = (self.env.clock.now(), self.env.clock.wall());
        let spent = Duration::from_millis(wall.0.saturating_sub(began.0));
        let mut reading = Reading {
            began,
            until: now + (self.period / 2).saturating_sub(spent),
            after,
            read: 0,
            of: self.chunks.local().figures().chunks as u64,
            pacer: Pacer::new(now),
            saved: now,
        };
        let mut activity = Activity::new(now, self.chunks.operations());
        loop {
            let page = self.chunks.local().page(reading.after, SCRUB_PAGE);
            for chunk in &page {
                let is_busy = activity.is_busy(self.env.clock.now(), self.chunks.operations())
                    || self.admission.utilisation() > SCRUB_USED_PERCENT_MAX;
                if !self.one(*chunk, &mut reading, is_busy).await {
                    return false;
                }
            }
            if self.env.clock.now() >= reading.saved + SCRUB_SAVE_INTERVAL
                && let Some(done) = reading.after
            {
                self.save(&Saved { whole_since, under_way: Some((began, done)) }).await;
                reading.saved = self.env.clock.now();
            }
            if page.len() < SCRUB_PAGE {
                self.figures.scrub(|scrub| (scrub.began, scrub.whole_since) = (None, Some(began)));
                return true;
            }
        }
    }

    /// Reads one chunk at its time. Says whether to go on.
    async fn one(&self, chunk: ChunkId, reading: &mut Reading, is_busy: bool) -> bool {
        let bytes = loop {
            match self.chunks.local().verify(chunk, self.env.clock.now() + SCRUB_PATIENCE).await {
                Ok(Health::Whole { bytes }) => break bytes,
                Ok(Health::Missing) => break 0,
                Ok(Health::Damaged { why }) => {
                    tracing::error!(%chunk, why, "a chunk is damaged on this disk; it goes to repair");
                    self.chunks.lacks_here(chunk);
                    self.figures.scrub(|scrub| scrub.damaged += 1);
                    break self.chunks.local().chunk_bytes();
                }
                Err(ReadError::Stopping) => return false,
                Err(error) => {
                    tracing::warn!(%chunk, %error, "a chunk could not be read in time; it is tried again");
                    sleep(SCRUB_RETRY).await;
                }
            }
        };
        reading.after = Some(chunk);
        reading.read += 1;
        let (began, read, of) = (reading.began, reading.read, reading.of);
        self.figures.scrub(|scrub| (scrub.began, scrub.read, scrub.of) = (Some(began), read, of));
        let now = self.env.clock.now();
        let left = reading.until.saturating_duration_since(now);
        let share = share(left, reading.of.saturating_sub(reading.read), bytes, is_busy);
        let at = reading.pacer.slot(now, share);
        sleep_until(at).await;
        true
    }

    async fn save(&self, saved: &Saved) {
        if let Err(error) = saved.save(&self.path, &self.env.tasks).await {
            tracing::warn!(%error, "how far scrub is could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn reading_is_spread_evenly_while_tenants_use_the_disk_and_goes_faster_when_they_do_not() {
        let even = share(HOUR, 3_600, 1 << 20, true);
        assert_eq!(even, Duration::from_secs(1));
        let idle = share(HOUR, 3_600, 1 << 20, false);
        assert_eq!(idle, at_rate(1 << 20, SCRUB_IDLE_BYTES_PER_SECOND));
        assert!(idle < even);
    }

    #[test]
    fn a_reading_that_is_late_hurries_up_to_a_bound() {
        let bound = at_rate(4 << 20, SCRUB_BYTES_PER_SECOND_MAX);
        for (left, chunks) in [(Duration::ZERO, 1_000_000), (Duration::from_secs(1), 1_000_000), (Duration::ZERO, 0)] {
            assert_eq!(share(left, chunks, 4 << 20, true), bound);
        }
    }
}

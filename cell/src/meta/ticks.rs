//! Says when time has gone by, so that what must be kept for minutes does not depend on anybody's wall clock.
//!
//! Invariant: between two ticks lies at least [`TICK`] of true time. Whoever proposes the next one has seen the last one applied
//! and then waited that long by a monotonic clock; a tick that was proposed twice counts once. With leaders that change
//! faster than that, ticks come later, never sooner.

use super::{
    command::Command,
    index::{IndexHandle, Origin},
};
use crate::limits::{COMMIT_PATIENCE, TICK, TICK_LOOK};
use bulkhead_service::Env;
use tokio::time::Instant;

/// How long this node has seen the last tick.
#[derive(Debug, Default)]
struct Pace {
    last: Option<(u64, Instant)>,
}

impl Pace {
    /// Whether the next tick is due, when `ticks` are applied here `now`.
    fn is_due(&mut self, ticks: u64, now: Instant) -> bool {
        match self.last {
            Some((seen, since)) if seen == ticks => now.saturating_duration_since(since) >= TICK,
            Some(_) | None => {
                self.last = Some((ticks, now));
                false
            }
        }
    }
}

/// Proposes ticks, while this node leads, until it stops.
pub async fn run(index: IndexHandle, env: Env) {
    let (stopping, mut pace) = (env.tasks.stopping(), Pace::default());
    while stopping.run_until_cancelled(tokio::time::sleep(TICK_LOOK)).await.is_some() {
        let ticks = match index.local().ticks() {
            Ok(ticks) => ticks,
            Err(error) => {
                tracing::error!(%error, "the cell's ticks cannot be read");
                continue;
            }
        };
        if !pace.is_due(ticks, env.clock.now()) || !index.replica().is_leader() {
            continue;
        }
        let deadline = env.clock.now() + COMMIT_PATIENCE;
        match index.execute(Origin::default(), Command::Tick { after: ticks }, deadline).await {
            Ok(Ok(_)) => {}
            Ok(Err(refusal)) => tracing::warn!(%refusal, "a tick was refused"),
            Err(error) => tracing::info!(%error, "a tick was not confirmed; it is tried again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::env::Clock;
    use std::time::Duration;

    #[test]
    fn the_next_tick_is_due_a_whole_interval_after_the_last_was_seen() {
        let (mut pace, start) = (Pace::default(), Clock::system().now());
        let just_before = TICK - Duration::from_millis(1);
        assert!(!pace.is_due(4, start), "it may just have come");
        assert!(!pace.is_due(4, start + just_before));
        assert!(pace.is_due(4, start + TICK));
        assert!(!pace.is_due(5, start + TICK), "another node was first");
        assert!(!pace.is_due(5, start + TICK + just_before));
        assert!(pace.is_due(5, start + TICK + TICK));
    }
}

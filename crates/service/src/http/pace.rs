//! How fast a client takes or gives bytes, over the time that was spent waiting for it.
//!
//! Time in which the server itself is not ready counts for nobody. A client that is merely slow is served for as long as it keeps the
//! least pace; one that keeps just ahead of the limit for stalls does not.

use crate::env::Clock;
use std::time::Duration;
use tokio::time::Instant;

/// The least pace, and how a client keeps it.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    clock: Clock,
    grace: Duration,
    bytes_per_second: u64,
    /// Since when the client is waited for.
    since: Option<Instant>,
    /// How far the client is behind the least pace. What it was ahead once counts for nothing.
    late: Duration,
}

impl Pace {
    pub(super) fn new(clock: Clock, grace: Duration, bytes_per_second: u64) -> Self {
        Self { clock, grace, bytes_per_second, since: None, late: Duration::ZERO }
    }

    /// The client is waited for from now on, if it was not before.
    pub(super) fn waits(&mut self) {
        if self.since.is_none() {
            self.since = Some(self.clock.now());
        }
    }

    /// Bytes have moved. Says whether the client is too slow.
    pub(super) fn moved(&mut self, bytes: usize) -> bool {
        let since = self.since.take();
        if since.is_none() && self.late.is_zero() {
            return false;
        }
        let waited = since.map_or(Duration::ZERO, |since| self.clock.now().saturating_duration_since(since));
        let allowed = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        self.late = (self.late + waited).saturating_sub(allowed);
        self.late > self.grace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(20);

    /// Whether a client that gives `bytes` after each `pause` is cut off within `times`.
    async fn is_cut_off(bytes: usize, pause: Duration, times: usize) -> bool {
        let mut pace = Pace::new(Clock::system(), GRACE, 1 << 10);
        for _ in 0..times {
            pace.waits();
            tokio::time::advance(pause).await;
            pace.waits();
            if pace.moved(bytes) {
                return true;
            }
        }
        false
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_trickles_is_cut_off_and_one_that_keeps_the_pace_is_not() {
        assert!(is_cut_off(1, Duration::from_secs(5), 6).await);
        assert!(!is_cut_off(1, Duration::from_secs(5), 4).await, "the grace");
        assert!(!is_cut_off(6 << 10, Duration::from_secs(5), 1000).await);
        assert!(is_cut_off(4 << 10, Duration::from_secs(5), 1000).await);
    }

    #[tokio::test(start_paused = true)]
    async fn having_been_fast_is_no_credit() {
        let mut pace = Pace::new(Clock::system(), GRACE, 1 << 10);
        pace.waits();
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!pace.moved(1 << 30));
        pace.waits();
        tokio::time::advance(GRACE * 2).await;
        assert!(pace.moved(1));
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_the_server_takes_is_not_the_clients() {
        let mut pace = Pace::new(Clock::system(), GRACE, 1 << 10);
        for _ in 0..100 {
            tokio::time::advance(Duration::from_secs(60)).await;
            pace.waits();
            assert!(!pace.moved(1));
        }
    }
}

//! Spreads a large body over the time that its account's bytes per second give it. Pure: time is handed in.
//!
//! A body is let in as long as anything is left of its account's bytes, and then owed. Let through at once, its work would come in one piece,
//! and the neighbours would wait behind it for as long as that takes. A small body is not spread: it is no more than a moment's work.

use crate::limits::{PACE_FREE_BYTES, PACE_LEAST, PACE_STEP};
use std::time::Duration;
use tokio::time::Instant;

/// How far a body may have come.
#[derive(Debug)]
pub struct Pace {
    /// Until when what came takes, at the rate of its account.
    until: Instant,
}

impl Pace {
    pub fn begin(now: Instant) -> Self {
        Self { until: now }
    }

    /// So many bytes came, at so many per second at most. Answers how long the next may wait, zero when that is next to nothing.
    pub fn came(&mut self, bytes: u64, per_second: u64, now: Instant) -> Duration {
        let per_second = per_second.max(PACE_LEAST);
        let takes = |bytes: u64| Duration::from_secs_f64(bytes as f64 / per_second as f64);
        // Who was slow for a while does not make up for it all at once.
        let earliest = now.checked_sub(takes(PACE_FREE_BYTES)).unwrap_or(now);
        self.until = self.until.max(earliest) + takes(bytes);
        let wait = self.until.saturating_duration_since(now);
        if wait < PACE_STEP { Duration::ZERO } else { wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::env::Clock;

    const MIB: u64 = 1 << 20;
    const FRAME: u64 = 64 << 10;

    /// How long a body takes whose sender is as fast as it is let.
    fn takes(bytes: u64, per_second: u64) -> Duration {
        let begun = Clock::system().now();
        let (mut pace, mut now) = (Pace::begin(begun - Duration::from_secs(60)), begun);
        for _ in 0..bytes / FRAME {
            now += pace.came(FRAME, per_second, now);
        }
        now - begun
    }

    #[test]
    fn a_large_body_takes_as_long_as_its_accounts_rate_gives_it_and_a_small_one_no_time() {
        for (bytes, per_second, least, most) in [
            (PACE_FREE_BYTES, 4 * MIB, 0, 0),
            (8 * MIB, 4 * MIB, 1_900, 2_000),
            (64 * MIB, 32 * MIB, 1_950, 2_000),
            // However low the limit: the debt does the rest.
            (8 * MIB, 1, 8_000 * MIB / PACE_LEAST - 200, 8_000 * MIB / PACE_LEAST),
            (64 * MIB, 1 << 40, 0, 0),
        ] {
            let took = takes(bytes, per_second).as_millis();
            assert!((u128::from(least)..=u128::from(most)).contains(&took), "{bytes} at {per_second}: {took} ms");
        }
    }

    #[test]
    fn who_was_slow_makes_up_for_no_more_than_what_is_free() {
        let mut now = Clock::system().now();
        let mut pace = Pace::begin(now);
        now += Duration::from_secs(600);
        let free = (0..100).find(|_| pace.came(FRAME, 4 * MIB, now) > Duration::ZERO);
        assert_eq!(free, Some(PACE_FREE_BYTES / FRAME));
    }
}

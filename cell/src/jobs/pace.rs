//! How fast background work goes: spread over time, and out of the way of tenants.

use crate::limits::{BUSY_LOOK, BUSY_OPERATIONS_PER_SECOND};
use std::time::Duration;
use tokio::time::Instant;

/// Whether tenants use a disk, by how many operations it does beyond the job's own.
#[derive(Debug)]
pub struct Activity {
    at: Instant,
    operations: u64,
    is_busy: bool,
}

impl Activity {
    pub fn new(now: Instant, operations: u64) -> Self {
        Self { at: now, operations, is_busy: true }
    }

    /// Whether the disk was busy when it was last looked at, which is now if some time has passed. `operations` never falls.
    pub fn is_busy(&mut self, now: Instant, operations: u64) -> bool {
        let elapsed = now.saturating_duration_since(self.at);
        if elapsed >= BUSY_LOOK {
            let since = operations.saturating_sub(self.operations);
            self.is_busy = u128::from(since) * 1_000 > u128::from(BUSY_OPERATIONS_PER_SECOND) * elapsed.as_millis();
            (self.at, self.operations) = (now, operations);
        }
        self.is_busy
    }
}

/// Gives out points in time, so far apart that a rate is kept on average.
#[derive(Debug)]
pub struct Pacer {
    next: Instant,
}

impl Pacer {
    pub fn new(now: Instant) -> Self {
        Self { next: now }
    }

    /// When something may begin after which there is to be a `pause`. What was not used is not made up for.
    pub fn slot(&mut self, now: Instant, pause: Duration) -> Instant {
        let at = self.next.max(now);
        self.next = at + pause;
        at
    }
}

/// A rate between a floor and the most, by how much of the node tenants leave: all of it at the most, none of it at the floor. Pure.
pub fn of_what_is_left(floor: u64, most: u64, used_percent: u64) -> u64 {
    let left = 100 - used_percent.min(100);
    floor + most.saturating_sub(floor) * left / 100
}

/// How long `bytes` take at a rate.
pub fn at_rate(bytes: u64, bytes_per_second: u64) -> Duration {
    Duration::from_nanos(
        (u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second.max(1))).min(u128::from(u64::MAX)) as u64,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::Env;

    #[test]
    fn a_disk_is_busy_from_a_rate_on_and_not_before_it_is_looked_at() {
        let now = Env::system().clock.now();
        let mut activity = Activity::new(now, 100);
        assert!(activity.is_busy(now, 100), "not known yet");
        assert!(!activity.is_busy(now + BUSY_LOOK, 100));
        assert!(!activity.is_busy(now + BUSY_LOOK, 1_000), "too early to look again");
        let many = 100 + BUSY_OPERATIONS_PER_SECOND * BUSY_LOOK.as_secs() + 1;
        assert!(activity.is_busy(now + BUSY_LOOK * 2, many));
        assert!(!activity.is_busy(now + BUSY_LOOK * 3, many + 1));
    }

    #[test]
    fn background_work_takes_what_is_left_and_never_less_than_its_floor() {
        let rates = [0, 50, 99, 100, 1_000].map(|used| of_what_is_left(10, 1_010, used));
        assert_eq!(rates, [1_010, 510, 20, 10, 10]);
        assert_eq!(of_what_is_left(10, 5, 0), 10);
    }

    #[test]
    fn a_rate_is_kept_and_what_was_missed_is_not_made_up_for() {
        let now = Env::system().clock.now();
        let (mut pacer, second) = (Pacer::new(now), at_rate(4 << 20, 4 << 20));
        assert_eq!(second, Duration::from_secs(1));
        assert_eq!(pacer.slot(now, second), now);
        assert_eq!(pacer.slot(now, second), now + second);
        let late = now + second * 10;
        assert_eq!(pacer.slot(late, second), late);
        assert_eq!(pacer.slot(late, second), late + second);
    }
}

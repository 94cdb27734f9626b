//! Whether a queue stands: people wait although work goes on, and have for a while. Pure; time is told to it.
//!
//! A queue that a burst leaves is gone soon, and one that an election leaves goes once there is a leader: whoever waits then is served. One
//! that does not go makes everybody wait and nobody wait less, so of it only those are served who have not waited long (a controlled delay).

use crate::limits::{QUEUE_AGE_BUSY, QUEUE_GAP_MAX, QUEUE_STANDS_AFTER};
use std::time::Duration;
use tokio::time::Instant;

/// What is known of the queue.
#[derive(Debug, Default)]
pub struct Flow {
    /// Since when somebody has waited and work has ended again and again; `None` while nobody waits.
    since: Option<Instant>,
    /// When work ended last.
    last: Option<Instant>,
}

impl Flow {
    /// Work ended. After a time in which none did, the queue is that time's, and begins anew.
    pub fn ended(&mut self, now: Instant) {
        let flowed = self.last.is_some_and(|last| now <= last + QUEUE_GAP_MAX);
        if !flowed {
            self.since = self.since.map(|_| now);
        }
        self.last = Some(now);
    }

    /// Whether anybody waits, after everyone whose turn it was has gone.
    pub fn waits(&mut self, now: Instant, anybody: bool) {
        self.since = anybody.then(|| self.since.unwrap_or(now));
    }

    /// How long a request may have waited that is let in now.
    pub fn patience(&self, now: Instant) -> Duration {
        let stands = self.since.is_some_and(|since| now >= since + QUEUE_STANDS_AFTER);
        if stands { QUEUE_AGE_BUSY } else { Duration::MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::Env;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn a_queue_stands_when_it_stays_while_work_goes_on_and_begins_anew_when_it_was_gone() {
        let begun = Env::system().clock.now();
        let mut flow = Flow::default();
        let mut now = begun;
        while now < begun + QUEUE_STANDS_AFTER {
            flow.ended(now);
            flow.waits(now, true);
            assert_eq!(flow.patience(now), Duration::MAX);
            now += QUEUE_GAP_MAX / 2;
        }
        flow.ended(now);
        assert_eq!(flow.patience(now), QUEUE_AGE_BUSY);
        flow.waits(now, false);
        flow.waits(now + MILLISECOND, true);
        assert_eq!(flow.patience(now + MILLISECOND), Duration::MAX);
    }

    #[test]
    fn a_time_in_which_nothing_ends_makes_no_queue_stand() {
        let begun = Env::system().clock.now();
        let mut flow = Flow::default();
        flow.ended(begun);
        flow.waits(begun, true);
        let again = begun + QUEUE_STANDS_AFTER * 3;
        flow.ended(again);
        assert_eq!(flow.patience(again), Duration::MAX);
        assert_eq!(flow.patience(again + QUEUE_STANDS_AFTER), QUEUE_AGE_BUSY);
    }
}

//! Whether a queue stands: people wait although work goes on, and have for a while. Pure; time is told to it.
//!
//! A queue that a burst leaves is gone soon, and one that an election leaves goes once there is a leader: whoever waits then is served. One
//! that does not go makes everybody wait and nobody wait less, so of it only those are served who have not waited long (a controlled delay).

use crate::limits::{QUEUE_AFTER_GAP_MAX, QUEUE_AGE_BUSY, QUEUE_GAP_EVERY, QUEUE_GAP_MAX, QUEUE_STANDS_AFTER};
use std::time::Duration;
use tokio::time::Instant;

/// What is known of the queue.
#[derive(Debug, Default)]
pub struct Flow {
    /// Since when somebody has waited and work has ended again and again, later after a gap; `None` while nobody waits.
    since: Option<Instant>,
    /// When work ended last.
    last: Option<Instant>,
    /// When a gap ended for which the queue was given more time.
    gap: Option<Instant>,
}

impl Flow {
    /// Work ended. After a time in which none did, the queue is that time's: it begins anew, and has as long again to go. Not so when there
    /// was such a time a moment ago.
    pub fn ended(&mut self, now: Instant) {
        let before = self.last.or(self.since);
        let gap = before.map_or(Duration::ZERO, |before| now.saturating_duration_since(before));
        let is_excused = gap > QUEUE_GAP_MAX && self.gap.is_none_or(|before| now >= before + QUEUE_GAP_EVERY);
        if let (Some(since), true) = (&mut self.since, is_excused) {
            *since = now + gap.min(QUEUE_AFTER_GAP_MAX);
            self.gap = Some(now);
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
    fn a_time_in_which_nothing_ends_makes_no_queue_stand_and_what_it_left_has_as_long_to_go() {
        for (gap, grace) in [(QUEUE_GAP_MAX * 2, QUEUE_GAP_MAX * 2), (Duration::from_secs(3), QUEUE_AFTER_GAP_MAX)] {
            let begun = Env::system().clock.now();
            let mut flow = Flow::default();
            flow.ended(begun);
            flow.waits(begun, true);
            let again = begun + gap;
            flow.ended(again);
            flow.waits(again, true);
            let stands = again + grace + QUEUE_STANDS_AFTER;
            assert_eq!(flow.patience(again), Duration::MAX);
            assert_eq!(flow.patience(stands - MILLISECOND), Duration::MAX);
            assert_eq!(flow.patience(stands), QUEUE_AGE_BUSY);
        }
    }

    #[test]
    fn a_node_whose_work_stops_again_and_again_has_a_queue_that_stands() {
        let begun = Env::system().clock.now();
        let mut flow = Flow::default();
        flow.ended(begun);
        flow.waits(begun, true);
        let mut now = begun;
        let mut stood = 0;
        for _ in 0..20 {
            now += QUEUE_GAP_MAX + MILLISECOND;
            flow.ended(now);
            flow.waits(now, true);
            stood += u32::from(flow.patience(now) == QUEUE_AGE_BUSY);
        }
        assert!(stood >= 15, "{stood} of 20");
    }
}

//! How much of the log is kept below a checkpoint, for followers that were away.
//!
//! A follower that was away for less than [`LOG_AGE_KEPT`] catches up by the log, which costs it what it missed; one that was
//! away for longer gets a checkpoint, which costs it everything. Bytes and entries bound that: an entry takes memory too.
//! What may be purged at all is not decided here: only what a durable checkpoint holds. Pure.

use crate::limits::{LOG_AGE_KEPT, LOG_ENTRIES_KEPT_MAX, LOG_MARK_EVERY};
use std::collections::VecDeque;
use tokio::time::Instant;

/// Marks in the bytes that are kept, at least: as exact as the bound on bytes is.
const MARKS_OF_BYTES: u64 = 16;

/// Where the log ended at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    at: Instant,
    /// The index after the last entry.
    end: u64,
    /// Bytes appended up to there, counted from some beginning.
    bytes: u64,
}

/// Remembers how the log grew: a mark every [`LOG_MARK_EVERY`], and more when it grows fast, for as long as entries are kept.
#[derive(Debug)]
pub(crate) struct Retention {
    marks: VecDeque<Mark>,
    bytes_kept: u64,
}

impl Retention {
    /// Keeps at most about `bytes_kept` of entries below a checkpoint.
    pub fn new(bytes_kept: u64) -> Self {
        Self { marks: VecDeque::new(), bytes_kept }
    }

    /// Notes where the log ends now, now and then; says whether it did.
    pub fn mark(&mut self, now: Instant, end: u64, bytes: u64) -> bool {
        let step = self.bytes_kept / MARKS_OF_BYTES;
        if self.marks.back().is_some_and(|last| now < last.at + LOG_MARK_EVERY && bytes <= last.bytes + step) {
            return false;
        }
        self.marks.push_back(Mark { at: now, end, bytes });
        true
    }

    /// The number of entries from the beginning that need not be kept. Forgets the marks that say no more.
    pub fn spare(&mut self, now: Instant) -> u64 {
        let Some(last) = self.marks.back().copied() else { return 0 };
        let is_spare = |mark: &Mark| {
            now >= mark.at + LOG_AGE_KEPT
                || last.bytes.saturating_sub(mark.bytes) > self.bytes_kept
                || last.end.saturating_sub(mark.end) > LOG_ENTRIES_KEPT_MAX
        };
        let spare = self.marks.iter().take_while(|mark| is_spare(mark)).count();
        let end = spare.checked_sub(1).and_then(|at| self.marks.get(at)).map_or(0, |mark| mark.end);
        // The last of them is kept: it is where the kept ones begin.
        self.marks.drain(..spare.saturating_sub(1));
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::env::Clock;
    use std::time::Duration;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn entries_of_the_last_hour_are_kept_and_no_more() {
        let (mut kept, start) = (Retention::new(u64::MAX), Clock::system().now());
        assert_eq!(kept.spare(start), 0);
        for minute in 0..180 {
            let now = start + MINUTE * minute;
            assert!(kept.mark(now, u64::from(minute) * 10, 0));
            assert!(!kept.mark(now + Duration::from_secs(1), 9_999, 0), "too soon");
            let expected = u64::from(minute.saturating_sub(60)) * 10;
            assert_eq!(kept.spare(now), expected, "in minute {minute}");
            assert_eq!(kept.spare(now), expected, "asked again");
        }
        assert!(kept.marks.len() <= 62, "{} marks", kept.marks.len());
    }

    #[test]
    fn bytes_and_entries_bound_what_is_kept_whatever_its_age() {
        let start = Clock::system().now();
        let mut kept = Retention::new(1_000);
        for n in 0..20 {
            assert!(kept.mark(start, n, n * 100), "a burst is marked as it grows");
        }
        assert_eq!(kept.spare(start), 8, "eleven hundred bytes lie behind it");
        assert!(kept.marks.len() <= 12, "{} marks", kept.marks.len());
        let mut kept = Retention::new(u64::MAX);
        kept.mark(start, 7, 0);
        kept.mark(start + MINUTE, 7 + LOG_ENTRIES_KEPT_MAX, 0);
        assert_eq!(kept.spare(start + MINUTE), 0);
        kept.mark(start + MINUTE * 2, 8 + LOG_ENTRIES_KEPT_MAX, 0);
        assert_eq!(kept.spare(start + MINUTE * 2), 7);
    }
}

//! The rhythm of acknowledged writes: how long was it ever silent.

use crate::clock;
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// Shared by all writers.
#[derive(Debug)]
pub struct Acks {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    last: Instant,
    longest: Duration,
    since_mark: u64,
}

impl Acks {
    /// Silence is counted from now.
    pub fn new() -> Self {
        Self { inner: Mutex::new(Inner { last: clock::now(), longest: Duration::ZERO, since_mark: 0 }) }
    }

    /// Forgets what was, and counts silence from `at`.
    pub fn mark(&self, at: Instant) {
        *self.inner.lock() = Inner { last: at, longest: Duration::ZERO, since_mark: 0 };
    }

    /// A write was acknowledged.
    pub fn hit(&self, at: Instant) {
        let mut inner = self.inner.lock();
        let silence = at.saturating_duration_since(inner.last);
        inner.longest = inner.longest.max(silence);
        inner.last = inner.last.max(at);
        inner.since_mark += 1;
    }

    /// Acknowledged writes since the mark.
    pub fn since_mark(&self) -> u64 {
        self.inner.lock().since_mark
    }

    /// The longest silence since the mark, the one that still lasts at `now` included.
    pub fn longest_silence(&self, now: Instant) -> Duration {
        let inner = self.inner.lock();
        inner.longest.max(now.saturating_duration_since(inner.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_measured_between_writes_and_up_to_now() {
        let start = clock::now();
        let at = |millis| start + Duration::from_millis(millis);
        let acks = Acks::new();
        acks.mark(start);
        acks.hit(at(100));
        acks.hit(at(400));
        assert_eq!(acks.longest_silence(at(500)), Duration::from_millis(300));
        assert_eq!(acks.longest_silence(at(1000)), Duration::from_millis(600));
        assert_eq!(acks.since_mark(), 2);
        acks.mark(at(1000));
        assert_eq!(acks.longest_silence(at(1001)), Duration::from_millis(1));
    }
}

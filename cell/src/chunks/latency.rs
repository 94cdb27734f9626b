//! How long a disk takes, over the last minute: a disk that is slow and does not fail is seen here alone.
//!
//! What is slow is not decided here: the figure is compared with those of the cell's other nodes.

use crate::limits::LATENCY_WINDOW;
use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Parts of the window; the oldest is dropped as a whole.
const SLOTS: usize = 6;
/// Buckets per doubling: a figure is at most a quarter above the truth.
const PER_DOUBLING: u32 = 4;
/// Up to 2³⁰ µs, 18 minutes; what takes longer counts as that.
const BUCKETS: usize = 30 * PER_DOUBLING as usize;

/// The quantile of a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    /// Operations seen in the window. Of few, the quantile says little.
    pub samples: u64,
    /// 99 of 100 took no longer. Zero when there were none.
    pub p99: Duration,
}

/// Durations of one kind of operation. Its memory does not grow.
#[derive(Debug)]
pub struct Window {
    began: Instant,
    slots: Mutex<[Slot; SLOTS]>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// How many slots' time after the beginning it was filled.
    turn: u64,
    buckets: [u32; BUCKETS],
}

impl Window {
    pub fn new(now: Instant) -> Self {
        Self { began: now, slots: Mutex::new([Slot { turn: 0, buckets: [0; BUCKETS] }; SLOTS]) }
    }

    pub fn record(&self, now: Instant, took: Duration) {
        let turn = self.turn(now);
        let mut slots = self.slots.lock();
        let at = usize::try_from(turn % SLOTS as u64).expect("below the number of slots");
        if slots[at].turn != turn {
            slots[at] = Slot { turn, buckets: [0; BUCKETS] };
        }
        let count = &mut slots[at].buckets[bucket(took)];
        *count = count.saturating_add(1);
    }

    /// Over what was recorded within the window.
    pub fn p99(&self, now: Instant) -> Latency {
        let turn = self.turn(now);
        let slots = *self.slots.lock();
        let recent = slots.iter().filter(|slot| slot.turn + SLOTS as u64 > turn);
        let mut sums = [0_u64; BUCKETS];
        for slot in recent {
            for (sum, count) in sums.iter_mut().zip(slot.buckets) {
                *sum += u64::from(count);
            }
        }
        let samples = sums.iter().sum::<u64>();
        let slower = samples / 100;
        let mut below = 0;
        let at = sums.iter().position(|count| {
            below += count;
            below > 0 && below >= samples - slower
        });
        Latency { samples, p99: at.map_or(Duration::ZERO, upper_bound) }
    }

    fn turn(&self, now: Instant) -> u64 {
        let slot = LATENCY_WINDOW.as_millis() / SLOTS as u128;
        u64::try_from(now.saturating_duration_since(self.began).as_millis() / slot).unwrap_or(u64::MAX)
    }
}

fn bucket(took: Duration) -> usize {
    // From 4 µs on, so that each doubling has four whole numbers at least.
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(4);
    let doubling = micros.ilog2() - 2;
    let quarter = (micros >> doubling) - 4;
    ((doubling * PER_DOUBLING) as usize + usize::try_from(quarter).expect("below four")).min(BUCKETS - 1)
}

fn upper_bound(bucket: usize) -> Duration {
    let (doubling, quarter) = (bucket / PER_DOUBLING as usize, bucket % PER_DOUBLING as usize);
    Duration::from_micros((5 + quarter as u64) << doubling)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::env::Clock;

    #[test]
    fn the_slowest_of_a_hundred_is_passed_over_and_two_are_not() {
        let now = Clock::system().now();
        let window = Window::new(now);
        assert_eq!(window.p99(now), Latency::default());
        for _ in 0..99 {
            window.record(now, Duration::from_millis(1));
        }
        window.record(now, Duration::from_secs(2));
        let fast = window.p99(now);
        assert_eq!(fast.samples, 100);
        assert!((1_000..1_250).contains(&fast.p99.as_micros()), "{fast:?}");
        window.record(now, Duration::from_secs(2));
        let slow = window.p99(now).p99.as_micros();
        assert!((2_000_000..2_500_000).contains(&slow), "{slow}");
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let now = Clock::system().now();
        let window = Window::new(now);
        window.record(now, Duration::from_secs(1));
        window.record(now + LATENCY_WINDOW / 2, Duration::from_millis(1));
        assert_eq!(window.p99(now + LATENCY_WINDOW / 2).samples, 2);
        assert_eq!(window.p99(now + LATENCY_WINDOW).samples, 1);
        assert_eq!(window.p99(now + LATENCY_WINDOW * 2).samples, 0);
    }

    #[test]
    fn a_bucket_is_at_most_a_quarter_above_what_it_holds() {
        for micros in [0, 1, 4, 5, 7, 8, 9, 1_000, 65_535, 65_536, 999_999_999] {
            let bound = upper_bound(bucket(Duration::from_micros(micros))).as_micros();
            assert!(bound > u128::from(micros) && bound * 4 <= u128::from(micros.max(4)) * 5 + 4, "{micros}: {bound}");
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }
}

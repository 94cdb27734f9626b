//! A node's recent latency: an exponentially weighted mean that fades, so that a node that was slow once is tried again.

use crate::limits;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The weight of one observation.
const WEIGHT: f64 = 0.2;

/// Two writers may lose one observation to each other; the mean does not mind.
#[derive(Debug, Default)]
pub struct Latency {
    /// Seconds, as the bits of an `f64`.
    mean: AtomicU64,
    /// When it was last observed, in nanoseconds since a start of the caller's choice.
    at: AtomicU64,
}

impl Latency {
    /// Takes an observation made at `now`, a time since the caller's start.
    pub fn observe(&self, seconds: f64, now: Duration) {
        let mean = f64::from_bits(self.mean.load(Ordering::Relaxed));
        let mean = if mean == 0.0 { seconds } else { mean + WEIGHT * (seconds - mean) };
        self.mean.store(mean.to_bits(), Ordering::Relaxed);
        self.at.store(nanoseconds(now), Ordering::Relaxed);
    }

    /// The mean in seconds as it has faded by `now`; 0 when nothing was observed.
    pub fn seconds(&self, now: Duration) -> f64 {
        let mean = f64::from_bits(self.mean.load(Ordering::Relaxed));
        mean * (-self.age(now).as_secs_f64() / limits::LATENCY_HALF_LIFE.as_secs_f64()).exp2()
    }

    /// How long ago the last observation was made.
    pub fn age(&self, now: Duration) -> Duration {
        Duration::from_nanos(nanoseconds(now).saturating_sub(self.at.load(Ordering::Relaxed)))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_follows_and_fades() {
        let latency = Latency::default();
        let start = Duration::from_secs(100);
        assert_eq!(latency.seconds(start), 0.0);
        latency.observe(1.0, start);
        assert_eq!(latency.seconds(start), 1.0);
        latency.observe(2.0, start);
        assert!((latency.seconds(start) - 1.2).abs() < 1e-9);
        assert!((latency.seconds(start + limits::LATENCY_HALF_LIFE) - 0.6).abs() < 1e-9);
    }
}

//! A node's recent latency: an exponentially weighted mean that fades, so that a node that was slow once is tried again, and how
//! far observations are from it.

use crate::limits;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The weight of one observation.
const WEIGHT: f64 = 0.2;
/// How many mean distances from the mean are unusual.
const DEVIATIONS: f64 = 8.0;

/// Two writers may lose one observation to each other; the mean does not mind.
#[derive(Debug, Default)]
pub struct Latency {
    /// Seconds, as the bits of an `f64`.
    mean: AtomicU64,
    /// Mean distance from the mean, likewise.
    deviation: AtomicU64,
    /// When it was last observed, in nanoseconds since a start of the caller's choice.
    at: AtomicU64,
}

impl Latency {
    /// Takes an observation made at `now`, a time since the caller's start.
    pub fn observe(&self, seconds: f64, now: Duration) {
        let (mean, deviation) = (self.mean(), f64::from_bits(self.deviation.load(Ordering::Relaxed)));
        let off = if mean == 0.0 { seconds } else { (seconds - mean).abs() };
        let mean = if mean == 0.0 { seconds } else { mean + WEIGHT * (seconds - mean) };
        self.mean.store(mean.to_bits(), Ordering::Relaxed);
        self.deviation.store((deviation + WEIGHT * (off - deviation)).to_bits(), Ordering::Relaxed);
        self.at.store(nanoseconds(now), Ordering::Relaxed);
    }

    /// The mean in seconds as it has faded by `now`; 0 when nothing was observed.
    pub fn seconds(&self, now: Duration) -> f64 {
        self.mean() * (-self.age(now).as_secs_f64() / limits::LATENCY_HALF_LIFE.as_secs_f64()).exp2()
    }

    /// The mean in seconds as it was when it was last observed; 0 when nothing was.
    pub fn mean(&self) -> f64 {
        f64::from_bits(self.mean.load(Ordering::Relaxed))
    }

    /// How long an answer may take before it is worth a second try elsewhere: longer than nearly all do, within
    /// [`limits::SECOND_TRY_AFTER_MIN`] and [`limits::SECOND_TRY_AFTER_MAX`].
    pub fn patience(&self) -> Duration {
        let deviation = f64::from_bits(self.deviation.load(Ordering::Relaxed));
        let patience = (self.mean() + DEVIATIONS * deviation).min(limits::SECOND_TRY_AFTER_MAX.as_secs_f64());
        Duration::from_secs_f64(patience.max(0.0)).max(limits::SECOND_TRY_AFTER_MIN)
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
        assert!((latency.mean() - 1.2).abs() < 1e-9);
    }

    #[test]
    fn patience_follows_what_is_usual_and_is_bounded() {
        let (latency, now) = (Latency::default(), Duration::ZERO);
        assert_eq!(latency.patience(), limits::SECOND_TRY_AFTER_MIN);
        (0..100).for_each(|n| latency.observe(if n % 2 == 0 { 0.2 } else { 0.6 }, now));
        assert!(latency.patience() > Duration::from_secs(1), "{:?}", latency.patience());
        (0..100).for_each(|_| latency.observe(0.001, now));
        assert_eq!(latency.patience(), limits::SECOND_TRY_AFTER_MIN);
        (0..100).for_each(|_| latency.observe(60.0, now));
        assert_eq!(latency.patience(), limits::SECOND_TRY_AFTER_MAX);
    }
}

//! How long the clients' operations take, by phase: whoever looks begins the next.

use crate::limits::LATENCY_MAX_MICROS;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use std::{collections::BTreeMap, fmt, time::Duration};

/// Objects from this size on are told apart from smaller ones.
pub const LARGE_BYTES: u64 = 1 << 20;

/// What took how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    PutSmall,
    PutLarge,
    GetSmall,
    GetLarge,
}

/// Shared by all clients.
#[derive(Debug, Default)]
pub struct Pulse {
    phase: Mutex<Phase>,
}

/// What was measured in a phase.
#[derive(Debug, Default)]
pub struct Phase {
    /// Microseconds, of operations that succeeded.
    took: BTreeMap<Kind, Histogram<u64>>,
    failed: u64,
}

impl Kind {
    pub fn put(bytes: u64) -> Self {
        if bytes < LARGE_BYTES { Self::PutSmall } else { Self::PutLarge }
    }

    pub fn get(bytes: u64) -> Self {
        if bytes < LARGE_BYTES { Self::GetSmall } else { Self::GetLarge }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PutSmall => "PUT below 1 MiB",
            Self::PutLarge => "PUT 1 to 16 MiB",
            Self::GetSmall => "GET below 1 MiB",
            Self::GetLarge => "GET 1 to 16 MiB",
        })
    }
}

impl Pulse {
    /// An operation succeeded.
    pub fn beat(&self, kind: Kind, took: Duration) {
        let mut phase = self.phase.lock();
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        phase.took.entry(kind).or_insert_with(histogram).saturating_record(micros);
    }

    /// An operation did not.
    pub fn miss(&self) {
        self.phase.lock().failed += 1;
    }

    /// Ends the phase, and begins the next.
    pub fn take(&self) -> Phase {
        std::mem::take(&mut *self.phase.lock())
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_MICROS, 3).expect("the bounds are constants that fit")
}

impl Phase {
    /// A line for each kind.
    pub fn lines(&self, name: &str) -> String {
        let millis = |micros: u64| micros as f64 / 1000.0;
        let mut lines: Vec<String> = self
            .took
            .iter()
            .map(|(kind, took)| {
                format!(
                    "  {name:<7} {kind}: {:>6} done, p50 {:>8.1} ms, p99 {:>8.1} ms, max {:>8.1} ms",
                    took.len(),
                    millis(took.value_at_quantile(0.5)),
                    millis(took.value_at_quantile(0.99)),
                    millis(took.max())
                )
            })
            .collect();
        lines.push(format!("  {name:<7} operations that did not succeed: {}", self.failed));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_holds_what_was_measured_in_it_and_the_next_begins_empty() {
        let pulse = Pulse::default();
        pulse.beat(Kind::put(4_096), Duration::from_millis(10));
        pulse.beat(Kind::put(LARGE_BYTES), Duration::from_millis(90));
        pulse.miss();
        let shown = pulse.take().lines("before");
        assert!(shown.contains("PUT below 1 MiB:      1 done, p50     10"), "{shown}");
        assert!(shown.contains("PUT 1 to 16 MiB:      1 done, p50     90"), "{shown}");
        assert!(shown.ends_with("did not succeed: 1"), "{shown}");
        assert!(pulse.take().lines("then").ends_with("did not succeed: 0"));
    }
}

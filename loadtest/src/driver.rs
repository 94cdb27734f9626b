//! The closed loop: every worker sends its next request when the last one was answered, for a bounded time.
//!
//! What falls into the ramp-up is not counted. Latency is that of one client's request; a closed loop hides queueing
//! that an open loop would show.

use crate::{clock, limits::LATENCY_MAX_MICROS};
use hdrhistogram::Histogram;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// How long to run.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub ramp_up: Duration,
    pub window: Duration,
}

/// One operation's end.
#[derive(Debug)]
pub struct Done {
    /// Bytes of object data that moved.
    pub bytes: u64,
    /// What went wrong, in few words; equal texts are counted together.
    pub error: Option<String>,
}

/// A client that does one operation after the other.
pub trait Worker: Send + 'static {
    /// Does the next operation.
    fn step(&mut self) -> impl Future<Output = Done> + Send;
}

/// What was measured in the window.
#[derive(Debug, Clone)]
pub struct Sample {
    pub operations: u64,
    pub bytes: u64,
    pub seconds: f64,
    /// Microseconds.
    pub latency: Histogram<u64>,
    pub errors: BTreeMap<String, u64>,
}

impl Sample {
    /// Nothing yet.
    pub fn empty() -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_MAX_MICROS, 3).expect("the bounds are constants that fit");
        Self { operations: 0, bytes: 0, seconds: 0.0, latency, errors: BTreeMap::new() }
    }

    /// Operations that succeeded, per second.
    pub fn per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.operations as f64 / self.seconds } else { 0.0 }
    }

    /// Counts an operation's end.
    pub fn record(&mut self, done: Done, latency: Duration) {
        match done.error {
            Some(error) => *self.errors.entry(error).or_default() += 1,
            None => {
                self.operations += 1;
                self.bytes += done.bytes;
                self.latency.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1));
            }
        }
    }

    /// Takes in what another one counted; the seconds stay.
    pub fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.bytes += other.bytes;
        self.latency.add(&other.latency).expect("both histograms have the same bounds");
        for (error, count) in &other.errors {
            *self.errors.entry(error.clone()).or_default() += count;
        }
    }
}

/// Runs all `workers` at once. `at_window` is called when ramp-up ends and again when the window does.
///
/// An operation counts when it ends within the window; the rate is of those.
pub async fn closed_loop<W: Worker>(workers: Vec<W>, pace: Pace, mut at_window: impl FnMut()) -> Sample {
    let begin = clock::now() + pace.ramp_up;
    let end = begin + pace.window;
    let mut tasks = JoinSet::new();
    for worker in workers {
        tasks.spawn(run(worker, begin, end));
    }
    tokio::time::sleep_until(begin.into()).await;
    at_window();
    tokio::time::sleep_until(end.into()).await;
    at_window();
    let mut total = Sample::empty();
    while let Some(sample) = tasks.join_next().await {
        total.add(&sample.expect("a worker does not panic and is not aborted"));
    }
    total.seconds = pace.window.as_secs_f64();
    total
}

async fn run<W: Worker>(mut worker: W, begin: Instant, end: Instant) -> Sample {
    let mut sample = Sample::empty();
    loop {
        let start = clock::now();
        if start >= end {
            return sample;
        }
        let done = worker.step().await;
        let now = clock::now();
        if now >= begin && now < end {
            sample.record(done, now - start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ticking {
        failing: bool,
    }

    impl Worker for Ticking {
        async fn step(&mut self) -> Done {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Done { bytes: 4, error: self.failing.then(|| "503 SlowDown".to_owned()) }
        }
    }

    #[tokio::test]
    async fn operations_of_the_window_are_counted_and_errors_apart() {
        let pace = Pace { ramp_up: Duration::from_millis(50), window: Duration::from_millis(200) };
        let mut calls = 0;
        let workers = vec![Ticking { failing: false }, Ticking { failing: true }];
        let sample = closed_loop(workers, pace, || calls += 1).await;
        assert!((5..=21).contains(&sample.operations), "{} operations", sample.operations);
        assert_eq!(sample.bytes, sample.operations * 4);
        assert!(sample.errors["503 SlowDown"] > 0);
        assert!(sample.latency.min() >= 10_000, "{} µs", sample.latency.min());
        assert_eq!(calls, 2);
    }
}

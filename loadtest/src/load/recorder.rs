//! Counts how requests ended, by group, phase and kind, and by the second in which each was due; what was done also by the second in which
//! its answer had come.

use super::{
    results::{GroupResult, KindResult, Quantiles, SecondResult},
    workload::Kind,
};
use crate::limits::{LATENCY_MAX_MICROS, VIOLATIONS_MAX};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use std::{collections::BTreeMap, ops::RangeBounds, time::Duration};

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// As it should, with so many bytes of objects moved.
    Done { bytes: u64 },
    /// The service declined for now, and said so in time: `503 SlowDown`.
    Shed,
    /// Any other error, in few words; equal texts are counted together.
    Failed(String),
    /// It was never sent: all connections were busy for too long.
    Unsent,
    /// It was never sent: a write was under way to every key of the account, and reads could not be judged under a second one.
    NoKey,
    /// An answer that no correct store gives.
    Wrong(String),
}

/// When a request was due.
#[derive(Debug, Clone, Copy)]
pub struct When {
    pub phase: usize,
    /// Since the beginning of the run.
    pub after: Duration,
    /// What is counted together: a second, where nothing else was asked for.
    pub tick: Duration,
}

impl When {
    /// The tick of the run.
    fn second(self) -> u32 {
        self.second_after(Duration::ZERO)
    }

    /// The tick that it is so much later.
    fn second_after(self, took: Duration) -> u32 {
        u32::try_from((self.after + took).as_nanos() / self.tick.as_nanos().max(1)).unwrap_or(u32::MAX)
    }
}

struct Tally {
    bytes: u64,
    latency: Histogram<u64>,
    shed: u64,
    unsent: u64,
    without_key: u64,
    failed: BTreeMap<String, u64>,
}

struct Second {
    phase: usize,
    bytes: u64,
    shed: u64,
    failed: u64,
    latency: Histogram<u64>,
}

#[derive(Default)]
struct Counts {
    kinds: BTreeMap<(usize, Kind), Tally>,
    seconds: BTreeMap<u32, Second>,
    /// What was done, by the second in which its answer had come.
    answered: BTreeMap<u32, u64>,
}

/// What one group of accounts saw. Shared by its clients.
#[derive(Default)]
pub struct Recorder {
    counts: Mutex<Counts>,
    wrong: Mutex<Vec<String>>,
}

fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_MICROS, digits).expect("the bounds are constants that fit")
}

fn note(latency: &mut Histogram<u64>, took: Duration) {
    latency.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1));
}

impl Recorder {
    /// Counts one request, `took` long from when it was due.
    pub fn record(&self, when: When, kind: Kind, end: End, took: Duration) {
        let mut counts = self.counts.lock();
        let Counts { kinds, seconds, answered } = &mut *counts;
        let tally = kinds.entry((when.phase, kind)).or_insert_with(|| Tally {
            bytes: 0,
            latency: histogram(3),
            shed: 0,
            unsent: 0,
            without_key: 0,
            failed: BTreeMap::new(),
        });
        let second = seconds.entry(when.second()).or_insert_with(|| Second {
            phase: when.phase,
            bytes: 0,
            shed: 0,
            failed: 0,
            latency: histogram(2),
        });
        match end {
            End::Done { bytes } => {
                tally.bytes += bytes;
                second.bytes += bytes;
                note(&mut tally.latency, took);
                note(&mut second.latency, took);
                *answered.entry(when.second_after(took)).or_default() += 1;
            }
            End::Shed => {
                tally.shed += 1;
                second.shed += 1;
            }
            End::Unsent => {
                tally.unsent += 1;
                second.failed += 1;
            }
            // The load test's own want, which says nothing of the service.
            End::NoKey => tally.without_key += 1,
            End::Failed(what) => {
                *tally.failed.entry(what).or_default() += 1;
                second.failed += 1;
            }
            End::Wrong(what) => {
                *tally.failed.entry("wrong answer".into()).or_default() += 1;
                second.failed += 1;
                let mut wrong = self.wrong.lock();
                if wrong.len() < VIOLATIONS_MAX {
                    wrong.push(what);
                }
            }
        }
    }

    /// What no correct store answers, as far as it is kept.
    pub fn wrong(&self) -> Vec<String> {
        self.wrong.lock().clone()
    }

    /// Everything of one phase that lasted so long.
    pub fn phase(&self, phase: usize, lasted: Duration, offered: u64) -> GroupResult {
        let counts = self.counts.lock();
        let mut all = histogram(3);
        let mut kinds = BTreeMap::new();
        for ((_, kind), tally) in counts.kinds.iter().filter(|((of, _), _)| *of == phase) {
            all.add(&tally.latency).expect("both histograms have the same bounds");
            kinds.insert(*kind, result(tally, &tally.latency, lasted));
        }
        let sum = |of: fn(&KindResult) -> u64| kinds.values().map(of).sum::<u64>();
        let mut failures = BTreeMap::new();
        for (what, count) in kinds.values().flat_map(|kind| &kind.failures) {
            *failures.entry(what.clone()).or_default() += count;
        }
        let total = KindResult {
            done: sum(|kind| kind.done),
            per_second: kinds.values().map(|kind| kind.per_second).sum(),
            bytes: sum(|kind| kind.bytes),
            shed: sum(|kind| kind.shed),
            unsent: sum(|kind| kind.unsent),
            without_key: sum(|kind| kind.without_key),
            failures,
            latency: Quantiles::of(&all),
        };
        GroupResult { offered, total, kinds }
    }

    /// These seconds of the run; the groups' are merged by the caller.
    pub fn seconds(
        &self,
        which: &impl RangeBounds<u32>,
        into: &mut BTreeMap<u32, SecondResult>,
        merged: &mut BTreeMap<u32, Histogram<u64>>,
    ) {
        let bounds = (which.start_bound().cloned(), which.end_bound().cloned());
        let counts = self.counts.lock();
        for (at, second) in counts.seconds.range(bounds) {
            let row = into.entry(*at).or_insert_with(|| SecondResult {
                second: *at,
                phase: second.phase,
                ..Default::default()
            });
            row.done += second.latency.len();
            row.answered += counts.answered.get(at).copied().unwrap_or_default();
            row.bytes += second.bytes;
            row.shed += second.shed;
            row.failed += second.failed;
            let all = merged.entry(*at).or_insert_with(|| histogram(2));
            all.add(&second.latency).expect("both histograms have the same bounds");
        }
    }
}

fn result(tally: &Tally, latency: &Histogram<u64>, lasted: Duration) -> KindResult {
    KindResult {
        done: latency.len(),
        per_second: latency.len() as f64 / lasted.as_secs_f64().max(f64::MIN_POSITIVE),
        bytes: tally.bytes,
        shed: tally.shed,
        unsent: tally.unsent,
        without_key: tally.without_key,
        failures: tally.failed.clone(),
        latency: Quantiles::of(latency),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_counted_apart_and_only_what_was_done_has_a_latency() {
        let recorder = Recorder::default();
        let when = When { phase: 1, after: Duration::from_millis(3_985), tick: Duration::from_secs(1) };
        let took = Duration::from_millis(10);
        recorder.record(when, Kind::Get, End::Done { bytes: 7 }, took);
        recorder.record(when, Kind::Put, End::Done { bytes: 1 }, took * 3);
        recorder.record(when, Kind::Put, End::Shed, took);
        recorder.record(when, Kind::Put, End::Failed("500 InternalError".into()), took);
        recorder.record(when, Kind::Put, End::Unsent, took);
        recorder.record(when, Kind::Put, End::NoKey, took);
        recorder.record(when, Kind::Get, End::Wrong("a/b: another version".into()), took);
        let result = recorder.phase(1, Duration::from_secs(2), 6);
        assert_eq!((result.total.done, result.total.bytes, result.total.shed, result.total.unsent), (2, 8, 1, 1));
        assert_eq!(result.total.failures.values().sum::<u64>(), 2);
        assert_eq!(
            (result.total.without_key, result.total.failed()),
            (1, 3),
            "want of keys is no failure of the service"
        );
        assert!((result.kinds[&Kind::Get].latency.p50_ms - 10.0).abs() < 0.1);
        assert!((result.total.latency.max_ms - 30.0).abs() < 0.1);
        assert!((result.total.per_second - 1.0).abs() < 1e-9);
        assert_eq!(recorder.phase(0, took, 0).total.done, 0);
        assert_eq!(recorder.wrong().len(), 1);
        let (mut seconds, mut merged) = (BTreeMap::new(), BTreeMap::new());
        recorder.seconds(&(..=2), &mut seconds, &mut merged);
        assert!(seconds.is_empty());
        recorder.seconds(&(..), &mut seconds, &mut merged);
        assert_eq!((seconds[&3].done, seconds[&3].shed, seconds[&3].failed), (2, 1, 3));
        assert_eq!(merged[&3].len(), 2);
        assert_eq!(seconds[&3].answered, 1, "the other answer came in the next second, in which nothing was due");
    }
}

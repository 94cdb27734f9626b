//! Hands out requests when they are due, from a thread of its own: a timer of the runtime is a millisecond late, and late under load.

use super::{
    engine::Phase,
    recorder::When,
    workload::{Group, Kind},
};
use crate::limits::{CLOCKWORK_SLEEP_MAX, LATENCY_MAX_MICROS, QUEUE_MAX};
use crate::{clock, machine};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    collections::{BinaryHeap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// A request that is due.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    pub at: Instant,
    pub when: When,
    pub kind: Kind,
    /// Chooses the key.
    pub dice: u64,
}

/// The requests of one account that wait for a connection.
pub struct Queue {
    due: Mutex<VecDeque<Due>>,
    ready: Semaphore,
    /// Connections that wait for requests.
    idle: AtomicU64,
}

impl Queue {
    pub fn new() -> Self {
        Self { due: Mutex::default(), ready: Semaphore::new(0), idle: AtomicU64::new(0) }
    }

    /// The next request; `None` when the run is over and none is left.
    pub async fn next(&self) -> Option<Due> {
        self.idle.fetch_add(1, Ordering::Relaxed);
        let permit = self.ready.acquire().await;
        self.idle.fetch_sub(1, Ordering::Relaxed);
        if let Ok(permit) = permit {
            permit.forget();
        }
        // A closed queue is emptied before it ends.
        self.due.lock().pop_front()
    }

    fn push(&self, due: Due) -> bool {
        let mut queue = self.due.lock();
        if queue.len() >= QUEUE_MAX {
            return false;
        }
        queue.push_back(due);
        drop(queue);
        self.ready.add_permits(1);
        true
    }

    fn close(&self) {
        self.ready.close();
    }

    /// Takes all that still waits.
    pub fn drain(&self) -> Vec<Due> {
        self.due.lock().drain(..).collect()
    }
}

/// What the thread itself found.
#[derive(Debug)]
pub struct Lateness {
    /// From when a request was due to when it was handed over. Microseconds.
    pub late: Histogram<u64>,
    /// Requests that found no connection idle.
    pub waited: u64,
    /// Requests due, by phase and group.
    pub offered: Vec<Vec<u64>>,
    /// Requests that found their queue full, by phase, group and kind.
    pub overflowed: Vec<(When, usize, Kind)>,
}

/// One account's arrivals.
struct Source {
    group: usize,
    queue: Arc<Queue>,
    rng: StdRng,
    /// When the next request is due, since the beginning; none after the last phase.
    next: Option<Duration>,
}

/// Everything that is to happen, and when.
pub struct Clockwork<'a> {
    groups: &'a [Group],
    phases: &'a [Phase],
    sources: Vec<Source>,
    tick: Duration,
}

impl<'a> Clockwork<'a> {
    pub fn new(
        groups: &'a [Group],
        phases: &'a [Phase],
        accounts: impl Iterator<Item = (usize, Arc<Queue>)>,
        seed: u64,
        tick: Duration,
    ) -> Self {
        let mut sources = Vec::new();
        for (number, (group, queue)) in accounts.enumerate() {
            let mut rng = StdRng::seed_from_u64(seed ^ (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let next = following(&groups[group], phases, Duration::ZERO, &mut rng);
            sources.push(Source { group, queue, rng, next });
        }
        Self { groups, phases, sources, tick }
    }

    /// Runs until the last phase is over, or `stop` is set.
    pub fn run(mut self, begin: Instant, stop: &AtomicBool) -> Lateness {
        // It does next to nothing, and what it does late is late for everybody.
        let _first = machine::First::now();
        let mut found = Lateness {
            late: Histogram::new_with_bounds(1, LATENCY_MAX_MICROS, 2).expect("the bounds are constants that fit"),
            waited: 0,
            offered: vec![vec![0; self.groups.len()]; self.phases.len()],
            overflowed: Vec::new(),
        };
        // The earliest first.
        let mut order: BinaryHeap<_> = self.upcoming().collect();
        while let Some((std::cmp::Reverse(after), number)) = order.pop() {
            let at = begin + after;
            sleep_until(at, stop);
            if stop.load(Ordering::Relaxed) {
                break;
            }
            self.hand_over(number, at, after, &mut found);
            if let Some(next) = self.sources[number].next {
                order.push((std::cmp::Reverse(next), number));
            }
        }
        self.sources.iter().for_each(|source| source.queue.close());
        found
    }

    fn upcoming(&self) -> impl Iterator<Item = (std::cmp::Reverse<Duration>, usize)> {
        let due = |(number, source): (usize, &Source)| Some((std::cmp::Reverse(source.next?), number));
        self.sources.iter().enumerate().filter_map(due)
    }

    fn hand_over(&mut self, number: usize, at: Instant, after: Duration, found: &mut Lateness) {
        let source = &mut self.sources[number];
        let group = &self.groups[source.group];
        let phase = phase_at(self.phases, after).map_or(0, |(phase, _)| phase);
        let when = When { phase, after, tick: self.tick };
        let due = Due { at, when, kind: draw(group, &mut source.rng), dice: source.rng.random() };
        found.offered[phase][source.group] += 1;
        found.waited += u64::from(source.queue.idle.load(Ordering::Relaxed) == 0);
        let late = clock::now().saturating_duration_since(at);
        found.late.saturating_record(u64::try_from(late.as_micros()).unwrap_or(u64::MAX).max(1));
        if !source.queue.push(due) {
            found.overflowed.push((when, source.group, due.kind));
        }
        source.next = following(group, self.phases, after, &mut source.rng);
    }
}

/// The arrival after one at `after`. In each phase at that phase's rate: what would fall behind a phase's end is drawn anew from there,
/// which changes nothing about Poisson arrivals, since they have no memory.
fn following(group: &Group, phases: &[Phase], after: Duration, rng: &mut StdRng) -> Option<Duration> {
    let mut from = after;
    while let Some((phase, end)) = phase_at(phases, from) {
        let rate = group.rate * phases[phase].scale_of(&group.name);
        if rate > 0.0 {
            let next = from + group.arrivals.gap(rate, rng);
            if next < end {
                return Some(next);
            }
        }
        from = end;
    }
    None
}

/// The phase at a moment, and when it ends.
fn phase_at(phases: &[Phase], after: Duration) -> Option<(usize, Duration)> {
    let mut end = Duration::ZERO;
    phases.iter().enumerate().find_map(|(number, phase)| {
        end += phase.lasts;
        (after < end).then_some((number, end))
    })
}

fn draw(group: &Group, rng: &mut StdRng) -> Kind {
    let mut left = rng.random::<f64>() * group.operations.iter().map(|operation| operation.weight).sum::<f64>();
    for operation in &group.operations {
        if left < operation.weight {
            return operation.kind;
        }
        left -= operation.weight;
    }
    group.operations.last().map_or(Kind::Get, |operation| operation.kind)
}

#[expect(clippy::disallowed_methods, reason = "this thread does nothing but wait for moments")]
fn sleep_until(at: Instant, stop: &AtomicBool) {
    loop {
        let left = at.saturating_duration_since(clock::now());
        if left.is_zero() || stop.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(left.min(CLOCKWORK_SLEEP_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Workload;

    fn phase(seconds: u64, scale: f64) -> Phase {
        Phase::new(format!("x{scale}"), Duration::from_secs(seconds), scale)
    }

    #[test]
    fn every_phase_has_its_rate_and_a_phase_of_none_has_no_request() {
        let workload = Workload::known("small").expect("it comes along");
        let group = &workload.groups[0];
        let phases = [phase(50, 1.0), phase(10, 0.0), phase(50, 2.0)];
        let mut rng = StdRng::seed_from_u64(4);
        let (mut at, mut counts) = (Duration::ZERO, [0_u32; 3]);
        while let Some(next) = following(group, &phases, at, &mut rng) {
            assert!(next > at);
            counts[phase_at(&phases, next).expect("within the run").0] += 1;
            at = next;
        }
        let expected = group.rate * 50.0;
        assert!((f64::from(counts[0]) / expected - 1.0).abs() < 0.1, "{counts:?}");
        assert_eq!(counts[1], 0);
        assert!((f64::from(counts[2]) / expected - 2.0).abs() < 0.15, "{counts:?}");
    }

    #[tokio::test]
    async fn requests_are_handed_over_when_they_are_due_and_the_queue_ends_with_the_run() {
        let mut workload = Workload::known("small").expect("it comes along");
        workload.groups[0].rate = 500.0;
        let (queue, begin) = (Arc::new(Queue::new()), clock::now());
        let handing = queue.clone();
        let thread = std::thread::spawn(move || {
            let phases = [Phase::new("only", Duration::from_millis(200), 1.0)];
            Clockwork::new(&workload.groups, &phases, [(0, handing)].into_iter(), 1, Duration::from_secs(1))
                .run(begin, &AtomicBool::new(false))
        });
        let mut taken = 0;
        while let Some(due) = queue.next().await {
            assert!(clock::now() >= due.at);
            taken += 1;
        }
        let found = thread.join().expect("it does not panic");
        assert_eq!(found.offered, [[taken]]);
        assert!((50..200).contains(&taken), "{taken}");
        assert_eq!(found.late.len(), taken);
    }
}

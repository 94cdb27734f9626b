//! How much may be executed at once: a limit that finds the knee by itself. Pure; time is told to it.
//!
//! What is measured is the cell's own time for one piece of work (a view, a commit, a chunk), never time spent waiting for a client. While
//! most of each kind stays below a few times the least that was seen of it lately, the limit grows as long as it is what holds work back; when
//! most of any kind is above, the limit shrinks: many reads that are fast do not hide that commits are slow. Under a load that never ends the least would be forgotten, so now and then less is let in for a
//! moment, to see it again; never less than the smallest limit, so a knee below that is not found.

use super::cost::{Class, Cost};
use crate::limits::{
    COST_CHUNK_SAMPLED_MIN, COST_PIECE_READ, COST_SAMPLED_MAX, LATENCY_PROBE, LATENCY_PROBE_EVERY, LATENCY_TARGET_MAX,
    LATENCY_TARGET_MIN, LATENCY_TOLERANCE, LIMIT_FIRST, LIMIT_MAX, LIMIT_MIN, LIMIT_SAMPLES, LIMIT_WINDOW,
};
use std::time::Duration;
use tokio::time::Instant;

/// What is timed. Pieces of one kind are alike, so the least of them says how long one takes that waits for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// A view and what little was read in it.
    View,
    /// A commit.
    Commit,
    /// A piece of an object read.
    ChunkRead,
    /// A chunk, or most of one, made durable.
    ChunkWrite,
}

/// How many signals there are.
const SIGNALS: usize = 4;

impl Signal {
    fn index(self) -> usize {
        match self {
            Self::View => 0,
            Self::Commit => 1,
            Self::ChunkRead => 2,
            Self::ChunkWrite => 3,
        }
    }

    /// What a whole request tells, when all of its time was the cell's.
    pub fn of_request(class: Class, cost: Cost) -> Option<Self> {
        if cost.units() > COST_SAMPLED_MAX {
            return None;
        }
        match class {
            Class::Read => Some(Self::View),
            Class::Write | Class::Delete => Some(Self::Commit),
            Class::List => None,
        }
    }

    /// What a piece of a request tells. A write's pieces of the smallest kinds are those that a copy reads.
    pub fn of_piece(class: Class, cost: Cost) -> Option<Self> {
        match class {
            Class::Read if cost.units() == COST_PIECE_READ => Some(Self::ChunkRead),
            Class::Write if cost.units() >= COST_CHUNK_SAMPLED_MIN => Some(Self::ChunkWrite),
            Class::Read | Class::Write | Class::List | Class::Delete => None,
        }
    }
}

/// The limit, in units.
#[derive(Debug)]
pub struct Adaptive {
    limit: u64,
    least: [Least; SIGNALS],
    window: Window,
    /// When the next probe begins, and when one that goes on ends.
    probe_at: Instant,
    probing_until: Option<Instant>,
}

/// What was seen since the limit was last decided on.
#[derive(Debug)]
struct Window {
    began: Instant,
    seen: [Seen; SIGNALS],
    /// Work had to wait because of the limit.
    limited: bool,
}

/// What was seen of one kind.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    samples: u32,
    slow: u32,
}

/// The least latency of two spans of time, so that one that is a while back is forgotten.
#[derive(Debug, Clone, Copy)]
struct Least {
    before: Option<Duration>,
    now: Option<Duration>,
}

impl Window {
    fn new(began: Instant) -> Self {
        Self { began, seen: [Seen::default(); SIGNALS], limited: false }
    }

    fn samples(&self) -> u32 {
        self.seen.iter().map(|seen| seen.samples).sum()
    }

    /// Most of a kind was slow, and there were enough of it to say so.
    fn slow(&self) -> bool {
        self.seen.iter().any(|seen| seen.samples >= LIMIT_SAMPLES / 4 && seen.slow * 2 > seen.samples)
    }
}

impl Least {
    fn take(&mut self, seen: Duration) {
        self.now = Some(self.now.map_or(seen, |least| least.min(seen)));
    }

    fn get(&self) -> Option<Duration> {
        self.before.into_iter().chain(self.now).min()
    }

    /// From which latency on a sample is slow.
    fn target(&self) -> Duration {
        let least = self.get().unwrap_or_default();
        (least * LATENCY_TOLERANCE).clamp(LATENCY_TARGET_MIN, LATENCY_TARGET_MAX)
    }
}

impl Adaptive {
    pub fn new(now: Instant) -> Self {
        Self {
            limit: LIMIT_FIRST,
            least: [Least { before: None, now: None }; SIGNALS],
            window: Window::new(now),
            probe_at: now + LATENCY_PROBE_EVERY,
            probing_until: None,
        }
    }

    /// Units that may be executed at once now.
    pub fn limit(&self, now: Instant) -> u64 {
        // Not only a sample ends a probe: without one, little would be let in for ever.
        let is_probing = self.probing_until.is_some_and(|until| now < until);
        if is_probing { (self.limit / 4).max(LIMIT_MIN) } else { self.limit }
    }

    /// Nothing was sampled since the limit was last decided on.
    #[cfg(test)]
    pub fn is_untold(&self) -> bool {
        self.window.samples() == 0
    }

    /// Work waits because of the limit.
    pub fn held_back(&mut self) {
        self.window.limited = true;
    }

    /// A piece of work took so long.
    pub fn sample(&mut self, now: Instant, signal: Signal, took: Duration) {
        let (least, seen) = (&mut self.least[signal.index()], &mut self.window.seen[signal.index()]);
        least.take(took);
        seen.samples += 1;
        seen.slow += u32::from(took > least.target());
        self.probe(now);
        if self.window.samples() >= LIMIT_SAMPLES && now >= self.window.began + LIMIT_WINDOW {
            self.decide();
            self.window = Window::new(now);
        }
    }

    fn decide(&mut self) {
        if self.probing_until.is_some() {
            return;
        }
        if self.window.slow() {
            self.limit = (self.limit - self.limit / 8).max(LIMIT_MIN);
        } else if self.window.limited {
            self.limit = (self.limit + self.limit / 16).min(LIMIT_MAX);
        }
    }

    /// Begins a probe when one is due, and ends it. What was the least before the last one is forgotten with the next.
    fn probe(&mut self, now: Instant) {
        match self.probing_until {
            Some(until) if now >= until => {
                self.probing_until = None;
                self.window = Window::new(now);
            }
            Some(_) => {}
            None if now >= self.probe_at => {
                self.probe_at = now + LATENCY_PROBE_EVERY;
                for least in &mut self.least {
                    (least.before, least.now) = (least.now, None);
                }
                // Without a queue the least is seen anyway.
                self.probing_until = self.window.limited.then(|| now + LATENCY_PROBE);
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::Env;
    use std::collections::BTreeSet;

    /// A server with so many workers, of which each piece of work takes `each`; more work waits inside. In virtual time.
    struct Server {
        workers: usize,
        each: Duration,
        free: Vec<Instant>,
        /// When work in progress ends, which piece it is, and when it was let in.
        busy: BTreeSet<(Instant, u64, Instant)>,
        /// Pieces let in so far.
        count: u64,
        now: Instant,
        adaptive: Adaptive,
        /// Latencies, since this was last looked at.
        seen: Vec<Duration>,
    }

    const COST: u64 = 4;

    impl Server {
        fn new(workers: usize, each: Duration) -> Self {
            let now = Env::system().clock.now();
            let adaptive = Adaptive::new(now);
            let free = vec![now; workers];
            Self { workers, each, free, busy: BTreeSet::new(), count: 0, now, adaptive, seen: Vec::new() }
        }

        /// Lets in whatever there is room for, out of a backlog that never ends.
        fn fill(&mut self) {
            while (self.busy.len() as u64 + 1) * COST <= self.adaptive.limit(self.now) {
                let worker = (0..self.workers).min_by_key(|at| self.free[*at]).expect("there is one");
                let ends = self.free[worker].max(self.now) + self.each;
                self.free[worker] = ends;
                self.busy.insert((ends, self.count, self.now));
                self.count += 1;
            }
            self.adaptive.held_back();
        }

        fn run(&mut self, time: Duration) -> (f64, Duration) {
            let (until, mut done) = (self.now + time, 0_u32);
            self.seen.clear();
            while self.now < until {
                self.fill();
                let (ends, _, began) = self.busy.pop_first().expect("filled");
                self.now = ends;
                done += 1;
                self.seen.push(ends - began);
                self.adaptive.sample(self.now, Signal::Commit, ends - began);
            }
            self.seen.sort_unstable();
            (f64::from(done) / time.as_secs_f64(), self.seen[self.seen.len() / 2])
        }
    }

    #[test]
    fn the_knee_is_found_from_below_and_from_above() {
        for (workers, each) in [(400, 20), (16, 5), (100, 50), (64, 200)] {
            let mut server = Server::new(workers, Duration::from_millis(each));
            server.run(Duration::from_secs(20));
            let (rate, median) = server.run(Duration::from_secs(60));
            let most = workers as f64 * 1_000.0 / each as f64;
            assert!(rate > most * 0.9, "{workers} workers: {rate} of {most} a second");
            // The least that can be seen is that under the smallest limit. A probe that is over before what was let in has ended does not
            // see it; then only the most that is ever good holds.
            let least = Duration::from_millis(each * (LIMIT_MIN / COST).div_ceil(workers as u64));
            let bound = (least * LATENCY_TOLERANCE).max(LATENCY_TARGET_MIN);
            let bound = if bound <= LATENCY_PROBE { bound } else { LATENCY_TARGET_MAX };
            // Work comes in rounds of all workers: the first that is slow is a whole round longer, and is seen late.
            assert!(median <= bound * 3 / 2, "{workers} workers of {each} ms: {median:?}");
        }
    }

    #[test]
    fn under_a_load_that_never_ends_the_limit_does_not_creep_up() {
        let mut server = Server::new(32, Duration::from_millis(20));
        server.run(Duration::from_secs(30));
        let (_, early) = server.run(Duration::from_secs(30));
        server.run(Duration::from_secs(900));
        let (_, late) = server.run(Duration::from_secs(30));
        assert!(late <= early * 3 / 2, "{early:?}, and a quarter of an hour later {late:?}");
    }

    #[test]
    fn a_server_that_becomes_slow_gets_less_and_one_that_recovers_more() {
        let mut server = Server::new(200, Duration::from_millis(20));
        server.run(Duration::from_secs(30));
        let fast = server.adaptive.limit;
        server.workers = 20;
        server.run(Duration::from_secs(20));
        let slow = server.adaptive.limit;
        assert!(slow < fast / 2, "{fast}, then {slow}");
        server.workers = 200;
        let now = server.now;
        server.free.fill(now);
        server.run(Duration::from_secs(20));
        assert!(server.adaptive.limit > slow * 2, "{slow}, then {}", server.adaptive.limit);
    }

    #[test]
    fn commits_that_are_slow_are_not_hidden_by_many_reads_that_are_fast() {
        let mut now = Env::system().clock.now();
        let mut adaptive = Adaptive::new(now);
        adaptive.sample(now, Signal::Commit, LATENCY_TARGET_MIN / LATENCY_TOLERANCE);
        for at in 0..1_000_u32 {
            now += Duration::from_millis(2);
            adaptive.held_back();
            if at % 10 == 0 {
                adaptive.sample(now, Signal::Commit, LATENCY_TARGET_MIN * 2);
            } else {
                adaptive.sample(now, Signal::View, Duration::from_micros(100));
            }
        }
        assert!(adaptive.limit < LIMIT_FIRST, "{}", adaptive.limit);
    }

    #[test]
    fn a_probe_ends_though_nothing_is_sampled() {
        let mut now = Env::system().clock.now();
        let mut adaptive = Adaptive::new(now);
        while adaptive.probing_until.is_none() {
            now += Duration::from_millis(5);
            adaptive.held_back();
            adaptive.sample(now, Signal::View, Duration::from_millis(1));
        }
        assert!(adaptive.limit(now) < adaptive.limit);
        assert_eq!(adaptive.limit(now + LATENCY_PROBE), adaptive.limit);
    }

    #[test]
    fn without_pressure_the_limit_stays_and_it_never_leaves_its_bounds() {
        let mut now = Env::system().clock.now();
        let mut adaptive = Adaptive::new(now);
        for _ in 0..10_000 {
            now += Duration::from_millis(5);
            adaptive.sample(now, Signal::View, Duration::from_millis(1));
        }
        assert_eq!(adaptive.limit(now), LIMIT_FIRST);
        for _ in 0..100_000 {
            now += Duration::from_millis(5);
            adaptive.held_back();
            adaptive.sample(now, Signal::View, Duration::from_millis(1));
            assert!(adaptive.limit(now) <= LIMIT_MAX);
        }
        assert!(adaptive.limit > LIMIT_MAX / 2);
        for _ in 0..100_000 {
            now += Duration::from_millis(5);
            adaptive.sample(now, Signal::View, Duration::from_secs(9));
            assert!(adaptive.limit(now) >= LIMIT_MIN);
        }
        assert_eq!(adaptive.limit, LIMIT_MIN);
    }
}

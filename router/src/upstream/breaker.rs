//! A circuit breaker: whether requests go to a node, or to a cell, and how it gets them back. Pure: time is an argument.
//!
//! ```text
//!            enough failures in a row,                 its time has come and a probe is answered,
//!            or tripped: unreachable, silent, slow      or something that was under way is
//!   Closed ───────────────────────────────────► Open ─────────────────────────────────► HalfOpen
//!     ▲                                        ▲ │ ▲                                      │ │
//!     │                    a probe is not      └─┘ └── a trial fails: twice as long ──────┘ │
//!     │                    answered: twice                                                  │
//!     └──────────────────── enough trials were answered ────────────────────────────────────┘
//! ```
//! Open lets nothing through. HalfOpen lets through a window of requests at a time, which widens with every answer and with time:
//! what comes back is tried by a few, never stormed. There is no way from Open to Closed but through it. An answer to a probe doubles
//! the window, since trials may take long, or nobody may come; not for what was slow, of which a probe says nothing.

use std::time::Duration;
use tokio::time::Instant;

/// Why nothing is let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// No connection.
    Unreachable,
    /// It owes answers and answers not even a probe.
    Silent,
    /// Tries end without an answer, or with something that is none.
    Failing,
    /// Answers, but far more slowly than its peers.
    Slow,
}

impl Why {
    /// For events and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Silent => "silent",
            Self::Failing => "failing",
            Self::Slow => "slow",
        }
    }
}

/// When a breaker opens and how it closes.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Failures in a row, with no answer in between, that open it.
    pub failures: u32,
    /// From the first of them to the last at least.
    pub failing_for: Duration,
    /// How long it stays open; doubled with each probe or trial that fails, up to the second.
    pub pause_first: Duration,
    pub pause_max: Duration,
    /// Trials at a time: at first, and when it closes.
    pub trials_first: u32,
    pub trials_last: u32,
    /// The window widens over this time at least.
    pub ramp: Duration,
}

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    Closed {
        failures: u32,
        /// When the first of the failures was, if there are any.
        since: Option<Instant>,
    },
    Open {
        why: Why,
        since: Instant,
        until: Instant,
        pause: Duration,
    },
    HalfOpen {
        why: Why,
        /// Also tells the trials of one half-open time from those of another.
        since: Instant,
        pause: Duration,
        /// Trials that may be under way.
        window: u32,
        under_way: u32,
    },
}

/// What happens to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Answered,
    Failed,
    Tripped(Why),
    Probed {
        answered: bool,
    },
    /// A trial begins.
    Begun,
    /// A trial that began in the half-open time of this moment has ended, however.
    Ended {
        begun_in: Instant,
    },
}

impl Default for Circuit {
    fn default() -> Self {
        Self::CALM
    }
}

impl Circuit {
    /// Closed, and nothing has failed.
    pub const CALM: Self = Self::Closed { failures: 0, since: None };

    /// What comes of `event`.
    pub fn after(self, event: Event, rules: &Rules, now: Instant) -> Self {
        match (self, event) {
            (Self::Closed { .. }, Event::Answered) => Self::CALM,
            (Self::Closed { failures, since }, Event::Failed) => {
                let (failures, first) = (failures.saturating_add(1), since.unwrap_or(now));
                let long_enough = now.saturating_duration_since(first) >= rules.failing_for;
                if failures >= rules.failures && long_enough {
                    Self::open(Why::Failing, now, now, rules.pause_first)
                } else {
                    Self::Closed { failures, since: Some(first) }
                }
            }
            (Self::Closed { .. }, Event::Tripped(why)) => Self::open(why, now, now, rules.pause_first),
            // A probe of something that was only suspected.
            (Self::Closed { .. }, Event::Probed { answered: true } | Event::Begun | Event::Ended { .. }) => self,
            (Self::Closed { .. }, Event::Probed { answered: false }) => {
                Self::open(Why::Silent, now, now, rules.pause_first)
            }
            // That something slow answers is no news.
            (Self::Open { why: Why::Slow, .. }, Event::Answered) => self,
            (Self::Open { why, pause, .. }, Event::Answered | Event::Probed { answered: true }) => {
                Self::HalfOpen { why, since: now, pause, window: rules.trials_first, under_way: 0 }
            }
            (Self::Open { why, since, pause, .. }, Event::Probed { answered: false }) => {
                Self::open(why, since, now, longer(pause, rules))
            }
            // Requests that were under way when it opened say nothing new.
            (Self::Open { .. }, Event::Failed | Event::Tripped(_) | Event::Begun | Event::Ended { .. }) => self,
            (Self::HalfOpen { window, .. }, Event::Answered) => self.widened(window.saturating_add(1), rules, now),
            (Self::HalfOpen { why, pause, .. }, Event::Failed | Event::Probed { answered: false }) => {
                Self::open(why, now, now, longer(pause, rules))
            }
            (Self::HalfOpen { pause, .. }, Event::Tripped(why)) => Self::open(why, now, now, longer(pause, rules)),
            (Self::HalfOpen { why: Why::Slow, .. }, Event::Probed { answered: true }) => self,
            (Self::HalfOpen { window, .. }, Event::Probed { answered: true }) => {
                self.widened(window.saturating_mul(2), rules, now)
            }
            (Self::HalfOpen { why, since, pause, window, under_way }, Event::Begun) => {
                Self::HalfOpen { why, since, pause, window, under_way: under_way.saturating_add(1) }
            }
            (Self::HalfOpen { why, since, pause, window, under_way }, Event::Ended { begun_in }) => {
                let under_way = if begun_in == since { under_way.saturating_sub(1) } else { under_way };
                Self::HalfOpen { why, since, pause, window, under_way }
            }
        }
    }

    /// Half-open with a window as wide as that, or closed when that is all of it and it has taken its time.
    fn widened(self, to: u32, rules: &Rules, now: Instant) -> Self {
        match self {
            Self::HalfOpen { why, since, pause, under_way, .. } => {
                let ramped = now.saturating_duration_since(since) >= rules.ramp;
                if to >= rules.trials_last && ramped {
                    Self::CALM
                } else {
                    Self::HalfOpen { why, since, pause, window: to.min(rules.trials_last), under_way }
                }
            }
            Self::Closed { .. } | Self::Open { .. } => self,
        }
    }

    /// Whether a request may go through.
    pub fn admits(self, rules: &Rules, now: Instant) -> bool {
        match self {
            Self::Closed { .. } => true,
            Self::Open { .. } => false,
            Self::HalfOpen { since, window, under_way, .. } => under_way < window.min(ramp(rules, since, now)),
        }
    }

    /// It is time to see whether it is back, or still there.
    pub fn probe_is_due(self, now: Instant) -> bool {
        match self {
            Self::Closed { .. } => false,
            Self::Open { until, .. } => now >= until,
            Self::HalfOpen { .. } => true,
        }
    }

    fn open(why: Why, since: Instant, now: Instant, pause: Duration) -> Self {
        Self::Open { why, since, until: now + pause, pause }
    }

    /// For events and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen { .. } => "half_open",
        }
    }
}

/// Which moves there are.
pub fn is_legal(from: &Circuit, to: &Circuit) -> bool {
    match (from, to) {
        (Circuit::Closed { .. }, Circuit::Closed { .. } | Circuit::Open { .. }) => true,
        (Circuit::Closed { .. }, Circuit::HalfOpen { .. }) => false,
        (Circuit::Open { .. }, Circuit::Open { .. } | Circuit::HalfOpen { .. }) => true,
        (Circuit::Open { .. }, Circuit::Closed { .. }) => false,
        (Circuit::HalfOpen { .. }, Circuit::HalfOpen { .. } | Circuit::Open { .. } | Circuit::Closed { .. }) => true,
    }
}

fn longer(pause: Duration, rules: &Rules) -> Duration {
    (pause * 2).min(rules.pause_max)
}

/// The widest window there is after the time since `since`.
fn ramp(rules: &Rules, since: Instant, now: Instant) -> u32 {
    let (span, passed) = (rules.ramp.as_secs_f64(), now.saturating_duration_since(since).as_secs_f64());
    let share = if span > 0.0 { (passed / span).min(1.0) } else { 1.0 };
    rules.trials_first + (f64::from(rules.trials_last - rules.trials_first) * share) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{CELL_BREAKER, JUDGE_EVERY, NODE_BREAKER};
    use bulkhead_service::env::Clock;
    use proptest::prelude::*;

    fn start() -> Instant {
        Clock::system().now()
    }

    fn tripped(rules: &Rules, now: Instant) -> Circuit {
        Circuit::CALM.after(Event::Tripped(Why::Unreachable), rules, now)
    }

    #[test]
    fn one_answer_between_failures_keeps_it_closed() {
        let (rules, now) = (&NODE_BREAKER, start());
        let fail = |circuit: Circuit, times| {
            (0..times).fold(circuit, |circuit, _| circuit.after(Event::Failed, rules, now + rules.failing_for))
        };
        let nearly = fail(Circuit::CALM.after(Event::Failed, rules, now), rules.failures - 2);
        assert!(fail(nearly.after(Event::Answered, rules, now), rules.failures - 1).admits(rules, now));
        assert_eq!(fail(nearly, 1).name(), "open");
    }

    #[test]
    fn a_burst_of_failures_is_no_proof_that_a_cell_is_gone() {
        let (rules, now) = (&CELL_BREAKER, start());
        let burst = (0..1000).fold(Circuit::CALM, |circuit, _| circuit.after(Event::Failed, rules, now));
        assert!(burst.admits(rules, now));
        assert!(!burst.after(Event::Failed, rules, now + rules.failing_for).admits(rules, now));
    }

    #[test]
    fn what_stays_away_is_probed_ever_less_often_up_to_a_bound() {
        let (rules, now) = (&NODE_BREAKER, start());
        let open = tripped(rules, now);
        assert!(!open.probe_is_due(now) && open.probe_is_due(now + rules.pause_first));
        let again = open.after(Event::Probed { answered: false }, rules, now);
        assert!(!again.probe_is_due(now + rules.pause_first) && again.probe_is_due(now + rules.pause_first * 2));
        let long = (0..40).fold(open, |open, _| open.after(Event::Probed { answered: false }, rules, now));
        assert!(long.probe_is_due(now + rules.pause_max));
    }

    #[test]
    fn what_comes_back_is_tried_by_a_few_and_then_by_more() {
        let (rules, begin) = (&CELL_BREAKER, start());
        let mut circuit = tripped(rules, begin).after(Event::Probed { answered: true }, rules, begin);
        let room = |mut circuit: Circuit, now| {
            let mut room = 0;
            while circuit.admits(rules, now) && room < 10_000 {
                circuit = circuit.after(Event::Begun, rules, now);
                room += 1;
            }
            room
        };
        assert_eq!(room(circuit, begin), rules.trials_first);
        for _ in 0..10_000 {
            circuit = circuit.after(Event::Answered, rules, begin);
        }
        assert_eq!(room(circuit, begin), rules.trials_first, "however fast it answers, the window takes its time");
        let half = room(circuit, begin + rules.ramp / 2);
        assert!(half > rules.trials_first && half < rules.trials_last, "{half}");
        assert_eq!(circuit.after(Event::Answered, rules, begin + rules.ramp), Circuit::CALM);
    }

    #[test]
    fn what_answers_probes_comes_back_however_long_its_trials_take() {
        for rules in [&NODE_BREAKER, &CELL_BREAKER] {
            let mut now = start();
            let mut circuit = tripped(rules, now).after(Event::Probed { answered: true }, rules, now);
            while circuit.admits(rules, now) {
                circuit = circuit.after(Event::Begun, rules, now);
            }
            let begun = now;
            while circuit != Circuit::CALM {
                now += JUDGE_EVERY;
                circuit = circuit.after(Event::Probed { answered: true }, rules, now);
                assert!(now - begun <= rules.ramp + JUDGE_EVERY * 8, "{circuit:?}");
            }
            assert!(now - begun >= rules.ramp, "the window takes its time");
        }
    }

    #[test]
    fn a_slow_node_does_not_come_back_by_answering_slowly() {
        let (rules, now) = (&NODE_BREAKER, start());
        let slow = Circuit::CALM.after(Event::Tripped(Why::Slow), rules, now);
        assert_eq!(slow.after(Event::Answered, rules, now), slow);
        let half = slow.after(Event::Probed { answered: true }, rules, now);
        assert_eq!(half.after(Event::Probed { answered: true }, rules, now), half);
        let silent = Circuit::CALM.after(Event::Tripped(Why::Silent), rules, now);
        assert_eq!(silent.after(Event::Answered, rules, now).name(), "half_open");
    }

    #[test]
    fn a_trial_of_an_earlier_time_frees_no_room_in_a_later_one() {
        let (rules, now) = (&NODE_BREAKER, start());
        let later = now + Duration::from_secs(9);
        let half = tripped(rules, now).after(Event::Probed { answered: true }, rules, later);
        let full = (0..rules.trials_first).fold(half, |half, _| half.after(Event::Begun, rules, later));
        assert!(!full.after(Event::Ended { begun_in: now }, rules, later).admits(rules, later));
        assert!(full.after(Event::Ended { begun_in: later }, rules, later).admits(rules, later));
    }

    fn events() -> impl Strategy<Value = Event> {
        prop_oneof![
            3 => Just(Event::Answered),
            3 => Just(Event::Failed),
            1 => Just(Event::Tripped(Why::Slow)),
            1 => Just(Event::Tripped(Why::Silent)),
            2 => any::<bool>().prop_map(|answered| Event::Probed { answered }),
            3 => Just(Event::Begun),
            2 => Just(Event::Ended { begun_in: start() }),
        ]
    }

    proptest! {
        #[test]
        fn only_legal_moves_are_made_and_trials_are_bounded(
            history in proptest::collection::vec((events(), 0_u64..3000), 1..200),
            of_cell: bool,
        ) {
            let rules = if of_cell { &CELL_BREAKER } else { &NODE_BREAKER };
            let (mut circuit, mut now) = (Circuit::CALM, start());
            for (event, passed) in history {
                now += Duration::from_millis(passed);
                if event == Event::Begun && !circuit.admits(rules, now) {
                    continue;
                }
                let next = circuit.after(event, rules, now);
                prop_assert!(is_legal(&circuit, &next), "{circuit:?} to {next:?} by {event:?}");
                match next {
                    Circuit::HalfOpen { window, under_way, .. } => {
                        prop_assert!(window <= rules.trials_last && under_way <= rules.trials_last);
                    }
                    Circuit::Open { until, pause, .. } => {
                        prop_assert!(pause <= rules.pause_max && !next.admits(rules, now) && until <= now + pause);
                    }
                    Circuit::Closed { failures, .. } => prop_assert!(failures < rules.failures || !rules.failing_for.is_zero()),
                }
                circuit = next;
            }
        }

        #[test]
        fn whatever_happened_something_that_answers_comes_back(
            history in proptest::collection::vec((events(), 0_u64..3000), 0..100),
        ) {
            let rules = &NODE_BREAKER;
            let (mut circuit, mut now) = (Circuit::CALM, start());
            for (event, passed) in history {
                now += Duration::from_millis(passed);
                circuit = circuit.after(event, rules, now);
            }
            for _ in 0..200 {
                now += Duration::from_millis(250);
                if circuit.probe_is_due(now) {
                    circuit = circuit.after(Event::Probed { answered: true }, rules, now);
                }
                circuit = circuit.after(Event::Answered, rules, now);
            }
            prop_assert_eq!(circuit, Circuit::CALM);
        }
    }
}

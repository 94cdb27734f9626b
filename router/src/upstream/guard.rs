//! A breaker that many requests share: nothing is locked while all is well.

use super::breaker::{Circuit, Event, Rules, Why};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::Instant;

/// A shared breaker.
#[derive(Debug)]
pub struct Breaker {
    rules: &'static Rules,
    /// Closed, and nothing has failed since the last answer.
    calm: AtomicBool,
    circuit: Mutex<Circuit>,
}

/// How a request was let through: as one of many, or as a trial of the half-open time that began then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    Free,
    Trial(Instant),
}

impl Breaker {
    /// Closed.
    pub fn new(rules: &'static Rules) -> Self {
        Self { rules, calm: AtomicBool::new(true), circuit: Mutex::default() }
    }

    /// Where it stands.
    pub fn circuit(&self) -> Circuit {
        if self.calm.load(Ordering::Relaxed) { Circuit::CALM } else { *self.circuit.lock() }
    }

    /// Whether a request would be let through.
    pub fn admits(&self, now: Instant) -> bool {
        self.calm.load(Ordering::Relaxed) || self.circuit.lock().admits(self.rules, now)
    }

    /// Lets a request through, or does not. A trial must be [`Self::ended`].
    pub fn pass(&self, now: Instant) -> Option<Pass> {
        if self.calm.load(Ordering::Relaxed) {
            return Some(Pass::Free);
        }
        let mut circuit = self.circuit.lock();
        let admitted = circuit.admits(self.rules, now);
        *circuit = if admitted { circuit.after(Event::Begun, self.rules, now) } else { *circuit };
        admitted.then(|| trial(&circuit))
    }

    /// Lets a request through whatever is known: nothing better is left.
    pub fn force(&self, now: Instant) -> Pass {
        if self.calm.load(Ordering::Relaxed) {
            return Pass::Free;
        }
        let mut circuit = self.circuit.lock();
        *circuit = circuit.after(Event::Begun, self.rules, now);
        trial(&circuit)
    }

    /// A request that was let through has ended, however.
    pub fn ended(&self, pass: Pass) {
        match pass {
            Pass::Free => {}
            Pass::Trial(begun_in) => {
                self.change(Event::Ended { begun_in }, begun_in);
            }
        }
    }

    /// An answer has come.
    pub fn answered(&self, now: Instant) -> Option<(Circuit, Circuit)> {
        if self.calm.load(Ordering::Relaxed) { None } else { self.change(Event::Answered, now) }
    }

    /// A try ended without one.
    pub fn failed(&self, now: Instant) -> Option<(Circuit, Circuit)> {
        self.change(Event::Failed, now)
    }

    /// There is proof enough.
    pub fn trip(&self, why: Why, now: Instant) -> Option<(Circuit, Circuit)> {
        self.change(Event::Tripped(why), now)
    }

    /// A probe has ended.
    pub fn probed(&self, answered: bool, now: Instant) -> Option<(Circuit, Circuit)> {
        self.change(Event::Probed { answered }, now)
    }

    /// What was and what is, when that has another name.
    fn change(&self, event: Event, now: Instant) -> Option<(Circuit, Circuit)> {
        let mut circuit = self.circuit.lock();
        let before = *circuit;
        *circuit = before.after(event, self.rules, now);
        self.calm.store(*circuit == Circuit::CALM, Ordering::Relaxed);
        (before.name() != circuit.name()).then_some((before, *circuit))
    }
}

fn trial(circuit: &Circuit) -> Pass {
    match circuit {
        Circuit::HalfOpen { since, .. } => Pass::Trial(*since),
        Circuit::Closed { .. } | Circuit::Open { .. } => Pass::Free,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::NODE_BREAKER;
    use bulkhead_service::env::Clock;

    #[test]
    fn trials_are_as_many_as_the_window_and_an_ended_one_makes_room() {
        let (breaker, now) = (Breaker::new(&NODE_BREAKER), Clock::system().now());
        assert_eq!(breaker.pass(now), Some(Pass::Free));
        breaker.trip(Why::Unreachable, now).expect("a change");
        assert_eq!(breaker.pass(now), None);
        breaker.probed(true, now).expect("a change");
        let passes: Vec<Pass> = std::iter::from_fn(|| breaker.pass(now)).take(100).collect();
        assert_eq!(passes.len(), NODE_BREAKER.trials_first as usize);
        breaker.ended(passes[0]);
        assert_eq!(breaker.pass(now), Some(Pass::Trial(now)));
        assert_eq!(breaker.pass(now), None);
    }
}

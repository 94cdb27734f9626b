//! What of an account's requests is passed on while its cell refuses some of them. Pure, but for the lock.
//!
//! A cell that is asked for far more than it takes spends itself on saying no. So of each sort of request an account gets somewhat more through
//! than its cell has lately taken from it ([`limits::PASSED_ON`] times as many, and a few): the cell always has more to choose from than it
//! takes, and decides by itself; what is far beyond that is refused here, which costs it nothing. Of accounts that were not refused lately
//! nothing is kept. What a node or cell does that is not well is no refusal: that is for breakers.

use crate::limits;
use bulkhead_model::AccountId;
use http::Method;
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::time::Instant;

/// What a request does, as far as a router can see. A cell has limits for each of these by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sort {
    Read,
    /// A read of something else than an object.
    Look,
    Write,
    Delete,
}

impl Sort {
    /// By its method, and whether it names an object.
    pub fn of(method: &Method, names_object: bool) -> Self {
        match (method, names_object) {
            (&Method::PUT | &Method::POST, true) => Self::Write,
            (&Method::DELETE, _) | (&Method::POST, false) => Self::Delete,
            (&Method::PUT, false) => Self::Write,
            (_, true) => Self::Read,
            (_, false) => Self::Look,
        }
    }
}

/// What became of the requests of one sort, faded: what was a half-life ago counts half.
#[derive(Debug, Clone, Copy)]
struct Recent {
    asked: f64,
    taken: f64,
    at: Instant,
}

impl Recent {
    fn fade(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        let left = (-passed / limits::THROTTLE_HALF_LIFE.as_secs_f64()).exp2();
        (self.asked, self.taken, self.at) = (self.asked * left, self.taken * left, self.at.max(now));
    }

    /// All that was refused has faded: of a single refusal a twentieth is left after two seconds.
    fn is_over(&self) -> bool {
        self.asked - self.taken < 0.05
    }

    /// The part of the requests that is too much.
    fn surplus(&self) -> f64 {
        let passed_on = self.taken * limits::PASSED_ON + limits::PASSED_ON_LEAST;
        ((self.asked - passed_on) / self.asked.max(1.0)).max(0.0)
    }
}

/// Whether a request that was let through has been counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    Yes,
    /// Nothing was known of its account.
    No,
}

/// The accounts of one cell that were refused lately.
#[derive(Debug, Default)]
pub struct Throttle {
    recent: Mutex<HashMap<(AccountId, Sort), Recent>>,
}

impl Throttle {
    /// Lets a request through, or says that it is too much. `draw` is at random from 0 to below 1.
    pub fn pass(&self, account: AccountId, sort: Sort, draw: f64, now: Instant) -> Option<Counted> {
        let mut recent = self.recent.lock();
        let Some(seen) = recent.get_mut(&(account, sort)) else { return Some(Counted::No) };
        seen.fade(now);
        if seen.is_over() {
            recent.remove(&(account, sort));
            return Some(Counted::No);
        }
        seen.asked += 1.0;
        (draw >= seen.surplus()).then_some(Counted::Yes)
    }

    /// A request that was let through has been answered: the cell refused it, or took it.
    pub fn answered(&self, account: AccountId, sort: Sort, counted: Counted, refused: bool, now: Instant) {
        let mut recent = self.recent.lock();
        if refused && !recent.contains_key(&(account, sort)) {
            if recent.len() >= limits::THROTTLED_MAX {
                recent.retain(|_, seen| {
                    seen.fade(now);
                    !seen.is_over()
                });
            }
            if recent.len() >= limits::THROTTLED_MAX {
                return;
            }
            recent.insert((account, sort), Recent { asked: 0.0, taken: 0.0, at: now });
        }
        let Some(seen) = recent.get_mut(&(account, sort)) else { return };
        seen.fade(now);
        seen.asked += if counted == Counted::No { 1.0 } else { 0.0 };
        seen.taken += if refused { 0.0 } else { 1.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::env::{Clock, Rng};
    use std::time::Duration;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn account(n: u64) -> AccountId {
        AccountId::new(AccountId::FIRST + n).expect("in range")
    }

    /// An account in front of a cell that takes so many writes a second of it, in virtual time.
    struct Front {
        throttle: Throttle,
        rng: Rng,
        now: Instant,
        limit: f64,
        /// What the cell may still take.
        tokens: f64,
    }

    impl Front {
        fn new(limit: f64) -> Self {
            let now = Clock::system().now();
            Self { throttle: Throttle::default(), rng: Rng::from_seed(1), now, limit, tokens: 0.0 }
        }

        /// Asks `per_millisecond` times in each. Answers how many were passed on, and taken, in a second.
        fn ask(&mut self, per_millisecond: u32, seconds: u32) -> (f64, f64) {
            let (mut passed, mut taken) = (0, 0);
            for _ in 0..seconds * 1_000 {
                self.now += MILLISECOND;
                self.tokens = (self.tokens + self.limit / 1_000.0).min(10.0);
                for _ in 0..per_millisecond {
                    let draw = self.rng.below(1 << 20) as f64 / f64::from(1 << 20);
                    let Some(counted) = self.throttle.pass(account(0), Sort::Write, draw, self.now) else { continue };
                    passed += 1;
                    let is_taken = self.tokens >= 1.0;
                    if is_taken {
                        self.tokens -= 1.0;
                        taken += 1;
                    }
                    self.throttle.answered(account(0), Sort::Write, counted, !is_taken, self.now);
                }
            }
            (f64::from(passed) / f64::from(seconds), f64::from(taken) / f64::from(seconds))
        }
    }

    #[test]
    fn a_cell_is_asked_for_somewhat_more_than_it_takes_and_takes_all_that_it_would() {
        for limit in [50.0, 200.0, 900.0] {
            let mut front = Front::new(limit);
            front.ask(10, 5);
            let (passed, taken) = front.ask(10, 20);
            assert!(taken >= limit * 0.97, "{taken} of {limit} a second");
            let few = limits::PASSED_ON_LEAST / limits::THROTTLE_HALF_LIFE.as_secs_f64();
            assert!(
                passed <= limit * limits::PASSED_ON * 1.1 + few,
                "{passed} were passed on of 10,000, {limit} taken"
            );
        }
    }

    #[test]
    fn who_asks_for_less_again_and_what_takes_more_again_are_believed_within_seconds() {
        let mut front = Front::new(1_500.0);
        front.ask(10, 10);
        front.ask(1, 5);
        assert_eq!(front.ask(1, 5).0, 1_000.0, "it asks for what it may");
        assert!(front.throttle.recent.lock().is_empty(), "and is forgotten");
        front.limit = 0.0;
        front.ask(1, 10);
        assert!(front.ask(1, 5).0 < 100.0, "nothing is taken");
        front.limit = 2_000.0;
        front.ask(1, 6);
        assert_eq!(front.ask(1, 5).0, 1_000.0, "a cell that took nothing for a while");
    }

    #[test]
    fn an_account_is_refused_for_what_it_does_too_much_of_and_no_other_is() {
        let mut front = Front::new(10.0);
        front.ask(10, 5);
        let pass = |n, sort| front.throttle.pass(account(n), sort, 0.0, front.now);
        assert_eq!(pass(0, Sort::Write), None);
        for sort in [Sort::Read, Sort::Look, Sort::Delete] {
            assert_eq!(pass(0, sort), Some(Counted::No));
        }
        assert_eq!(pass(1, Sort::Write), Some(Counted::No));
    }

    #[test]
    fn a_few_refusals_throttle_nobody() {
        let (throttle, now) = (Throttle::default(), Clock::system().now());
        for _ in 0..limits::PASSED_ON_LEAST as u32 - 1 {
            let counted = throttle.pass(account(0), Sort::Read, 0.0, now).expect("it is let through");
            throttle.answered(account(0), Sort::Read, counted, true, now);
        }
    }

    #[test]
    fn no_more_accounts_are_known_than_may_be_and_those_that_are_over_make_room() {
        let (throttle, now) = (Throttle::default(), Clock::system().now());
        let refuse = |n, now| throttle.answered(account(n), Sort::Read, Counted::No, true, now);
        (0..limits::THROTTLED_MAX as u64 + 9).for_each(|n| refuse(n, now));
        assert_eq!(throttle.recent.lock().len(), limits::THROTTLED_MAX);
        refuse(1 << 20, now + limits::THROTTLE_HALF_LIFE * 5);
        assert_eq!(throttle.recent.lock().len(), 1);
    }

    #[test]
    fn sorts_are_told_apart_by_what_a_router_sees() {
        for (method, names_object, expected) in [
            (Method::GET, true, Sort::Read),
            (Method::HEAD, true, Sort::Read),
            (Method::GET, false, Sort::Look),
            (Method::PUT, true, Sort::Write),
            (Method::PUT, false, Sort::Write),
            (Method::POST, true, Sort::Write),
            (Method::POST, false, Sort::Delete),
            (Method::DELETE, true, Sort::Delete),
            (Method::DELETE, false, Sort::Delete),
        ] {
            assert_eq!(Sort::of(&method, names_object), expected, "{method} {names_object}");
        }
    }
}

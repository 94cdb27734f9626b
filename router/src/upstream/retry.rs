//! Whether a try that failed is followed by another, and after how long. Pure, but for the budget's count.
//!
//! Retries live in the router and nowhere else. A try is repeated only when it certainly was not executed, or when the request
//! can be sent again under the same request id, by which the cell recognises what it has done already.

use crate::limits;
use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// How a try failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection: nothing was sent.
    Unreachable,
    /// The connection broke before the answer began.
    Lost,
    /// The answer did not begin in time.
    TimedOut,
    /// What came is not HTTP.
    Garbled,
    /// The cell says that it does not know whether it executed the request.
    Unsettled,
    /// The cell says that it did not execute the request.
    NotExecuted,
    /// The cell says that the account is not served there under this epoch.
    Moved,
}

impl Failure {
    /// For events and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Lost => "lost",
            Self::TimedOut => "timed_out",
            Self::Garbled => "garbled",
            Self::Unsettled => "unsettled",
            Self::NotExecuted => "not_executed",
            Self::Moved => "moved",
        }
    }

    /// The request may have been executed.
    pub fn leaves_outcome_open(self) -> bool {
        match self {
            Self::Lost | Self::TimedOut | Self::Garbled | Self::Unsettled => true,
            Self::Unreachable | Self::NotExecuted | Self::Moved => false,
        }
    }
}

/// What is left of a request after a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remains {
    /// All of it is at hand.
    Whole,
    /// The body is still the client's: the cell has seen the head at most, and cannot have executed anything.
    BodyUntouched,
    /// Part of the body has been passed on and is gone.
    Partial,
}

impl Remains {
    /// Whether there is enough to send the request again.
    pub fn suffice(self) -> bool {
        match self {
            Self::Whole | Self::BodyUntouched => true,
            Self::Partial => false,
        }
    }
}

/// The longest pause before the `retry`-th retry, counted from 1. The pause itself is drawn between zero and this.
pub fn backoff(retry: u32) -> Duration {
    limits::BACKOFF_FIRST.saturating_mul(1 << retry.clamp(1, 16).saturating_sub(1)).min(limits::BACKOFF_MAX)
}

/// Whether a request whose first try is silent gets a second one beside it, by the variant of `router.second-tries` that its account has.
pub fn gets_second_try(variant: &str, is_read: bool) -> bool {
    match variant {
        "off" => false,
        "reads" => is_read,
        _ => true,
    }
}

/// What requests earned longer ago than this does not keep the floor from giving now.
const FLOOR_WINDOW: Duration = Duration::from_secs(1);

/// How many retries a cell's requests have earned. Keeps a failing cell from being drowned by its own retries.
///
/// Second tries beside a first one that is silent are paid for from it as well, but leave half of what may be saved to tries that
/// failed. So in any time of `t` seconds in which `n` requests arrive, a cell sees at most `n` tries, and beyond them what was saved,
/// `n / 10`, and what the floor gives in `t`: nothing while requests earn as much.
#[derive(Debug)]
pub struct Budget {
    state: Mutex<Saved>,
}

#[derive(Debug)]
struct Saved {
    retries: f64,
    /// Until when the floor has given.
    at: Instant,
    /// What requests have earned since then.
    earned: f64,
}

impl Budget {
    /// Starts full.
    pub fn new(now: Instant) -> Self {
        Self { state: Mutex::new(Saved { retries: limits::RETRIES_SAVED_MAX, at: now, earned: 0.0 }) }
    }

    /// A request arrived for the cell. It earns so many hundredths of a retry, at most [`limits::RETRIES_PER_REQUEST`].
    pub fn earn(&self, percent: u64) {
        let earned = (percent as f64 / 100.0).min(limits::RETRIES_PER_REQUEST);
        let mut state = self.state.lock();
        state.retries = (state.retries + earned).min(limits::RETRIES_SAVED_MAX);
        state.earned += earned;
    }

    /// Takes one retry after a try that failed, if there is one.
    pub fn spend(&self, now: Instant) -> bool {
        self.spend_above(now, 0.0)
    }

    /// Takes one retry for a second try beside a first, if there is one that tries that failed can do without.
    pub fn spend_beside(&self, now: Instant) -> bool {
        self.spend_above(now, limits::RETRIES_KEPT_FOR_FAILED)
    }

    fn spend_above(&self, now: Instant, kept: f64) -> bool {
        let mut state = self.state.lock();
        let floor = now.saturating_duration_since(state.at).as_secs_f64() * limits::RETRIES_PER_SECOND_FLOOR;
        if floor > state.earned {
            state.retries = (state.retries + floor - state.earned).min(limits::RETRIES_SAVED_MAX);
            (state.at, state.earned) = (now, 0.0);
        } else if now.saturating_duration_since(state.at) >= FLOOR_WINDOW {
            (state.at, state.earned) = (now, 0.0);
        }
        let affordable = state.retries >= kept + 1.0;
        if affordable {
            state.retries -= 1.0;
        }
        affordable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::settings::{Kind, RETRY_PERCENT, SECOND_TRIES};
    use bulkhead_service::env::Clock;
    use proptest::prelude::*;

    fn spend_all(budget: &Budget, now: Instant) -> usize {
        std::iter::repeat_with(|| budget.spend(now)).take_while(|&affordable| affordable).count()
    }

    #[tokio::test]
    async fn ten_requests_earn_one_retry() {
        let now = Clock::system().now();
        let budget = Budget::new(now);
        assert_eq!(spend_all(&budget, now), limits::RETRIES_SAVED_MAX as usize);
        (0..100).for_each(|_| budget.earn(10));
        assert_eq!(spend_all(&budget, now), 9, "the last tenth is a rounding away");
    }

    #[tokio::test]
    async fn the_floor_earns_retries_without_requests_up_to_the_most() {
        let now = Clock::system().now();
        let budget = Budget::new(now);
        spend_all(&budget, now);
        let second = now + Duration::from_secs(1);
        assert_eq!(spend_all(&budget, second), limits::RETRIES_PER_SECOND_FLOOR as usize);
        assert_eq!(spend_all(&budget, second + Duration::from_secs(3600)), limits::RETRIES_SAVED_MAX as usize);
    }

    #[tokio::test]
    async fn requests_earn_what_the_setting_says_and_never_more_than_a_tenth() {
        let now = Clock::system().now();
        for (percent, retries) in [(0, 0), (5, 5), (10, 10), (50, 10)] {
            let budget = Budget::new(now);
            spend_all(&budget, now);
            // Half of one lest the last is a rounding away.
            (0..105).for_each(|_| budget.earn(percent));
            assert_eq!(spend_all(&budget, now), retries, "{percent}%");
        }
    }

    #[test]
    fn each_variant_of_second_tries_says_which_requests_get_one() {
        let both = |variant| (gets_second_try(variant, true), gets_second_try(variant, false));
        assert_eq!(["off", "reads", "all"].map(both), [(false, false), (true, false), (true, true)]);
        let Kind::Choice { of, .. } = SECOND_TRIES.kind else { panic!("it is a choice") };
        assert_eq!(of, ["off", "reads", "all"], "a variant that is added must be decided about");
        let Kind::Number { max, .. } = RETRY_PERCENT.kind else { panic!("it is a number") };
        assert_eq!(max as f64 / 100.0, limits::RETRIES_PER_REQUEST, "the promise of a tenth");
    }

    #[test]
    fn second_tries_leave_half_to_tries_that_failed() {
        let now = Clock::system().now();
        let budget = Budget::new(now);
        let beside = (0..1_000).filter(|_| budget.spend_beside(now)).count();
        assert_eq!(beside as f64, limits::RETRIES_SAVED_MAX - limits::RETRIES_KEPT_FOR_FAILED);
        assert_eq!(spend_all(&budget, now) as f64, limits::RETRIES_KEPT_FOR_FAILED);
    }

    #[test]
    fn the_pause_grows_and_is_bounded() {
        assert_eq!(backoff(1), limits::BACKOFF_FIRST);
        assert_eq!(backoff(3), limits::BACKOFF_FIRST * 4);
        assert_eq!(backoff(u32::MAX), limits::BACKOFF_MAX);
    }

    proptest! {
        #[test]
        fn no_history_gets_more_retries_than_were_saved_earned_and_given(
            history in proptest::collection::vec((0_u64..400, 0_u32..300, 0_u32..300), 1..60),
        ) {
            let start = Clock::system().now();
            let budget = Budget::new(start);
            let (mut now, mut requests, mut retries) = (start, 0_u32, 0_u32);
            for (passed, arrived, wanted) in history {
                now += Duration::from_millis(passed);
                (0..arrived).for_each(|_| budget.earn(10));
                requests += arrived;
                retries += (0..wanted).map(|_| u32::from(budget.spend(now))).sum::<u32>();
                let (earned, seconds) = (f64::from(requests) * limits::RETRIES_PER_REQUEST, (now - start).as_secs_f64());
                let bound = limits::RETRIES_SAVED_MAX + earned + seconds * limits::RETRIES_PER_SECOND_FLOOR;
                prop_assert!(f64::from(retries) <= bound + 1e-6, "{retries} retries of {requests} in {seconds} s");
            }
        }

        #[test]
        fn a_busy_cell_never_gets_more_than_a_tenth_on_top(
            rounds in proptest::collection::vec(500_u32..3000, 1..30),
        ) {
            let start = Clock::system().now();
            let budget = Budget::new(start);
            let (mut now, mut requests, mut retries) = (start, 0_u32, 0_u32);
            for per_second in rounds {
                for _ in 0..per_second {
                    now += Duration::from_secs(1) / per_second;
                    budget.earn(10);
                    requests += 1;
                    // Every request fails and wants one more try, and one more.
                    retries += u32::from(budget.spend(now)) + u32::from(budget.spend(now));
                }
            }
            let bound = limits::RETRIES_SAVED_MAX + f64::from(requests) * limits::RETRIES_PER_REQUEST;
            prop_assert!(f64::from(retries) <= bound + 1.0, "{retries} retries of {requests} requests");
        }
    }
}

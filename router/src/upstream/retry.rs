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
            Self::Unsettled => "unsettled",
            Self::NotExecuted => "not_executed",
            Self::Moved => "moved",
        }
    }

    /// The request may have been executed.
    pub fn leaves_outcome_open(self) -> bool {
        match self {
            Self::Lost | Self::TimedOut | Self::Unsettled => true,
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

/// How many retries a cell's requests have earned. Keeps a failing cell from being drowned by its own retries.
#[derive(Debug)]
pub struct Budget {
    state: Mutex<Saved>,
}

#[derive(Debug)]
struct Saved {
    retries: f64,
    at: Instant,
}

impl Budget {
    /// Starts full.
    pub fn new(now: Instant) -> Self {
        Self { state: Mutex::new(Saved { retries: limits::RETRIES_SAVED_MAX, at: now }) }
    }

    /// A request arrived for the cell.
    pub fn earn(&self) {
        let mut state = self.state.lock();
        state.retries = (state.retries + limits::RETRIES_PER_REQUEST).min(limits::RETRIES_SAVED_MAX);
    }

    /// Takes one retry, if there is one.
    pub fn spend(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        let earned = now.saturating_duration_since(state.at).as_secs_f64() * limits::RETRIES_PER_SECOND_FLOOR;
        state.retries = (state.retries + earned).min(limits::RETRIES_SAVED_MAX);
        state.at = now;
        let affordable = state.retries >= 1.0;
        if affordable {
            state.retries -= 1.0;
        }
        affordable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::env::Clock;

    fn spend_all(budget: &Budget, now: Instant) -> usize {
        std::iter::repeat_with(|| budget.spend(now)).take_while(|&affordable| affordable).count()
    }

    #[tokio::test]
    async fn ten_requests_earn_one_retry() {
        let now = Clock::system().now();
        let budget = Budget::new(now);
        assert_eq!(spend_all(&budget, now), limits::RETRIES_SAVED_MAX as usize);
        (0..100).for_each(|_| budget.earn());
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

    #[test]
    fn the_pause_grows_and_is_bounded() {
        assert_eq!(backoff(1), limits::BACKOFF_FIRST);
        assert_eq!(backoff(3), limits::BACKOFF_FIRST * 4);
        assert_eq!(backoff(u32::MAX), limits::BACKOFF_MAX);
    }
}

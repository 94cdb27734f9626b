//! A token bucket that may go into debt. Pure: time is handed in, and whole numbers keep the sums exact.

use super::share::{Share, WHOLE};
use crate::limits::LIMIT_BURST;
use std::time::Duration;
use tokio::time::Instant;

/// Tokens are counted in billionths, so that no refill is lost to rounding.
const TOKEN: i128 = 1_000_000_000;

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Of the whole cell.
    pub per_second: u64,
    /// Of this node.
    pub share: Share,
    /// Tokens that the bucket holds at least: with less than one request nobody would ever be served.
    pub least: u64,
}

impl Rate {
    /// Whole tokens that flow in, in a second.
    pub fn of_node(self) -> u64 {
        let whole = u128::from(self.per_second) * u128::from(self.share) / u128::from(WHOLE);
        u64::try_from(whole).unwrap_or(u64::MAX)
    }

    fn capacity(self) -> i128 {
        let burst = self.gained(LIMIT_BURST);
        burst.max(i128::from(self.least) * TOKEN)
    }

    /// A token per second is a billionth per nanosecond.
    fn gained(self, time: Duration) -> i128 {
        let nanoseconds = i128::try_from(time.as_nanos()).unwrap_or(i128::MAX >> 64);
        (i128::from(self.per_second) * i128::from(self.share) * nanoseconds) / i128::from(WHOLE)
    }
}

/// Tokens of one kind that an account has on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    tokens: i128,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub fn full(rate: Rate, now: Instant) -> Self {
        Self { tokens: rate.capacity(), at: now }
    }

    /// Adds what has flowed in since the last look. A bucket that has become smaller loses what does not fit.
    pub fn refill(&mut self, rate: Rate, now: Instant) {
        let gained = rate.gained(now.saturating_duration_since(self.at));
        self.tokens = (self.tokens + gained).min(rate.capacity());
        self.at = self.at.max(now);
    }

    /// It holds as much as it can.
    pub fn is_full(&self, rate: Rate) -> bool {
        self.tokens >= rate.capacity()
    }

    /// Takes tokens if they are there.
    pub fn take(&mut self, tokens: u64) -> bool {
        let wanted = i128::from(tokens) * TOKEN;
        let enough = self.tokens >= wanted;
        if enough {
            self.tokens -= wanted;
        }
        enough
    }

    /// Takes tokens whether or not they are there: what flowed, flowed.
    pub fn charge(&mut self, tokens: u64) {
        self.tokens -= i128::from(tokens) * TOKEN;
    }

    /// Gives back what was charged and did not flow. What does not fit is lost with the next refill.
    pub fn refund(&mut self, tokens: u64) {
        self.tokens += i128::from(tokens) * TOKEN;
    }

    /// Nothing is left, and perhaps something is owed.
    pub fn is_empty(&self) -> bool {
        self.tokens <= 0
    }

    /// How long until so many tokens are there.
    pub fn wait(&self, rate: Rate, tokens: u64) -> Duration {
        let missing = (i128::from(tokens) * TOKEN - self.tokens).max(0);
        let speed = (i128::from(rate.per_second) * i128::from(rate.share)).max(1);
        // Rounded up: whoever comes back when told must not be too early.
        let nanoseconds = (missing.saturating_mul(i128::from(WHOLE)) + speed - 1) / speed;
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::env::Clock;
    use proptest::prelude::*;

    fn rate(per_second: u64, share: Share) -> Rate {
        Rate { per_second, share, least: 1 }
    }

    #[test]
    fn a_bucket_lets_a_burst_through_and_then_its_rate() {
        let (rate, mut now) = (rate(100, WHOLE / 2), Clock::system().now());
        let mut bucket = Bucket::full(rate, now);
        let mut taken = 0;
        while bucket.take(1) {
            taken += 1;
        }
        assert_eq!(taken, 50, "a second of half the rate");
        assert_eq!(bucket.wait(rate, 1), Duration::from_millis(20));
        now += Duration::from_millis(19);
        bucket.refill(rate, now);
        assert!(!bucket.take(1));
        now += Duration::from_millis(1);
        bucket.refill(rate, now);
        assert!(bucket.take(1) && !bucket.take(1));
    }

    #[test]
    fn a_debt_is_paid_off_before_anything_is_let_through() {
        let (rate, now) = (rate(1_000, WHOLE), Clock::system().now());
        let mut bucket = Bucket::full(rate, now);
        bucket.charge(6_000);
        assert!(bucket.is_empty());
        assert_eq!(bucket.wait(rate, 0), Duration::from_secs(5));
        bucket.refill(rate, now + Duration::from_secs(5));
        assert!(bucket.is_empty());
        bucket.refill(rate, now + Duration::from_secs(6));
        assert!(!bucket.is_empty() && bucket.is_full(rate));
    }

    #[test]
    fn however_small_the_share_one_request_passes_now_and_then() {
        let (rate, now) = (rate(1, WHOLE / 30), Clock::system().now());
        let mut bucket = Bucket::full(rate, now);
        assert!(bucket.take(1));
        bucket.refill(rate, now + Duration::from_secs(31));
        assert!(bucket.take(1));
    }

    proptest! {
        #[test]
        fn no_more_passes_than_the_burst_and_the_rate_whatever_the_share_does(
            per_second in 1u64..10_000,
            steps in prop::collection::vec((0u64..300, 1u32..=WHOLE, 0u64..40), 1..60),
        ) {
            let begun = Clock::system().now();
            let first = rate(per_second, WHOLE);
            let (mut bucket, mut now, mut passed) = (Bucket::full(first, begun), begun, 0u64);
            for (pause, share, asked) in steps {
                now += Duration::from_millis(pause);
                bucket.refill(rate(per_second, share), now);
                passed += (0..asked).filter(|_| bucket.take(1)).count() as u64;
            }
            let time = (now - begun).as_millis();
            let most = u128::from(per_second) * (time + LIMIT_BURST.as_millis()) / 1_000 + 1;
            prop_assert!(u128::from(passed) <= most, "{passed} passed, at most {most}");
        }
    }
}

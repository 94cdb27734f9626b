//! One account on this node: its buckets, its requests in flight, its recent demand, its loans. Pure: time is handed in.

use super::{
    bucket::{Bucket, Rate},
    share::{DIMENSIONS, Dimension, Ledger, PerDimension},
};
use crate::limits::{DEMAND_BYTES, RETRY_AFTER_MAX};
use bulkhead_model::Limits;
use std::time::Duration;
use tokio::time::Instant;

/// Why a request is refused, and when it may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    pub dimension: Dimension,
    pub retry_after: Duration,
}

/// What is kept of an account while it is active.
#[derive(Debug)]
pub struct Account {
    pub limits: Limits,
    /// When `limits` were looked up.
    pub looked_up: Instant,
    pub ledger: Ledger,
    /// Of each dimension but concurrency, which has none.
    buckets: [Bucket; DIMENSIONS],
    in_flight: u32,
    /// Since the last round: requests asked for, kibibytes that flowed, and the most that were wanted at a time.
    counted: [u64; DIMENSIONS],
    /// Per second, smoothed over a few rounds.
    demand: PerDimension,
}

/// Tokens that a bucket holds at least: one request. Bytes are let through while anything is left, so they need no more.
const LEAST: u64 = 1;

impl Account {
    /// One that has been idle.
    pub fn new(limits: Limits, nodes: u32, now: Instant) -> Self {
        let ledger = Ledger::default();
        let buckets = Dimension::ALL.map(|dimension| {
            let share = ledger.share(dimension, nodes, now);
            Bucket::full(Rate { per_second: limits.get(dimension.limit()), share, least: LEAST }, now)
        });
        Self {
            limits,
            looked_up: now,
            ledger,
            buckets,
            in_flight: 0,
            counted: [0; DIMENSIONS],
            demand: [0; DIMENSIONS],
        }
    }

    /// Lets a request of a class in, or says what it is over. It is in flight until [`Account::leave`].
    ///
    /// # Errors
    /// The first limit that it is over; then it has taken nothing.
    pub fn enter(&mut self, class: Dimension, nodes: u32, now: Instant) -> Result<(), Over> {
        self.counted[class.index()] += 1;
        let concurrent = &mut self.counted[Dimension::Concurrent.index()];
        *concurrent = (*concurrent).max(u64::from(self.in_flight) + 1);
        let at_once = self.rate(Dimension::Concurrent, nodes, now);
        // Rounded up, so that three thirds are a whole.
        let most = (u64::from(at_once.share) * at_once.per_second).div_ceil(u64::from(super::share::WHOLE));
        if u64::from(self.in_flight) >= most.max(LEAST) {
            return Err(Over { dimension: Dimension::Concurrent, retry_after: Duration::from_secs(1) });
        }
        if let Some(bytes) = moves(class) {
            let bucket = self.refilled(bytes, nodes, now);
            if bucket.0.is_empty() {
                return Err(over(bytes, bucket.0.wait(bucket.1, 1)));
            }
        }
        let (bucket, rate) = self.refilled(class, nodes, now);
        if !bucket.take(1) {
            return Err(over(class, bucket.wait(rate, 1)));
        }
        self.in_flight += 1;
        Ok(())
    }

    /// Lets a request in, whatever the account is over.
    pub fn readmit(&mut self, class: Dimension, nodes: u32, now: Instant) {
        self.counted[class.index()] += 1;
        self.refilled(class, nodes, now).0.charge(1);
        self.in_flight += 1;
    }

    /// A request has ended.
    pub fn leave(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// So many bytes have flowed, of which so many are paid for already. Answers how many may in a second, of this node.
    pub fn charge(&mut self, bytes: Dimension, count: u64, prepaid: u64, nodes: u32, now: Instant) -> u64 {
        self.counted[bytes.index()] += count;
        let (bucket, rate) = self.refilled(bytes, nodes, now);
        bucket.charge(count.saturating_sub(prepaid));
        rate.of_node()
    }

    /// Charges a body before it flows: of many that begin together each sees what the others will bring.
    pub fn prepay(&mut self, count: u64, nodes: u32, now: Instant) {
        self.refilled(Dimension::BytesIn, nodes, now).0.charge(count);
    }

    /// So much of a body that was paid for did not come.
    pub fn refund(&mut self, count: u64, nodes: u32, now: Instant) {
        self.refilled(Dimension::BytesIn, nodes, now).0.refund(count);
    }

    /// Per second, as of the last round.
    pub fn demand(&self) -> &PerDimension {
        &self.demand
    }

    /// What it is lent by: the demand, or what was counted since when that is more.
    pub fn wants(&self) -> PerDimension {
        let mut wants = self.demand;
        for (want, counted) in wants.iter_mut().zip(self.counted) {
            *want = u32::try_from(counted).unwrap_or(u32::MAX).max(*want);
        }
        for bytes in [Dimension::BytesIn, Dimension::BytesOut] {
            let counted = self.counted[bytes.index()] / DEMAND_BYTES;
            wants[bytes.index()] = u32::try_from(counted).unwrap_or(u32::MAX).max(self.demand[bytes.index()]);
        }
        wants
    }

    /// Ends a round that took `time`: half of the demand is what was counted in it.
    pub fn close_round(&mut self, time: Duration) {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        let still = u64::from(self.in_flight);
        for dimension in Dimension::ALL {
            let counted = std::mem::take(&mut self.counted[dimension.index()]);
            let now = match dimension {
                Dimension::Concurrent => counted.max(still),
                Dimension::BytesIn | Dimension::BytesOut => {
                    counted.div_ceil(DEMAND_BYTES).saturating_mul(1_000) / milliseconds
                }
                Dimension::Reads | Dimension::Writes | Dimension::Lists | Dimension::Deletes => {
                    counted.saturating_mul(1_000).div_ceil(milliseconds)
                }
            };
            let before = &mut self.demand[dimension.index()];
            *before =
                u32::try_from((u64::from(*before) + now + u64::from(now > u64::from(*before))) / 2).unwrap_or(u32::MAX);
        }
    }

    /// Forgetting it changes nothing: nothing is in flight, owed, lent or asked for.
    pub fn is_idle(&self, nodes: u32, now: Instant) -> bool {
        let full = |dimension: Dimension| {
            let rate = self.rate(dimension, nodes, now);
            let mut bucket = self.buckets[dimension.index()];
            bucket.refill(rate, now);
            bucket.is_full(rate)
        };
        self.in_flight == 0
            && self.demand == [0; DIMENSIONS]
            && self.counted == [0; DIMENSIONS]
            && self.ledger.is_settled(now)
            && Dimension::ALL.into_iter().all(full)
    }

    fn rate(&self, dimension: Dimension, nodes: u32, now: Instant) -> Rate {
        let share = self.ledger.share(dimension, nodes, now);
        Rate { per_second: self.limits.get(dimension.limit()), share, least: LEAST }
    }

    fn refilled(&mut self, dimension: Dimension, nodes: u32, now: Instant) -> (&mut Bucket, Rate) {
        let rate = self.rate(dimension, nodes, now);
        let bucket = &mut self.buckets[dimension.index()];
        bucket.refill(rate, now);
        (bucket, rate)
    }
}

/// Which way the bytes go that requests of a class move. A debt of them keeps the next such request waiting.
fn moves(class: Dimension) -> Option<Dimension> {
    match class {
        Dimension::Reads | Dimension::Lists => Some(Dimension::BytesOut),
        Dimension::Writes => Some(Dimension::BytesIn),
        Dimension::Deletes | Dimension::BytesIn | Dimension::BytesOut | Dimension::Concurrent => None,
    }
}

fn over(dimension: Dimension, wait: Duration) -> Over {
    Over { dimension, retry_after: wait.min(RETRY_AFTER_MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::env::Clock;

    fn limits() -> Limits {
        Limits { write_requests: 30, concurrent_requests: 6, bytes_in: 1 << 20, ..Limits::default() }
    }

    #[test]
    fn each_class_has_its_own_rate_and_a_refusal_says_when_to_come_back() {
        let now = Clock::system().now();
        let mut account = Account::new(limits(), 1, now);
        for _ in 0..30 {
            account.enter(Dimension::Writes, 1, now).expect("within the burst");
            account.leave();
        }
        let over = account.enter(Dimension::Writes, 1, now).expect_err("over");
        assert_eq!(over.dimension, Dimension::Writes);
        assert!(over.retry_after > Duration::ZERO && over.retry_after <= Duration::from_millis(34), "{over:?}");
        account.enter(Dimension::Reads, 1, now).expect("reads are counted by themselves");
        account.enter(Dimension::Writes, 1, now + over.retry_after).expect("as it was told");
    }

    #[test]
    fn requests_at_a_time_are_shared_like_the_rest_and_one_always_may() {
        let now = Clock::system().now();
        let mut account = Account::new(limits(), 3, now);
        account.enter(Dimension::Reads, 3, now).expect("the first of two");
        account.enter(Dimension::Reads, 3, now).expect("the second of two");
        let over = account.enter(Dimension::Reads, 3, now).expect_err("the third");
        assert_eq!(over.dimension, Dimension::Concurrent);
        account.leave();
        account.enter(Dimension::Reads, 3, now).expect("one has ended");
        let mut tight = Account::new(Limits { concurrent_requests: 1, ..limits() }, 3, now);
        tight.enter(Dimension::Reads, 3, now).expect("one always may");
    }

    #[test]
    fn bytes_that_flowed_are_owed_and_keep_the_next_write_waiting_and_no_read() {
        let now = Clock::system().now();
        let mut account = Account::new(limits(), 1, now);
        account.enter(Dimension::Writes, 1, now).expect("nothing is owed");
        account.charge(Dimension::BytesIn, 4 << 20, 0, 1, now);
        account.leave();
        let over = account.enter(Dimension::Writes, 1, now).expect_err("three seconds' worth is owed");
        assert_eq!((over.dimension, over.retry_after.as_secs()), (Dimension::BytesIn, 3));
        account.enter(Dimension::Reads, 1, now).expect("it reads");
        account.leave();
        account.enter(Dimension::Writes, 1, now + Duration::from_millis(3_001)).expect("it is paid off");
    }

    #[test]
    fn a_body_that_is_paid_for_counts_once_and_what_did_not_come_is_given_back() {
        let now = Clock::system().now();
        let mut account = Account::new(limits(), 1, now);
        account.prepay(4 << 20, 1, now);
        let owed = |account: &mut Account| account.enter(Dimension::Writes, 1, now).expect_err("owed").retry_after;
        assert_eq!(owed(&mut account).as_secs(), 3);
        account.charge(Dimension::BytesIn, 1 << 20, 1 << 20, 1, now);
        assert_eq!(owed(&mut account).as_secs(), 3, "it was paid for");
        account.refund(3 << 20, 1, now);
        assert!(account.enter(Dimension::Writes, 1, now).is_err(), "what flowed was all there is");
        account.enter(Dimension::Writes, 1, now + Duration::from_millis(1)).expect("the rest came back");
    }

    #[test]
    fn a_demand_of_one_is_told() {
        let now = Clock::system().now();
        let mut account = Account::new(limits(), 1, now);
        account.enter(Dimension::Writes, 1, now).expect("within the burst");
        account.leave();
        account.close_round(Duration::from_secs(1));
        assert_eq!(account.demand()[Dimension::Writes.index()], 1);
        account.close_round(Duration::from_secs(1));
        assert_eq!(account.demand()[Dimension::Writes.index()], 0);
    }

    #[test]
    fn demand_counts_what_was_refused_too_and_fades() {
        let now = Clock::system().now();
        let mut account = Account::new(limits(), 1, now);
        for _ in 0..500 {
            let _ = account.enter(Dimension::Writes, 1, now);
        }
        (0..6).for_each(|_| account.leave());
        account.close_round(Duration::from_secs(1));
        assert_eq!(account.demand()[Dimension::Writes.index()], 250);
        assert!(!account.is_idle(1, now));
        (0..20).for_each(|_| account.close_round(Duration::from_secs(1)));
        assert!(account.is_idle(1, now + Duration::from_secs(2)), "{account:?}");
    }
}

//! Which accounts wait most and are refused most: a bounded sketch (space-saving), over the last minute or two. Pure.
//!
//! A count is never too low; it is too high by at most the least count that was kept when the account came in.

use crate::limits::{TOP_ACCOUNTS, TOP_ACCOUNTS_SPAN};
use bulkhead_model::AccountId;
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// What is known of one account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Units charged.
    pub units: u64,
    pub waited: Duration,
    pub refused: u64,
}

/// The sketch: this span and the one before.
#[derive(Debug)]
pub struct Top {
    began: Instant,
    now: HashMap<AccountId, Entry>,
    before: HashMap<AccountId, Entry>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    tally: Tally,
    /// By what is decided who is kept: what it cost the node, and each refusal.
    count: u64,
}

impl Top {
    pub fn new(now: Instant) -> Self {
        Self { began: now, now: HashMap::new(), before: HashMap::new() }
    }

    pub fn charged(&mut self, now: Instant, account: AccountId, units: u64, waited: Duration) {
        let entry = self.entry(now, account);
        entry.tally.units += units;
        entry.tally.waited += waited;
        entry.count += units;
    }

    pub fn refused(&mut self, now: Instant, account: AccountId, waited: Duration) {
        let entry = self.entry(now, account);
        entry.tally.waited += waited;
        entry.tally.refused += 1;
        entry.count += 1;
    }

    fn entry(&mut self, now: Instant, account: AccountId) -> &mut Entry {
        if now >= self.began + TOP_ACCOUNTS_SPAN {
            let last = std::mem::take(&mut self.now);
            self.before = if now < self.began + TOP_ACCOUNTS_SPAN * 2 { last } else { HashMap::new() };
            self.began = now;
        }
        let mut inherited = 0;
        if !self.now.contains_key(&account) && self.now.len() >= TOP_ACCOUNTS {
            let least =
                self.now.iter().min_by_key(|(_, entry)| entry.count).map(|(account, entry)| (*account, entry.count));
            if let Some((least, count)) = least {
                self.now.remove(&least);
                inherited = count;
            }
        }
        self.now.entry(account).or_insert(Entry { tally: Tally::default(), count: inherited })
    }

    /// The accounts kept, who waited longest first, then who was refused most.
    pub fn list(&self, now: Instant) -> Vec<(AccountId, Tally)> {
        // When nobody has asked for anything for long, no span has ended, and none of them is the last one.
        let spans = [(&self.now, TOP_ACCOUNTS_SPAN * 2), (&self.before, TOP_ACCOUNTS_SPAN)];
        let recent = spans.into_iter().filter(|(_, until)| now < self.began + *until).flat_map(|(span, _)| span);
        let mut sums: HashMap<AccountId, Tally> = HashMap::new();
        for (account, entry) in recent {
            let sum = sums.entry(*account).or_default();
            sum.units += entry.tally.units;
            sum.waited += entry.tally.waited;
            sum.refused += entry.tally.refused;
        }
        let mut list: Vec<_> = sums.into_iter().collect();
        list.sort_by_key(|(account, tally)| std::cmp::Reverse((tally.waited, tally.refused, tally.units, *account)));
        list.truncate(TOP_ACCOUNTS);
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::Env;

    fn account(n: u64) -> AccountId {
        AccountId::new(AccountId::FIRST + n).expect("in range")
    }

    #[test]
    fn the_busy_are_kept_among_any_number_of_others() {
        let now = Env::system().clock.now();
        let mut top = Top::new(now);
        for n in 0..10_000 {
            top.charged(now, account(n % 3), 10, Duration::from_millis(1));
            top.refused(now, account(100 + n), Duration::ZERO);
        }
        assert!(top.now.len() <= TOP_ACCOUNTS);
        let list = top.list(now);
        let busy: Vec<_> = list.iter().take(3).map(|(account, _)| *account).collect();
        assert!((0..3).all(|n| busy.contains(&account(n))), "{busy:?}");
        assert!(list[0].1.units >= 33_330 && list[0].1.waited >= Duration::from_millis(3_333));
    }

    #[test]
    fn what_is_long_ago_is_forgotten() {
        let now = Env::system().clock.now();
        let mut top = Top::new(now);
        top.refused(now, account(1), Duration::ZERO);
        top.refused(now + TOP_ACCOUNTS_SPAN, account(2), Duration::ZERO);
        assert_eq!(top.list(now + TOP_ACCOUNTS_SPAN).len(), 2);
        top.refused(now + TOP_ACCOUNTS_SPAN * 2, account(3), Duration::ZERO);
        let list: Vec<_> = top.list(now + TOP_ACCOUNTS_SPAN * 2).into_iter().map(|(account, _)| account).collect();
        assert_eq!(list, [account(3), account(2)]);
        assert_eq!(top.list(now + TOP_ACCOUNTS_SPAN * 3).len(), 1, "also when nobody asks");
        assert!(top.list(now + TOP_ACCOUNTS_SPAN * 4).is_empty());
    }
}

//! What each account holds of a cell's share of the router: no single one may take it all from its neighbours.

use bulkhead_model::AccountId;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

/// What the accounts hold of one thing. It knows no more accounts than there are parts.
#[derive(Debug, Clone)]
pub(super) struct Accounts {
    held: Arc<Mutex<HashMap<AccountId, u64>>>,
    most: u64,
}

/// What one request holds of it, until this is dropped.
#[derive(Debug)]
pub(super) struct Part {
    account: AccountId,
    amount: u64,
    accounts: Accounts,
}

impl Accounts {
    /// At most `most` for each of them.
    pub(super) fn new(most: u64) -> Self {
        Self { held: Arc::default(), most }
    }

    /// Takes `amount` for an account, if it has as much left.
    pub(super) fn take(&self, account: AccountId, amount: u64) -> Option<Part> {
        let mut held = self.held.lock();
        let of_account = held.get(&account).copied().unwrap_or(0);
        let sum = of_account.checked_add(amount).filter(|sum| *sum <= self.most)?;
        if sum > 0 {
            held.insert(account, sum);
        }
        Some(Part { account, amount, accounts: self.clone() })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Entry::Occupied(mut sum) = self.accounts.held.lock().entry(self.account) {
            *sum.get_mut() = sum.get().saturating_sub(self.amount);
            if *sum.get() == 0 {
                sum.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(n: u64) -> AccountId {
        AccountId::new(AccountId::FIRST + n).expect("in range")
    }

    #[test]
    fn an_account_has_its_part_and_no_more_whatever_others_do() {
        let accounts = Accounts::new(10);
        let first = accounts.take(account(0), 7);
        assert!(first.is_some() && accounts.take(account(0), 4).is_none());
        let rest = accounts.take(account(0), 3);
        let other = accounts.take(account(1), 10);
        assert!(rest.is_some() && other.is_some());
        drop(first);
        assert!(accounts.take(account(0), 8).is_none() && accounts.take(account(0), 7).is_some());
        drop((rest, other));
        assert!(accounts.held.lock().is_empty(), "what holds nothing is forgotten");
        assert!(accounts.take(account(2), 0).is_some() && accounts.held.lock().is_empty());
    }
}

//! Limits per account, enforced by all nodes of the cell together: what an account may ask for is in the index, each node has a
//! share of it, and the share follows where the account's traffic arrives.
//!
//! A request is refused before its body is read. Bytes are charged as they flow, so a stream is never cut: what was too much is
//! owed, and keeps the account's next request waiting. A large body that comes in is spread over the time that its rate gives it. Memory is bounded by the number of accounts that are active at a time.
//! Must not know HTTP, nor where the limits are stored.

mod account;
mod bucket;
pub mod exchange;
mod pace;
mod share;

pub use account::Over;
pub use share::Dimension;

use crate::limits::{ACCOUNTS_ACTIVE_MAX, DEMAND_BYTES, DEMANDS_PER_REPORT, LIMITS_LOOK, LOAN_LENT};
use account::Account;
use bulkhead_model::{AccountId, Limits, NodeId};
use bulkhead_service::env::Clock;
use pace::Pace;
use parking_lot::Mutex;
use share::{DIMENSIONS, PerDimension, WHOLE};
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Says what holds for an account now.
pub type Source = Arc<dyn Fn(AccountId) -> Limits + Send + Sync>;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    Over(Over),
    /// So many accounts are active on this node that it cannot keep count of another.
    TooManyAccounts,
}

/// The accounts of this node. Cheap to clone.
#[derive(Clone)]
pub struct Limiter(Arc<Shared>);

struct Shared {
    clock: Clock,
    source: Source,
    started: Instant,
    /// Of the cell.
    nodes: AtomicU32,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    accounts: HashMap<AccountId, Account>,
    /// What each peer said last, and when.
    heard: HashMap<NodeId, (Instant, HashMap<AccountId, PerDimension>)>,
    closed: Option<Instant>,
}

impl Limiter {
    /// Nothing is known of any account yet. `source` is asked again every [`LIMITS_LOOK`].
    pub fn new(source: Source, clock: Clock) -> Self {
        let started = clock.now();
        Self(Arc::new(Shared { clock, source, started, nodes: AtomicU32::new(1), table: Mutex::default() }))
    }

    /// Lets a request in, or refuses it. What it uses is given back when the permit is dropped. A write is charged the `body` that it
    /// says it brings.
    ///
    /// # Errors
    /// When the account is over a limit.
    pub fn enter(&self, account: AccountId, class: Dimension, body: u64) -> Result<Permit, Refused> {
        self.enter_as(account, class, body, Account::enter)
    }

    /// Lets the repetition of a request in that may have been executed already: what its account is over keeps nobody from learning what became
    /// of it. What it uses is owed.
    ///
    /// # Errors
    /// When so many accounts are active that no count can be kept of another.
    pub fn readmit(&self, account: AccountId, class: Dimension, body: u64) -> Result<Permit, Refused> {
        self.enter_as(account, class, body, |account, class, nodes, now| {
            account.readmit(class, nodes, now);
            Ok(())
        })
    }

    fn enter_as(
        &self,
        account: AccountId,
        class: Dimension,
        body: u64,
        enter: impl Fn(&mut Account, Dimension, u32, Instant) -> Result<(), Over>,
    ) -> Result<Permit, Refused> {
        for _ in 0..2 {
            self.look_up(account)?;
            let (now, nodes) = (self.0.clock.now(), self.nodes());
            let mut table = self.0.table.lock();
            // A round that ended since may have forgotten it, as idle.
            let Some(entry) = table.accounts.get_mut(&account) else { continue };
            enter(entry, class, nodes, now).map_err(Refused::Over)?;
            let prepaid = if class == Dimension::Writes { body } else { 0 };
            if prepaid > 0 {
                entry.prepay(prepaid, nodes, now);
            }
            let weight = entry.limits.weight;
            let flowing = Mutex::new(Flowing { prepaid, pace: Pace::begin(now) });
            return Ok(Permit { limiter: self.clone(), account, weight, flowing });
        }
        Err(Refused::TooManyAccounts)
    }

    /// All that it might have lent in an earlier life has come back.
    pub fn is_settled(&self) -> bool {
        self.0.clock.now() >= self.0.started + LOAN_LENT
    }

    /// Accounts of which count is kept.
    pub fn active(&self) -> usize {
        self.0.table.lock().accounts.len()
    }

    fn nodes(&self) -> u32 {
        self.0.nodes.load(Ordering::Relaxed)
    }

    /// Makes sure that the account is in the table, with limits that are not old.
    fn look_up(&self, account: AccountId) -> Result<(), Refused> {
        let now = self.0.clock.now();
        let mut is_new = false;
        {
            let mut table = self.0.table.lock();
            match table.accounts.get_mut(&account) {
                Some(known) if now < known.looked_up + LIMITS_LOOK => return Ok(()),
                // The others go on with what is known while this one looks.
                Some(known) => known.looked_up = now,
                None => is_new = true,
            }
            if is_new && table.accounts.len() >= ACCOUNTS_ACTIVE_MAX {
                return Err(Refused::TooManyAccounts);
            }
        }
        let limits = (self.0.source)(account);
        let mut table = self.0.table.lock();
        self.insert(&mut table, account, limits, now);
        Ok(())
    }

    fn insert<'t>(&self, table: &'t mut Table, account: AccountId, limits: Limits, now: Instant) -> &'t mut Account {
        match table.accounts.entry(account) {
            Entry::Occupied(known) => {
                let known = known.into_mut();
                (known.limits, known.looked_up) = (limits, now);
                known
            }
            Entry::Vacant(vacant) => {
                let nodes = self.nodes();
                let fresh = vacant.insert(Account::new(limits, nodes, now));
                // A process that has just begun does not know what it lent before, so it begins with what it never lends.
                if nodes > 1 && now < self.0.started + LOAN_LENT {
                    let all = [WHOLE; DIMENSIONS];
                    fresh.ledger.lend(NodeId(0), all, nodes, self.0.started);
                }
                fresh
            }
        }
    }

    /// Ends a round: what was asked for since the last one, of the accounts that asked for most. Forgets accounts that are idle.
    fn close_round(&self) -> Vec<(AccountId, PerDimension)> {
        let (now, nodes) = (self.0.clock.now(), self.nodes());
        let mut table = self.0.table.lock();
        let time = table.closed.map_or(Duration::from_secs(1), |closed| now.saturating_duration_since(closed));
        table.closed = Some(now);
        table.heard.retain(|_, (at, _)| now < *at + LOAN_LENT);
        let mut demands = Vec::new();
        table.accounts.retain(|account, entry| {
            entry.close_round(time);
            if *entry.demand() != [0; DIMENSIONS] {
                demands.push((*account, *entry.demand()));
            }
            !entry.is_idle(nodes, now)
        });
        let most = |(account, demand): &(AccountId, PerDimension)| {
            let all: u64 = demand.iter().map(|one| u64::from(*one)).sum();
            (std::cmp::Reverse(all), *account)
        };
        demands.sort_unstable_by_key(most);
        demands.truncate(DEMANDS_PER_REPORT);
        demands
    }

    /// A peer says what it is asked for. Answers what it may use of this node's share, account by account.
    fn lend(&self, peer: NodeId, demands: Vec<(AccountId, PerDimension)>) -> Vec<(AccountId, PerDimension)> {
        let (now, nodes) = (self.0.clock.now(), self.nodes());
        let mut loans = Vec::new();
        for (account, demand) in &demands {
            // An account that only others are asked for is kept count of here as long as its share is lent.
            if self.look_up(*account).is_err() {
                continue;
            }
            let mut table = self.0.table.lock();
            let wanted = wanted(&table, *account, (peer, demand), nodes, now);
            let Some(entry) = table.accounts.get_mut(account) else { continue };
            let lent = entry.ledger.lend(peer, wanted, nodes, now);
            if lent != [0; DIMENSIONS] {
                loans.push((*account, lent));
            }
        }
        self.0.table.lock().heard.insert(peer, (now, demands.into_iter().collect()));
        loans
    }

    /// Takes what a peer lent for what it was asked at `asked`.
    fn borrow(&self, peer: NodeId, loans: Vec<(AccountId, PerDimension)>, asked: Instant) {
        let mut table = self.0.table.lock();
        for (account, amounts) in loans {
            if let Some(entry) = table.accounts.get_mut(&account) {
                entry.ledger.borrow(peer, amounts, asked);
            }
        }
    }
}

/// What this node should lend a peer of one account's limits, by all that it has heard.
fn wanted(
    table: &Table,
    account: AccountId,
    (peer, demand): (NodeId, &PerDimension),
    nodes: u32,
    now: Instant,
) -> PerDimension {
    let Some(entry) = table.accounts.get(&account) else { return [0; DIMENSIONS] };
    let own = entry.wants();
    let fresh = table.heard.iter().filter(|(other, (at, _))| **other != peer && now < *at + LOAN_LENT);
    let others: Vec<PerDimension> = fresh.filter_map(|(_, (_, demands))| demands.get(&account).copied()).collect();
    let mut wanted = [0; DIMENSIONS];
    for dimension in Dimension::ALL {
        let at = dimension.index();
        let demands: Vec<u32> = std::iter::once(demand[at]).chain(others.iter().map(|other| other[at])).collect();
        let limit = entry.limits.get(dimension.limit()) / unit(dimension);
        wanted[at] = share::lend(nodes, own[at], &demands, limit).first().copied().unwrap_or(0);
    }
    wanted
}

/// Of a limit, what one unit of demand for it is.
fn unit(dimension: Dimension) -> u64 {
    match dimension {
        Dimension::BytesIn | Dimension::BytesOut => DEMAND_BYTES,
        Dimension::Reads | Dimension::Writes | Dimension::Lists | Dimension::Deletes | Dimension::Concurrent => 1,
    }
}

/// A request that was let in. Dropping it makes room for another.
pub struct Permit {
    limiter: Limiter,
    account: AccountId,
    weight: u64,
    flowing: Mutex<Flowing>,
}

/// A body on its way in.
struct Flowing {
    /// Bytes of it that are charged and have not come.
    prepaid: u64,
    pace: Pace,
}

impl Permit {
    /// The account's share of a busy cell, relative to other accounts.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// So many bytes of the request's body came in. Answers how long the next may wait: no account is given more than its rate.
    #[must_use]
    pub fn came(&self, bytes: u64) -> Duration {
        let mut flowing = self.flowing.lock();
        let prepaid = bytes.min(flowing.prepaid);
        flowing.prepaid -= prepaid;
        match self.charge(Dimension::BytesIn, bytes, prepaid) {
            Some(per_second) => flowing.pace.came(bytes, per_second, self.limiter.0.clock.now()),
            None => Duration::ZERO,
        }
    }

    /// So many bytes of the answer went out.
    pub fn went(&self, bytes: u64) {
        self.charge(Dimension::BytesOut, bytes, 0);
    }

    /// Answers how many a second the account may have of this node.
    fn charge(&self, dimension: Dimension, bytes: u64, prepaid: u64) -> Option<u64> {
        let (now, nodes) = (self.limiter.0.clock.now(), self.limiter.nodes());
        let mut table = self.limiter.0.table.lock();
        let entry = table.accounts.get_mut(&self.account)?;
        Some(entry.charge(dimension, bytes, prepaid, nodes, now))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let left = std::mem::take(&mut self.flowing.get_mut().prepaid);
        let (now, nodes) = (self.limiter.0.clock.now(), self.limiter.nodes());
        if let Some(entry) = self.limiter.0.table.lock().accounts.get_mut(&self.account) {
            entry.leave();
            if left > 0 {
                entry.refund(left, nodes, now);
            }
        }
    }
}

#[cfg(test)]
mod tests;

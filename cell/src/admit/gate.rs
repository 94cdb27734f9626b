//! The gate: who may be executed now, who waits, who is refused. Decides by [`FairQueue`], [`Adaptive`] and [`Flow`]; keeps time, wakes and
//! counts.
//!
//! - What is executed holds its cost of the limit and gives it back when it ends, however it ends.
//! - Nobody holds any while it waits: not for its turn, and not for its client.
//! - Whoever waits too long, or past its deadline, is refused and was not executed. How long is too long depends on whether the queue stands.

use super::{
    adaptive::{Adaptive, Signal},
    cost::{Class, Cost},
    flow::Flow,
    queue::{Begun, Claim, FairQueue, Joined, Room, Ticket, hand},
    top::{Tally, Top},
};
use crate::limits::{ACCOUNT_SHARE_PERCENT, QUEUE_AGE_MAX, STAGE_AGE_MAX};
use bulkhead_model::AccountId;
use bulkhead_service::env::Clock;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

/// Why a request was not executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the queues of its account are full")]
    QueueFull,
    #[error("it waited too long for its turn")]
    TooOld,
    #[error("its deadline passed before its turn came")]
    Deadline,
}

impl Refused {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::QueueFull, Self::TooOld, Self::Deadline];

    /// For metrics and people.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::TooOld => "too_old",
            Self::Deadline => "deadline",
        }
    }

    fn index(self) -> usize {
        match self {
            Self::QueueFull => 0,
            Self::TooOld => 1,
            Self::Deadline => 2,
        }
    }
}

/// A request that wants to be executed.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    pub account: AccountId,
    pub weight: u32,
    pub class: Class,
    pub cost: Cost,
    /// An earlier try of it may have been executed, or an earlier piece of it was.
    pub begun: Begun,
    /// After which nobody waits for it any more.
    pub deadline: Instant,
}

/// The gate of a node. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Admission(Arc<Shared>);

struct Shared {
    clock: Clock,
    /// Without it everything is let in at once.
    enabled: bool,
    state: Mutex<State>,
}

/// One that waits.
struct Waiting {
    since: Instant,
    /// Told when its turn has come.
    turn: oneshot::Sender<Result<Held, Refused>>,
}

struct State {
    queue: FairQueue<Waiting>,
    adaptive: Adaptive,
    flow: Flow,
    /// Units held, in all and by account. Only of accounts that hold any.
    held: u64,
    accounts: HashMap<AccountId, u64>,
    top: Top,
    refused: [u64; 3],
    /// Requests that were refused before they came here, by the limit of their account that was met.
    over: BTreeMap<&'static str, u64>,
    admitted: u64,
}

impl State {
    fn hold(&mut self, shared: &Arc<Shared>, claim: &Claim) -> Held {
        let units = held(claim.cost);
        self.held += units;
        *self.accounts.entry(claim.account).or_default() += units;
        self.admitted += 1;
        Held { shared: Arc::downgrade(shared), account: claim.account, units, timed: None }
    }
}

/// What of the limit a cost holds.
fn held(cost: u64) -> u64 {
    Cost::units_of(cost).held()
}

/// Whether there is room for one more piece of work, given what is held in all and by its account. An account that has its share is told so
/// even when there is no room for anybody: it must not keep a turn that it could not use. Pure.
fn room(limit: u64, in_all: u64, by_account: u64, cost: u64) -> Room {
    let cost = held(cost);
    if by_account + cost > limit * ACCOUNT_SHARE_PERCENT / 100 {
        Room::AccountFull
    } else if in_all + cost > limit {
        Room::Full
    } else {
        Room::Enough
    }
}

/// What a piece of work holds of the limit. Gives it back when it is dropped.
#[derive(Debug)]
pub struct Held {
    shared: Weak<Shared>,
    account: AccountId,
    units: u64,
    /// Since when it is held, and what that tells.
    timed: Option<(Signal, Instant)>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission").field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else { return };
        let now = shared.clock.now();
        let mut state = shared.state.lock();
        if let Some((signal, since)) = self.timed {
            state.adaptive.sample(now, signal, now - since);
        }
        state.flow.ended(now);
        state.held -= self.units;
        if let Some(units) = state.accounts.get_mut(&self.account) {
            *units -= self.units;
            if *units == 0 {
                state.accounts.remove(&self.account);
            }
        }
        Shared::go_on(&shared, state, now);
    }
}

/// What a node is doing now.
#[derive(Debug, Clone)]
pub struct Load {
    pub enabled: bool,
    pub limit: u64,
    pub held: u64,
    pub queued: usize,
    pub admitted: u64,
    pub refused: [(Refused, u64); 3],
    /// Requests of accounts that were over a limit of theirs, by the limit.
    pub over: BTreeMap<&'static str, u64>,
    pub accounts: Vec<(AccountId, Tally)>,
}

impl Admission {
    pub fn new(clock: Clock, enabled: bool) -> Self {
        let now = clock.now();
        let state = State {
            queue: FairQueue::default(),
            adaptive: Adaptive::new(now),
            flow: Flow::default(),
            held: 0,
            accounts: HashMap::new(),
            top: Top::new(now),
            refused: [0; 3],
            over: BTreeMap::new(),
            admitted: 0,
        };
        Self(Arc::new(Shared { clock, enabled, state: Mutex::new(state) }))
    }

    /// Waits for a request's turn.
    ///
    /// # Errors
    /// [`Refused`]: nothing of this try was executed.
    pub async fn enter(&self, ask: Ask) -> Result<Held, Refused> {
        self.wait(ask).await
    }

    /// Waits for the turn of a piece of work of a request that has been executed in part, and holds nothing meanwhile.
    ///
    /// # Errors
    /// [`Refused`]: this piece was not executed.
    pub async fn stage(&self, ask: Ask) -> Result<Held, Refused> {
        let mut held = self.wait(Ask { begun: Begun::Yes, ..ask }).await?;
        held.timed = Signal::of_piece(ask.class, ask.cost).map(|signal| (signal, self.now()));
        Ok(held)
    }

    async fn wait(&self, ask: Ask) -> Result<Held, Refused> {
        let shared = &self.0;
        let age = match ask.begun {
            Begun::No => QUEUE_AGE_MAX,
            Begun::Yes => STAGE_AGE_MAX,
        };
        let began = shared.clock.now();
        if !shared.enabled {
            return Ok(shared.free(ask.account));
        }
        if ask.deadline <= began {
            return Err(shared.refuse(&ask, Refused::Deadline, Duration::ZERO));
        }
        let (turn, waiting) = oneshot::channel();
        let Ask { account, weight, cost, begun, .. } = ask;
        let claim = Claim { account, weight, cost: cost.units(), begun };
        let Some(ticket) = Shared::join(shared, claim, Waiting { since: began, turn }) else {
            return Err(shared.refuse(&ask, Refused::QueueFull, Duration::ZERO));
        };
        // Leaves the queue however the wait ends.
        let place = Place { shared, ticket };
        let outcome = match timeout_at(ask.deadline.min(began + age), waiting).await {
            Ok(Ok(outcome)) => outcome,
            // Whoever is told to go is told why.
            Ok(Err(_)) => Err(Refused::QueueFull),
            Err(_) if ask.deadline <= began + age => Err(Refused::Deadline),
            Err(_) => Err(Refused::TooOld),
        };
        drop(place);
        let waited = shared.clock.now() - began;
        metrics::histogram!("bulkhead_admission_queue_seconds", "class" => ask.class.name())
            .record(waited.as_secs_f64());
        match outcome {
            Ok(held) => {
                shared.state.lock().top.charged(began + waited, ask.account, ask.cost.units(), waited);
                Ok(held)
            }
            Err(why) => Err(shared.refuse(&ask, why, waited)),
        }
    }

    /// A whole request took so long, of the cell's own time.
    pub fn sample(&self, class: Class, cost: Cost, took: Duration) {
        if let Some(signal) = Signal::of_request(class, cost) {
            let now = self.0.clock.now();
            let mut state = self.0.state.lock();
            state.adaptive.sample(now, signal, took);
            Shared::go_on(&self.0, state, now);
        }
    }

    /// A request was refused before it came here: its account is over this limit.
    pub fn over_limit(&self, account: AccountId, limit: &'static str) {
        let now = self.0.clock.now();
        let mut state = self.0.state.lock();
        *state.over.entry(limit).or_default() += 1;
        state.top.refused(now, account, Duration::ZERO);
    }

    /// How much of what may be executed at once is, in percent; 100 while anybody waits.
    pub fn utilisation(&self) -> u64 {
        let now = self.0.clock.now();
        let state = self.0.state.lock();
        if state.queue.is_empty() { (state.held * 100 / state.adaptive.limit(now).max(1)).min(100) } else { 100 }
    }

    pub fn load(&self) -> Load {
        let now = self.0.clock.now();
        let state = self.0.state.lock();
        Load {
            enabled: self.0.enabled,
            limit: state.adaptive.limit(now),
            held: state.held,
            queued: state.queue.len(),
            admitted: state.admitted,
            refused: Refused::ALL.map(|why| (why, state.refused[why.index()])),
            over: state.over.clone(),
            accounts: state.top.list(now),
        }
    }

    pub fn now(&self) -> Instant {
        self.0.clock.now()
    }
}

impl Shared {
    /// A piece of work that holds nothing.
    fn free(&self, account: AccountId) -> Held {
        Held { shared: Weak::new(), account, units: 0, timed: None }
    }

    fn join(shared: &Arc<Self>, claim: Claim, waiting: Waiting) -> Option<Ticket> {
        let (hand, now) = (hand(claim.account), waiting.since);
        let mut state = shared.state.lock();
        let (ticket, gone) = match state.queue.join(claim, &hand, waiting) {
            Joined::Waits(ticket) => (Some(ticket), None),
            Joined::Instead(ticket, gone) => (Some(ticket), Some(gone)),
            Joined::Refused(_) => (None, None),
        };
        Self::go_on(shared, state, now);
        if let Some(gone) = gone {
            // It counts its refusal itself; nobody may wait for it any more.
            drop(gone.turn.send(Err(Refused::QueueFull)));
        }
        ticket
    }

    /// Tells everyone whose turn has come and for whom there is room; of a queue that stands, that it came too late to those who waited for
    /// long. The lock is let go before: what is told to one that has left is given back at once.
    fn go_on(shared: &Arc<Self>, mut state: parking_lot::MutexGuard<'_, State>, now: Instant) {
        let mut told = Vec::new();
        let (patience, limit) = (state.flow.patience(now), state.adaptive.limit(now));
        let is_late = |claim: &Claim, waiting: &Waiting| match claim.begun {
            Begun::No => now.saturating_duration_since(waiting.since) > patience,
            Begun::Yes => false,
        };
        while let Some((claim, waiting)) = {
            let State { queue, held, accounts, .. } = &mut *state;
            let of = |account| accounts.get(&account).copied().unwrap_or(0);
            queue.next(|claim, waiting| match room(limit, *held, of(claim.account), claim.cost) {
                Room::Enough if is_late(claim, waiting) => Room::Late,
                found => found,
            })
        } {
            let turn = if is_late(&claim, &waiting) { Err(Refused::TooOld) } else { Ok(state.hold(shared, &claim)) };
            told.push((waiting.turn, turn));
        }
        let anybody = !state.queue.is_empty();
        state.flow.waits(now, anybody);
        if anybody {
            state.adaptive.held_back();
        }
        drop(state);
        for (one, turn) in told {
            drop(one.send(turn));
        }
    }

    fn refuse(&self, ask: &Ask, why: Refused, waited: Duration) -> Refused {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.refused[why.index()] += 1;
        state.top.refused(now, ask.account, waited);
        drop(state);
        metrics::counter!("bulkhead_admission_refused_total", "reason" => why.name(), "class" => ask.class.name())
            .increment(1);
        why
    }
}

/// A place in the queue.
struct Place<'s> {
    shared: &'s Arc<Shared>,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let now = self.shared.clock.now();
        let mut state = self.shared.state.lock();
        // Those behind it may find room where it found none.
        if let Some(left) = state.queue.leave(self.ticket) {
            Shared::go_on(self.shared, state, now);
            drop(left);
        }
    }
}

#[cfg(test)]
mod tests;

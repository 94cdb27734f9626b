//! One cell: its nodes, and what belongs to it alone, so that nothing it does takes anything from another: its retries, its share
//! of slots and memory, of which one account has a part, its breaker.

use super::{
    account::{Accounts, Part},
    breaker::{Circuit, Why},
    guard::{Breaker, Pass},
    node::Node,
    retry::Budget,
    throttle::Throttle,
};
use crate::limits;
use bulkhead_model::{AccountId, Az, CellId, NodeId, headers, shard};
use bulkhead_service::Env;
use http::HeaderMap;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// No node has this id, so that it can stand for "not known" in an atomic.
const NOBODY: u64 = u64::MAX;

/// One cell.
#[derive(Debug)]
pub struct Cell {
    pub id: CellId,
    pub nodes: Vec<Arc<Node>>,
    /// The nodes and their AZs when an account has a hand of them; empty when each AZ has one node, so that all are everybody's.
    dealt: Vec<(Az, NodeId)>,
    standing: Arc<Standing>,
}

/// What is known of a cell as a whole, and its shares.
#[derive(Debug)]
pub(super) struct Standing {
    /// The leader, by its own last word.
    leader: AtomicU64,
    budget: Budget,
    throttle: Throttle,
    slots: Arc<Semaphore>,
    held_bytes: Arc<Semaphore>,
    /// Who has them.
    slots_of: Accounts,
    held_bytes_of: Accounts,
    breaker: Breaker,
}

/// What a request holds of a cell until its answer has ended.
#[derive(Debug)]
pub struct Share {
    _slot: OwnedSemaphorePermit,
    _part: Part,
    trial: Option<(Arc<Standing>, Pass)>,
}

/// Memory for a body, until this is dropped.
#[derive(Debug)]
pub struct Hold {
    _bytes: OwnedSemaphorePermit,
    _part: Part,
}

/// Why a cell takes no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// All its slots are taken, or all that the account may have of them.
    Full,
    /// Its breaker lets nothing through, or not yet as much.
    Away,
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some((standing, pass)) = &self.trial {
            standing.breaker.ended(*pass);
        }
    }
}

impl Standing {
    pub(super) fn new(env: &Env) -> Self {
        Self {
            leader: AtomicU64::new(NOBODY),
            budget: Budget::new(env.clock.now()),
            throttle: Throttle::default(),
            slots: Arc::new(Semaphore::new(limits::IN_FLIGHT_PER_CELL_MAX)),
            held_bytes: Arc::new(Semaphore::new(limits::HELD_BYTES_PER_CELL_MAX)),
            slots_of: Accounts::new(limits::IN_FLIGHT_PER_ACCOUNT_MAX),
            held_bytes_of: Accounts::new(limits::HELD_BYTES_PER_ACCOUNT_MAX),
            breaker: Breaker::new(&limits::CELL_BREAKER),
        }
    }
}

impl Cell {
    pub(super) fn new(id: CellId, nodes: Vec<Arc<Node>>, standing: Arc<Standing>) -> Self {
        let mut azs: Vec<&Az> = nodes.iter().map(|node| &node.route.az).collect();
        azs.sort_unstable();
        azs.dedup();
        let has_hands = azs.len() < nodes.len();
        let dealt = nodes.iter().filter(|_| has_hands).map(|node| (node.route.az.clone(), node.route.node)).collect();
        Self { id, nodes, dealt, standing }
    }

    /// The nodes that serve an account: one in each AZ. `None` when all do.
    pub(super) fn hand(&self, account: AccountId) -> Option<BTreeMap<Az, NodeId>> {
        (!self.dealt.is_empty()).then(|| shard::nodes_of(account, &self.dealt))
    }

    pub(super) fn standing(&self) -> Arc<Standing> {
        Arc::clone(&self.standing)
    }

    /// The cell's retries.
    pub fn budget(&self) -> &Budget {
        &self.standing.budget
    }

    /// What of its accounts' requests it has taken lately, where it has refused some.
    pub fn throttle(&self) -> &Throttle {
        &self.standing.throttle
    }

    /// Takes a share of the cell for one request of an account.
    ///
    /// # Errors
    /// When there is none: the request is to be refused, never queued.
    pub fn enter(&self, account: AccountId, now: Instant) -> Result<Share, Refused> {
        let part = self.standing.slots_of.take(account, 1).ok_or(Refused::Full)?;
        let slot = Arc::clone(&self.standing.slots).try_acquire_owned().map_err(|_| Refused::Full)?;
        let trial = match self.standing.breaker.pass(now).ok_or(Refused::Away)? {
            Pass::Free => None,
            pass @ Pass::Trial(_) => Some((self.standing(), pass)),
        };
        Ok(Share { _slot: slot, _part: part, trial })
    }

    /// Takes memory for a body of an account, when the cell's share and the account's part of it have as much.
    pub fn hold(&self, account: AccountId, bytes: u64) -> Option<Hold> {
        let part = self.standing.held_bytes_of.take(account, bytes)?;
        let permits = u32::try_from(bytes).ok()?;
        let bytes = Arc::clone(&self.standing.held_bytes).try_acquire_many_owned(permits).ok()?;
        Some(Hold { _bytes: bytes, _part: part })
    }

    /// Whether its breaker would let a request through.
    pub fn admits(&self, now: Instant) -> bool {
        self.standing.breaker.admits(now)
    }

    /// It has answered, whatever it said.
    pub fn answered(&self, node: &Node, now: Instant) {
        self.tell(Some(node), node.breaker.answered(now));
        self.tell(None, self.standing.breaker.answered(now));
    }

    /// A try ended without an answer, or its answer broke off.
    pub fn failed(&self, node: &Node, now: Instant) {
        self.tell(Some(node), node.breaker.failed(now));
        self.tell(None, self.standing.breaker.failed(now));
    }

    /// There is proof that a node is not well.
    pub fn trip(&self, node: &Node, why: Why, now: Instant) {
        self.tell(Some(node), node.breaker.trip(why, now));
    }

    /// A probe of a node has ended.
    pub fn probed(&self, node: &Node, answered: bool, now: Instant) {
        self.tell(Some(node), node.breaker.probed(answered, now));
    }

    /// Opens its own breaker when all nodes are left alone because they do not answer, and tries it again when one does.
    pub(super) fn judge(&self, now: Instant) {
        let gone = |node: &Arc<Node>| match node.breaker.circuit() {
            Circuit::Open { why: Why::Unreachable | Why::Silent | Why::Failing, .. } => true,
            Circuit::Open { why: Why::Slow, .. } | Circuit::Closed { .. } | Circuit::HalfOpen { .. } => false,
        };
        let all_gone = !self.nodes.is_empty() && self.nodes.iter().all(gone);
        let breaker = &self.standing.breaker;
        match breaker.circuit() {
            Circuit::Closed { .. } if all_gone => self.tell(None, breaker.trip(Why::Silent, now)),
            Circuit::Open { until, .. } if now >= until => self.tell(None, breaker.probed(!all_gone, now)),
            // Its requests may take long, or nobody may come: its nodes' answers speak for it, too.
            Circuit::HalfOpen { .. } if !all_gone => self.tell(None, breaker.probed(true, now)),
            Circuit::Closed { .. } | Circuit::Open { .. } | Circuit::HalfOpen { .. } => {}
        }
    }

    /// Says what became of a breaker: a node's, or the cell's own.
    fn tell(&self, node: Option<&Node>, change: Option<(Circuit, Circuit)>) {
        let Some((before, after)) = change else { return };
        let cell = self.id.as_str().to_owned();
        let of = node.map_or_else(|| "cell".to_owned(), |node| node.route.node.to_string());
        let why = match after {
            Circuit::Open { why, .. } | Circuit::HalfOpen { why, .. } => why.name(),
            Circuit::Closed { .. } => "",
        };
        let (from, to) = (before.name(), after.name());
        tracing::warn!(cell, node = of, from, to, why, "a breaker moved");
        metrics::counter!("breaker_moves", "cell" => cell.clone(), "node" => of.clone(), "to" => to, "why" => why)
            .increment(1);
        let open = match after {
            Circuit::Closed { .. } => 0.0,
            Circuit::HalfOpen { .. } => 0.5,
            Circuit::Open { .. } => 1.0,
        };
        metrics::gauge!("breaker_open", "cell" => cell, "node" => of).set(open);
    }

    pub(super) fn leader(&self) -> u64 {
        self.standing.leader.load(Ordering::Relaxed)
    }

    /// Takes a node's word on whether it leads from the headers of its answer.
    pub fn hear(&self, node: NodeId, answer: &HeaderMap) {
        let Some(word) = answer.get(headers::NODE).and_then(|value| value.to_str().ok()) else { return };
        let leads = word.ends_with(" leader");
        let leader = &self.standing.leader;
        if leads {
            leader.store(node.0, Ordering::Relaxed);
        } else {
            self.forget_leader(node);
        }
    }

    /// The node no longer leads, as far as can be told.
    pub fn forget_leader(&self, node: NodeId) {
        // It fails when another node is thought to lead, and that stays so.
        let _ = self.standing.leader.compare_exchange(node.0, NOBODY, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: u64 = limits::REPLAY_BODY_BYTES_MAX;

    fn cell(env: &Env, name: &str) -> Cell {
        Cell::new(name.parse().expect("a label"), Vec::new(), Arc::new(Standing::new(env)))
    }

    fn account(n: u64) -> AccountId {
        AccountId::new(AccountId::FIRST + n).expect("in range")
    }

    #[tokio::test]
    async fn however_many_ask_for_one_cell_there_is_room_for_another() {
        let env = Env::for_tests(1);
        let (now, router) = (env.clock.now(), Arc::new(Semaphore::new(limits::IN_FLIGHT_MAX)));
        let (sick, well) = (cell(&env, "c1"), cell(&env, "c2"));
        let enter = |cell: &Cell, n: u64| {
            Some((cell.enter(account(n % 3), now).ok()?, Arc::clone(&router).try_acquire_owned().ok()?))
        };
        let hanging: Vec<_> = (0..5000).filter_map(|n| enter(&sick, n)).collect();
        assert_eq!(hanging.len(), limits::IN_FLIGHT_PER_CELL_MAX);
        assert_eq!(sick.enter(account(9), now).map(drop), Err(Refused::Full));
        let served: Vec<_> = (0..5000).filter_map(|n| enter(&well, n)).collect();
        assert_eq!(served.len(), limits::IN_FLIGHT_PER_CELL_MAX);
        let bodies: Vec<_> = (0..5000).filter_map(|n| sick.hold(account(n % 3), BODY)).collect();
        assert_eq!(bodies.len() * BODY as usize, limits::HELD_BYTES_PER_CELL_MAX);
        assert!(well.hold(account(0), BODY).is_some());
    }

    #[tokio::test]
    async fn however_much_one_account_asks_for_there_is_room_for_another_of_its_cell() {
        let env = Env::for_tests(1);
        let (now, cell) = (env.clock.now(), cell(&env, "c1"));
        let greedy: Vec<Share> = (0..5000).filter_map(|_| cell.enter(account(0), now).ok()).collect();
        assert_eq!(greedy.len() as u64, limits::IN_FLIGHT_PER_ACCOUNT_MAX);
        let bodies: Vec<Hold> = (0..5000).filter_map(|_| cell.hold(account(0), BODY)).collect();
        assert_eq!(bodies.len() as u64 * BODY, limits::HELD_BYTES_PER_ACCOUNT_MAX);
        assert!(cell.enter(account(1), now).is_ok() && cell.hold(account(1), BODY).is_some());
        drop((greedy, bodies));
        assert!(cell.enter(account(0), now).is_ok() && cell.hold(account(0), BODY).is_some());
    }

    #[tokio::test]
    async fn a_request_that_a_cell_on_trial_lets_in_makes_room_when_it_ends() {
        let env = Env::for_tests(1);
        let (now, cell) = (env.clock.now(), cell(&env, "c1"));
        cell.standing.breaker.trip(Why::Silent, now);
        assert_eq!(cell.enter(account(0), now).map(drop), Err(Refused::Away));
        cell.standing.breaker.probed(true, now);
        let trials: Vec<Share> = std::iter::from_fn(|| cell.enter(account(0), now).ok()).take(5000).collect();
        assert_eq!(trials.len(), limits::CELL_BREAKER.trials_first as usize);
        drop(trials);
        assert!(cell.enter(account(0), now).is_ok());
    }

    #[tokio::test]
    async fn a_cell_whose_trials_are_long_uploads_comes_back_by_what_its_nodes_answer() {
        let env = Env::for_tests(1);
        let (begin, cell) = (env.clock.now(), cell(&env, "c1"));
        cell.standing.breaker.trip(Why::Silent, begin);
        cell.standing.breaker.probed(true, begin);
        let uploads: Vec<Share> = std::iter::from_fn(|| cell.enter(account(0), begin).ok()).take(5000).collect();
        let back = (1..=12).map(|n| begin + limits::JUDGE_EVERY * n).find(|now| {
            cell.judge(*now);
            cell.standing.breaker.circuit() == Circuit::CALM
        });
        assert!(back.is_some_and(|now| now >= begin + limits::CELL_BREAKER.ramp), "{back:?}");
        drop(uploads);
    }
}

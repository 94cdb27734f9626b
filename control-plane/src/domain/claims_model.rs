//! Claims of one bucket name, checked in every state that races, crashes, delays, losses and repetitions can lead to.
//!
//! The directory decides with [`super::claims`] and cells with [`bulkhead_model::fence`], as the real ones do. The adversary is as strong
//! as can be: whatever was once sent may arrive at any later time, any number of times, or never. A process that crashes between two
//! steps is one whose next message is never sent; one that stalls is one whose message arrives late.
//!
//! Each [`Bug`] is a mistake that somebody could make in this protocol; the checker must find it.

use super::claims::{self, Held, Verdict};
use bulkhead_model::{AccountId, ClaimId, fence};
use stateright::{Checker as _, Model, Property};
use std::collections::BTreeSet;

/// Claims given in one run. With three, a name goes from one account to the other and back.
const CLAIMS_MAX: u64 = 3;

fn account(n: usize) -> AccountId {
    AccountId::new(AccountId::FIRST + n as u64).expect("in range")
}

/// What the directory has of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Name {
    owner: usize,
    claim: ClaimId,
    committed: bool,
}

impl Name {
    fn held(self) -> Held {
        Held { account: account(self.owner), claim: self.claim }
    }
}

/// What a cell has of the name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Cell {
    bucket: Option<(usize, ClaimId)>,
    fence: Option<ClaimId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Message {
    /// `CreateBucket` of an account, on its way to the account's cell.
    Create(usize, ClaimId),
    /// What the reconciler asks the cell of the account that has a pending claim.
    Settle(usize, ClaimId),
    /// To the directory: out of a cell's outbox, of a creator whose claim was refused, or what the reconciler was answered.
    Release(ClaimId),
    Commit(ClaimId),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    name: Option<Name>,
    last_claim: ClaimId,
    cells: [Cell; 2],
    /// Everything that was ever sent.
    sent: BTreeSet<Message>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// A creator asks the directory for the name.
    Claim(usize),
    /// The owner deletes its bucket.
    Delete(usize),
    /// The reconciler reads a pending claim.
    Read,
    Deliver(Message),
}

/// One mistake each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// A pending claim is released because time has passed, without asking the cell.
    ReleasesByTimeout,
    /// The cell says that a claim has no bucket and would still create one under it.
    SettlesWithoutFence,
    /// The fence is what was last given up, not the highest.
    LowersTheFence,
    /// The fence lets the very claim pass that was given up.
    FencesOneTooFew,
    /// A deleted bucket's claim is not fenced: a repetition of its creation brings it back.
    DeletesWithoutFence,
    /// The name is released before the bucket is gone.
    ReleasesBeforeDeleting,
    /// A release frees the name whoever holds it now.
    ReleasesAnyClaim,
    /// A commit confirms whatever claim is pending now.
    CommitsAnyClaim,
    /// Another account's pending claim is given to whoever asks.
    GivesPendingAway,
    /// A claim's id is used again once the name is free.
    ReusesIds,
    /// A cell refuses to create under a claim and leaves it pending; nobody settles those that are committed.
    CommitsWhatIsAbsent,
}

const BUGS: [Bug; 11] = [
    Bug::ReleasesByTimeout,
    Bug::SettlesWithoutFence,
    Bug::LowersTheFence,
    Bug::FencesOneTooFew,
    Bug::DeletesWithoutFence,
    Bug::ReleasesBeforeDeleting,
    Bug::ReleasesAnyClaim,
    Bug::CommitsAnyClaim,
    Bug::GivesPendingAway,
    Bug::ReusesIds,
    Bug::CommitsWhatIsAbsent,
];

/// Two accounts that want one name.
#[derive(Debug, Clone, Copy)]
struct Claims {
    /// The cell of each account.
    cell_of: [usize; 2],
    bug: Option<Bug>,
}

impl Claims {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn claim(&self, state: &mut State, n: usize) {
        let stolen =
            self.has(Bug::GivesPendingAway) && state.name.is_some_and(|name| !name.committed && name.owner != n);
        let held = if stolen { None } else { state.name.map(Name::held) };
        let claim = match claims::claim(held, account(n)) {
            Verdict::Taken => return,
            Verdict::Repeated(claim) => claim,
            Verdict::Granted if state.last_claim.0 >= CLAIMS_MAX => return,
            Verdict::Granted => {
                if !(self.has(Bug::ReusesIds) && state.last_claim > ClaimId(0)) {
                    state.last_claim.0 += 1;
                }
                state.name = Some(Name { owner: n, claim: state.last_claim, committed: false });
                state.last_claim
            }
        };
        state.sent.insert(Message::Create(n, claim));
    }

    fn create(&self, state: &mut State, n: usize, claim: ClaimId) {
        let cell = &mut state.cells[self.cell_of[n]];
        if cell.bucket.is_some() {
            return;
        }
        let exactly = self.has(Bug::FencesOneTooFew) && cell.fence == Some(claim);
        if fence::admits(cell.fence, claim) || exactly {
            cell.bucket = Some((n, claim));
        } else {
            // The creator gives up what is left of the claim before it asks for a new one.
            state.sent.insert(Message::Release(claim));
        }
    }

    fn delete(&self, state: &mut State, n: usize) {
        let cell = &mut state.cells[self.cell_of[n]];
        let Some((_, claim)) = cell.bucket.filter(|(owner, _)| *owner == n) else { return };
        state.sent.insert(Message::Release(claim));
        if self.has(Bug::ReleasesBeforeDeleting) {
            return;
        }
        cell.bucket = None;
        if !self.has(Bug::DeletesWithoutFence) {
            cell.fence = Some(claim);
        }
    }

    fn settle(&self, state: &mut State, n: usize, claim: ClaimId) {
        let cell = &mut state.cells[self.cell_of[n]];
        let exists = cell.bucket.is_some_and(|(_, has)| has == claim);
        if !exists && !self.has(Bug::SettlesWithoutFence) {
            let before = if self.has(Bug::LowersTheFence) { None } else { cell.fence };
            cell.fence = Some(fence::raised(before, claim));
        }
        let commit = exists || self.has(Bug::CommitsWhatIsAbsent);
        state.sent.insert(if commit { Message::Commit(claim) } else { Message::Release(claim) });
    }

    fn deliver(&self, state: &mut State, message: Message) {
        let concerns = |name: Option<Name>, claim| claims::concerns(name.map(Name::held), claim);
        match message {
            Message::Create(n, claim) => self.create(state, n, claim),
            Message::Settle(n, claim) => self.settle(state, n, claim),
            Message::Release(claim) => {
                if concerns(state.name, claim) || self.has(Bug::ReleasesAnyClaim) {
                    state.name = None;
                }
            }
            Message::Commit(claim) => {
                if let Some(name) = state.name.as_mut()
                    && (claims::concerns(Some(name.held()), claim) || self.has(Bug::CommitsAnyClaim))
                {
                    name.committed = true;
                }
            }
        }
    }

    /// The state once the network is quiet and the reconciler has made its passes: nothing new is claimed, created or deleted.
    fn settled(&self, state: &State) -> State {
        let mut state = state.clone();
        // A release that a cell's outbox holds is repeated until it is heard.
        let releases = state.sent.iter().copied().filter(|message| matches!(message, Message::Release(_)));
        for release in releases.collect::<Vec<_>>() {
            self.deliver(&mut state, release);
        }
        if let Some(pending) = state.name.filter(|name| !name.committed) {
            let before = state.sent.clone();
            self.settle(&mut state, pending.owner, pending.claim);
            for answer in state.sent.difference(&before).copied().collect::<Vec<_>>() {
                self.deliver(&mut state, answer);
            }
            // The answer may have been given once before.
            let exists = state.cells[self.cell_of[pending.owner]].bucket.is_some_and(|(_, has)| has == pending.claim);
            let again = if exists { Message::Commit(pending.claim) } else { Message::Release(pending.claim) };
            if before.contains(&again) {
                self.deliver(&mut state, again);
            }
        }
        state
    }
}

/// Every bucket there is has its name: the directory holds the account and the claim it was created under.
fn every_bucket_has_its_name(_: &Claims, state: &State) -> bool {
    state
        .cells
        .iter()
        .filter_map(|cell| cell.bucket)
        .all(|(owner, claim)| state.name.is_some_and(|name| name.owner == owner && name.claim == claim))
}

fn a_bucket_is_above_its_fence(_: &Claims, state: &State) -> bool {
    state.cells.iter().all(|cell| cell.bucket.is_none_or(|(_, claim)| fence::admits(cell.fence, claim)))
}

/// However it came to be, settling confirms the bucket or frees the name.
fn no_name_is_lost(model: &Claims, state: &State) -> bool {
    let settled = model.settled(state);
    let exists = settled.cells.iter().any(|cell| cell.bucket.is_some());
    settled.name.map(|name| name.committed) == exists.then_some(true)
}

fn both_have_had_it(_: &Claims, state: &State) -> bool {
    let asked = |n| state.sent.iter().any(|message| matches!(message, Message::Create(who, _) if *who == n));
    let bucket = state.cells.iter().find_map(|cell| cell.bucket);
    bucket.is_some_and(|(owner, _)| asked(1 - owner)) && state.last_claim == ClaimId(CLAIMS_MAX)
}

fn a_bucket_is_confirmed(_: &Claims, state: &State) -> bool {
    state.name.is_some_and(|name| name.committed) && state.cells.iter().any(|cell| cell.bucket.is_some())
}

impl Model for Claims {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State { name: None, last_claim: ClaimId(0), cells: [Cell::default(); 2], sent: BTreeSet::new() }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for n in 0..2 {
            actions.extend([Action::Claim(n), Action::Delete(n)]);
        }
        actions.push(Action::Read);
        actions.extend(state.sent.iter().copied().map(Action::Deliver));
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Claim(n) => self.claim(&mut state, n),
            Action::Delete(n) => self.delete(&mut state, n),
            Action::Read => {
                let pending = state.name.filter(|name| !name.committed)?;
                let Name { owner, claim, .. } = pending;
                let timeout = self.has(Bug::ReleasesByTimeout);
                state.sent.insert(if timeout { Message::Release(claim) } else { Message::Settle(owner, claim) });
            }
            Action::Deliver(message) => self.deliver(&mut state, message),
        }
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("every bucket has its name", every_bucket_has_its_name),
            Property::always("a bucket is above its fence", a_bucket_is_above_its_fence),
            Property::always("no name is lost", no_name_is_lost),
            Property::sometimes("a bucket is confirmed", a_bucket_is_confirmed),
            Property::sometimes("both have had it", both_have_had_it),
        ]
    }
}

/// Accounts of two cells, and two accounts of one.
const PLACES: [[usize; 2]; 2] = [[0, 1], [0, 0]];

#[test]
fn no_interleaving_gives_a_name_two_owners_or_loses_it() {
    for cell_of in PLACES {
        let checked = Claims { cell_of, bug: None }.checker().spawn_bfs().join();
        assert!(
            checked.unique_state_count() > 1_000,
            "only {} states: the model is cut off",
            checked.unique_state_count()
        );
        checked.assert_properties();
    }
}

#[test]
fn every_bug_of_the_protocol_is_found() {
    for bug in BUGS {
        let found = PLACES.iter().any(|&cell_of| {
            let checked = Claims { cell_of, bug: Some(bug) }.checker().spawn_bfs().join();
            let always = ["every bucket has its name", "a bucket is above its fence", "no name is lost"];
            always.into_iter().any(|property| checked.discovery(property).is_some())
        });
        assert!(found, "{bug:?} was not found");
    }
}

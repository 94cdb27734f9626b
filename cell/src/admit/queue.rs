//! Whose turn it is: requests that wait, in queues by account, taken by deficit round robin. Pure.
//!
//! - An account has a hand of [`QUEUE_HAND`] of the [`QUEUES`] queues, dealt by a hash with a fixed key, and joins the shortest. Two accounts
//!   have the same hand with a probability of 7·10⁻¹³; that eight busy accounts cover all of a ninth's is less than 1 in 1,800.
//! - In a round every queue may spend [`QUEUE_QUANTUM`] units. A request is charged its cost, divided by its account's weight and
//!   multiplied by the number of queues its account waits in: whatever an account does, it spends its weight's share.
//! - A queue that was empty begins its round at the front, so an account that asks seldom waits for nobody's backlog.
//! - Everything is bounded. When all queues together are full, the newest of the longest makes room, never one of a shorter. Pieces of requests
//!   that have begun are counted by themselves: however many wait, there is room for new requests.
//! - In its queue such a piece goes before what has not begun: a request of many pieces would wait as long for each of them, and hold memory
//!   meanwhile.

use crate::limits::{QUEUE_HAND, QUEUE_LENGTH_MAX, QUEUE_QUANTUM, QUEUED_MAX, QUEUES, WEIGHT_NORMAL};
use bulkhead_model::AccountId;
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, VecDeque};

const NORMAL: u64 = WEIGHT_NORMAL as u64;
/// A round's credit.
const QUANTUM: u64 = QUEUE_QUANTUM * NORMAL;

/// What a request says of itself when it is to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub account: AccountId,
    /// [`WEIGHT_NORMAL`] counts once.
    pub weight: u32,
    /// Units.
    pub cost: u64,
    pub begun: Begun,
}

/// Whether some of a request was executed already. Such a one finds room where others find none, and takes none of theirs; how many there are
/// is bounded by the memory for bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    No,
    Yes,
}

/// Where a request waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    queue: usize,
    number: u64,
}

/// Whether a request may begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    Enough,
    /// There is, but it waited too long: at its turn it is taken out, and its queue pays nothing for it.
    Late,
    /// Not for this account: others may go first.
    AccountFull,
    /// For nobody: it keeps its turn, once it has one.
    Full,
}

/// What became of a request that wants to wait.
#[derive(Debug)]
pub enum Joined<T> {
    Waits(Ticket),
    /// It waits, and a request of the longest queue has to go.
    Instead(Ticket, T),
    /// All queues of its hand are full, or no queue is longer than its own.
    Refused(T),
}

struct Entry<T> {
    claim: Claim,
    number: u64,
    what: T,
}

struct Queue<T> {
    entries: VecDeque<Entry<T>>,
    /// What may still be spent in this round, in parts of a unit of which [`WEIGHT_NORMAL`] make one.
    credit: u64,
    /// The round in which it was given its credit.
    round: u64,
    /// Of its entries, those of requests that have begun.
    begun: usize,
}

impl<T> Queue<T> {
    /// Entries of requests that have not begun.
    fn fresh(&self) -> usize {
        self.entries.len() - self.begun
    }

    /// No more of such are taken.
    fn is_full(&self, begun: Begun) -> bool {
        match begun {
            Begun::No => self.fresh() >= QUEUE_LENGTH_MAX,
            Begun::Yes => self.begun >= QUEUE_LENGTH_MAX * 2,
        }
    }
}

/// The queues. `T` is told when its turn has come.
pub struct FairQueue<T> {
    queues: Vec<Queue<T>>,
    /// How many requests of an account wait in which queues. Only of accounts that wait.
    waiting: HashMap<AccountId, Vec<(usize, usize)>>,
    /// Queues that are not empty, the next first.
    turns: VecDeque<usize>,
    round: u64,
    len: usize,
    /// Of these, pieces of requests that have begun.
    begun: usize,
    next: u64,
}

/// The queues of an account. Frozen: another hand would change who can be in whose way.
pub fn hand(account: AccountId) -> [usize; QUEUE_HAND] {
    let digest =
        Sha256::new().chain_update(b"bulkhead queues 1").chain_update(account.value().to_le_bytes()).finalize();
    let mut dealer = u128::from_le_bytes(digest[..16].try_into().expect("a digest has 32 bytes"));
    let mut deck: [usize; QUEUES] = std::array::from_fn(|queue| queue);
    std::array::from_fn(|at| {
        let left = (QUEUES - at) as u128;
        let drawn = at + usize::try_from(dealer % left).expect("less than the deck");
        dealer /= left;
        deck.swap(at, drawn);
        deck[at]
    })
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        let queue = |_| Queue { entries: VecDeque::new(), credit: 0, round: 0, begun: 0 };
        Self {
            queues: (0..QUEUES).map(queue).collect(),
            waiting: HashMap::new(),
            turns: VecDeque::with_capacity(QUEUES),
            round: 1,
            len: 0,
            begun: 0,
            next: 0,
        }
    }
}

impl<T> FairQueue<T> {
    /// Requests that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lets a request wait behind those of its queue, or a piece of one that has begun before those that have not. `hand` is that of its account.
    pub fn join(&mut self, claim: Claim, hand: &[usize; QUEUE_HAND], what: T) -> Joined<T> {
        let of = |queue: &&usize| {
            let queue = &self.queues[**queue];
            let before = if claim.begun == Begun::Yes { queue.begun } else { queue.entries.len() };
            (queue.is_full(claim.begun), before)
        };
        let queue = *hand.iter().min_by_key(of).expect("a hand is not empty");
        if self.queues[queue].is_full(claim.begun) {
            return Joined::Refused(what);
        }
        let in_all = match claim.begun {
            Begun::No => self.len - self.begun,
            Begun::Yes => self.begun,
        };
        if in_all < QUEUED_MAX {
            return Joined::Waits(self.push(queue, claim, what));
        }
        let gone = match claim.begun {
            Begun::No => self.newest_of_the_longest(self.queues[queue].fresh() + 1),
            Begun::Yes => None,
        };
        match gone {
            Some(gone) => Joined::Instead(self.push(queue, claim, what), gone.what),
            None => Joined::Refused(what),
        }
    }

    /// Takes out a request that has not begun, of the queue with most of such if it has more than `length`.
    fn newest_of_the_longest(&mut self, length: usize) -> Option<Entry<T>> {
        let longest = (0..QUEUES).max_by_key(|queue| self.queues[*queue].fresh())?;
        if self.queues[longest].fresh() <= length {
            return None;
        }
        let newest = self.queues[longest].entries.iter().rposition(|entry| entry.claim.begun == Begun::No)?;
        self.take(longest, newest)
    }

    fn push(&mut self, queue: usize, claim: Claim, what: T) -> Ticket {
        let number = self.next;
        self.next += 1;
        self.len += 1;
        let begun = usize::from(claim.begun == Begun::Yes);
        self.begun += begun;
        let places = self.waiting.entry(claim.account).or_default();
        match places.iter_mut().find(|(place, _)| *place == queue) {
            Some((_, count)) => *count += 1,
            None => places.push((queue, 1)),
        }
        let joined = &mut self.queues[queue];
        if joined.entries.is_empty() {
            if joined.round != self.round {
                (joined.round, joined.credit) = (self.round, QUANTUM);
            }
            self.turns.push_front(queue);
        }
        let at = if claim.begun == Begun::Yes { joined.begun } else { joined.entries.len() };
        joined.begun += begun;
        joined.entries.insert(at, Entry { claim, number, what });
        Ticket { queue, number }
    }

    /// Forgets a request that waits no more. `None` when its turn had come.
    pub fn leave(&mut self, ticket: Ticket) -> Option<T> {
        let at = self.queues[ticket.queue].entries.iter().position(|entry| entry.number == ticket.number)?;
        self.take(ticket.queue, at).map(|entry| entry.what)
    }

    fn take(&mut self, queue: usize, at: usize) -> Option<Entry<T>> {
        let entry = self.queues[queue].entries.remove(at)?;
        let begun = usize::from(entry.claim.begun == Begun::Yes);
        self.queues[queue].begun -= begun;
        self.begun -= begun;
        self.len -= 1;
        if self.queues[queue].entries.is_empty() {
            self.turns.retain(|turn| *turn != queue);
        }
        if let Some(places) = self.waiting.get_mut(&entry.claim.account) {
            places.iter_mut().filter(|(place, _)| *place == queue).for_each(|(_, count)| *count -= 1);
            places.retain(|(_, count)| *count > 0);
            if places.is_empty() {
                self.waiting.remove(&entry.claim.account);
            }
        }
        Some(entry)
    }

    /// The request whose turn it is, if there is room for it, or if it is [`Room::Late`].
    ///
    /// One that finds no room keeps others waiting only when it has its turn: a large one that its queue cannot pay for yet, or whose account
    /// has its share, is in nobody's way. Ends after two walks at most: the second comes after so many rounds that one queue which lacked credit
    /// has enough for its head, and whatever room there is for that, it ends the walk.
    pub fn next(&mut self, room: impl Fn(&Claim, &T) -> Room) -> Option<(Claim, T)> {
        loop {
            // Rounds until the first of those that lack credit has enough.
            let mut lacking = u64::MAX;
            for _ in 0..self.turns.len() {
                let queue = *self.turns.front()?;
                let head = self.queues[queue].entries.front()?;
                let (charge, credit) = (self.charge(&head.claim), self.queues[queue].credit);
                match room(&head.claim, &head.what) {
                    Room::AccountFull => {}
                    Room::Enough | Room::Late | Room::Full if charge > credit => {
                        lacking = lacking.min((charge - credit).div_ceil(QUANTUM));
                    }
                    Room::Full => return None,
                    Room::Late => return self.take(queue, 0).map(|entry| (entry.claim, entry.what)),
                    Room::Enough => {
                        self.queues[queue].credit -= charge;
                        return self.take(queue, 0).map(|entry| (entry.claim, entry.what));
                    }
                }
                self.turns.rotate_left(1);
            }
            if lacking == u64::MAX {
                return None;
            }
            self.new_rounds(lacking);
        }
    }

    /// Everyone who waits may spend a quantum for each round; what an idle queue had left is forfeited. A queue whose account has no room saves
    /// no more than its next request needs and a quantum.
    fn new_rounds(&mut self, rounds: u64) {
        self.round += rounds;
        for at in 0..self.turns.len() {
            let queue = self.turns[at];
            let needed = self.queues[queue].entries.front().map_or(0, |head| self.charge(&head.claim));
            let queue = &mut self.queues[queue];
            (queue.round, queue.credit) = (self.round, (queue.credit + rounds * QUANTUM).min(needed + QUANTUM));
        }
    }

    /// What a request takes of its queue's credit.
    fn charge(&self, claim: &Claim) -> u64 {
        let places = self.waiting.get(&claim.account).map_or(1, Vec::len) as u64;
        (claim.cost * places * NORMAL * NORMAL).div_ceil(u64::from(claim.weight.max(1)))
    }
}

#[cfg(test)]
mod tests;

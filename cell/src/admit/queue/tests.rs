//! Whose turn it is, against what fairness promises.

use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

fn account(n: u64) -> AccountId {
    AccountId::new(AccountId::FIRST + n).expect("in range")
}

fn claim(n: u64, cost: u64) -> Claim {
    Claim { account: account(n), weight: WEIGHT_NORMAL, cost, begun: Begun::No }
}

fn anyone<T>(_: &Claim, _: &T) -> Room {
    Room::Enough
}

impl<T> FairQueue<T> {
    fn ask(&mut self, claim: Claim, what: T) -> Joined<T> {
        self.join(claim, &hand(claim.account), what)
    }
}

/// Accounts of whose queues none is another's.
fn strangers(count: usize) -> Vec<AccountId> {
    let (mut taken, mut found) = (HashSet::new(), Vec::new());
    for account in (0..100_000).map(account) {
        if hand(account).iter().all(|queue| !taken.contains(queue)) {
            taken.extend(hand(account));
            found.push(account);
        }
        if found.len() == count {
            break;
        }
    }
    assert_eq!(found.len(), count);
    found
}

#[test]
fn hands_are_frozen_and_no_queue_is_dealt_twice() {
    assert_eq!(hand(account(0)), GOLDEN[0]);
    assert_eq!(hand(account(1)), GOLDEN[1]);
    assert_eq!(hand(AccountId::new(999_999_999_999).expect("in range")), GOLDEN[2]);
    for n in 0..10_000 {
        let dealt: HashSet<_> = hand(account(n)).into_iter().collect();
        assert_eq!(dealt.len(), QUEUE_HAND);
        assert!(dealt.iter().all(|queue| *queue < QUEUES));
    }
}

const GOLDEN: [[usize; QUEUE_HAND]; 3] =
    [[53, 124, 14, 94, 31, 79, 34, 28], [70, 96, 118, 82, 46, 110, 51, 117], [124, 85, 21, 5, 70, 46, 18, 97]];

#[test]
fn every_queue_is_dealt_about_as_often_and_no_two_of_many_accounts_share_all() {
    let mut dealt = [0_usize; QUEUES];
    let mut hands = HashSet::new();
    for n in 0..16_000 {
        let mut hand = hand(account(n));
        hand.iter().for_each(|queue| dealt[*queue] += 1);
        hand.sort_unstable();
        assert!(hands.insert(hand), "two accounts have the same hand");
    }
    assert!(dealt.iter().all(|count| (850..1_150).contains(count)), "{dealt:?}");
}

#[test]
fn one_that_asks_seldom_waits_for_nobodys_backlog() {
    let mut queue = FairQueue::default();
    let two = strangers(2);
    let of = |account, cost| Claim { account, weight: WEIGHT_NORMAL, cost, begun: Begun::No };
    for _ in 0..QUEUE_HAND * QUEUE_LENGTH_MAX {
        assert!(matches!(queue.ask(of(two[0], 4), ()), Joined::Waits(_)));
    }
    assert!(matches!(queue.ask(of(two[0], 4), ()), Joined::Refused(())), "its queues are full");
    for _ in 0..20 {
        queue.next(anyone).expect("waits");
    }
    assert!(matches!(queue.ask(of(two[1], 4), ()), Joined::Waits(_)));
    assert_eq!(queue.next(anyone).map(|(claim, ())| claim.account), Some(two[1]));
}

#[test]
fn an_account_without_room_lets_others_pass_and_no_room_at_all_keeps_the_turn() {
    let mut queue = FairQueue::default();
    let two = strangers(2);
    for account in [two[1], two[0]] {
        let joined = queue.ask(Claim { account, weight: WEIGHT_NORMAL, cost: 4, begun: Begun::No }, ());
        assert!(matches!(joined, Joined::Waits(_)));
    }
    assert!(queue.next(|_, ()| Room::Full).is_none());
    let full = |claim: &Claim, (): &()| if claim.account == two[0] { Room::AccountFull } else { Room::Enough };
    assert_eq!(queue.next(full).map(|(claim, ())| claim.account), Some(two[1]));
    assert!(queue.next(full).is_none());
    assert_eq!(queue.next(anyone).map(|(claim, ())| claim.account), Some(two[0]));
    assert!(queue.is_empty());
}

#[test]
fn a_large_request_that_its_queue_cannot_pay_for_yet_is_in_nobodys_way() {
    let mut queue = FairQueue::default();
    let three = strangers(3);
    let small = |account| Claim { account, weight: WEIGHT_NORMAL, cost: 4, begun: Begun::No };
    // The last that comes to an empty queue is the first to be looked at.
    assert!(matches!(queue.ask(small(three[0]), ()), Joined::Waits(_)));
    assert!(matches!(queue.ask(Claim { cost: 1_000, ..small(three[1]) }, ()), Joined::Waits(_)));
    let no_room_for_large = |claim: &Claim, (): &()| if claim.cost > 4 { Room::Full } else { Room::Enough };
    assert_eq!(queue.next(no_room_for_large).map(|(claim, ())| claim.account), Some(three[0]));
    assert!(queue.next(no_room_for_large).is_none());
    // Now it has saved up enough, and keeps its turn.
    assert!(matches!(queue.ask(small(three[2]), ()), Joined::Waits(_)));
    queue.turns.rotate_left(1);
    assert!(queue.next(no_room_for_large).is_none());
    assert_eq!(queue.next(anyone).map(|(claim, ())| claim.account), Some(three[1]));
}

#[test]
fn one_that_comes_too_late_goes_at_its_turn_and_costs_its_queue_nothing() {
    let mut queue = FairQueue::default();
    let Joined::Waits(ticket) = queue.ask(claim(1, 10), "late") else { panic!("there is room") };
    assert_eq!(queue.next(|_, _| Room::Late).map(|(_, what)| what), Some("late"));
    assert_eq!((queue.len(), queue.queues[ticket.queue].credit), (0, QUANTUM));
}

#[test]
fn pieces_of_requests_that_have_begun_lock_nobody_out() {
    let mut queue = FairQueue::default();
    let mut n = 0;
    while queue.begun < QUEUED_MAX {
        let _ = queue.ask(Claim { begun: Begun::Yes, ..claim(n, 4) }, ());
        n += 1;
    }
    assert!(matches!(queue.ask(Claim { begun: Begun::Yes, ..claim(n, 4) }, ()), Joined::Refused(())));
    for n in 0..100 {
        assert!(matches!(queue.ask(claim(n, 4), ()), Joined::Waits(_)));
    }
    assert_eq!(queue.len(), QUEUED_MAX + 100);
    while queue.next(anyone).is_some() {}
    assert_eq!((queue.len(), queue.begun), (0, 0));
}

#[test]
fn what_has_begun_goes_before_what_has_not_and_in_its_order() {
    let mut queue = FairQueue::default();
    for n in 0..QUEUE_HAND * 20 {
        assert!(matches!(queue.ask(claim(1, 1), n), Joined::Waits(_)));
    }
    let begun = |n: usize| 1_000 + n;
    for n in 0..QUEUE_HAND * 2 {
        assert!(matches!(queue.ask(Claim { begun: Begun::Yes, ..claim(1, 1) }, begun(n)), Joined::Waits(_)));
    }
    let mut taken = Vec::new();
    while let Some((_, what)) = queue.next(anyone) {
        taken.push(what);
    }
    assert_eq!(taken.len(), QUEUE_HAND * 22);
    // Queues take turns of some pieces each: in each queue what has begun came first.
    let fresh_of = |queue: usize| taken.iter().position(|what| *what == queue).expect("taken");
    for queue in 0..QUEUE_HAND {
        let at = |n: usize| taken.iter().position(|what| *what == begun(n)).expect("taken");
        assert!(at(queue) < at(queue + QUEUE_HAND) && at(queue + QUEUE_HAND) < fresh_of(queue), "{taken:?}");
    }
}

#[test]
fn who_leaves_is_forgotten_once() {
    let mut queue = FairQueue::default();
    let Joined::Waits(ticket) = queue.ask(claim(1, 4), "a") else { panic!("there is room") };
    assert_eq!(queue.leave(ticket), Some("a"));
    assert_eq!(queue.leave(ticket), None);
    assert!(queue.next(anyone).is_none() && queue.waiting.is_empty());
}

#[test]
fn when_all_is_full_the_longest_queue_makes_room() {
    let mut queue = FairQueue::default();
    let mut n = 0;
    while queue.len() < QUEUED_MAX {
        // The busy fill their hands; there are many of them.
        let _ = queue.ask(claim(n % 6, 4), n);
        n += 1;
    }
    let quiet = (6..10_000).find(|n| hand(account(*n)).iter().any(|at| queue.queues[*at].entries.len() < 8));
    let quiet = quiet.expect("some queue is short");
    let longest = queue.queues.iter().map(|queue| queue.entries.len()).max();
    match queue.ask(claim(quiet, 4), n) {
        Joined::Instead(_, gone) => assert_ne!(gone, n, "not the one that came"),
        other => panic!("{other:?}, and the longest queue has {longest:?}"),
    }
    assert_eq!(queue.len(), QUEUED_MAX);
}

#[derive(Debug, Clone)]
enum Step {
    Join { account: u64, cost: u64 },
    Next,
    Leave(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u64..12, 1_u64..200).prop_map(|(account, cost)| Step::Join { account, cost }),
        2 => Just(Step::Next),
        1 => any::<usize>().prop_map(Step::Leave),
    ]
}

proptest! {
    /// Nothing is lost, nothing comes twice, and whoever waits comes.
    #[test]
    fn as_a_bag_does(steps in prop::collection::vec(step(), 1..400)) {
        let (mut queue, mut model) = (FairQueue::default(), Vec::<(Ticket, Claim, usize)>::new());
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Join { account, cost } => {
                    let claim = claim(account, cost);
                    match queue.ask(claim, at) {
                        Joined::Waits(ticket) => model.push((ticket, claim, at)),
                        Joined::Instead(..) | Joined::Refused(_) => prop_assert!(false, "there is room"),
                    }
                }
                Step::Next => match queue.next(anyone) {
                    None => prop_assert!(model.is_empty()),
                    Some((claim, what)) => {
                        let found = model.iter().position(|(_, other, at)| (*other, *at) == (claim, what));
                        prop_assert!(found.is_some());
                        model.remove(found.expect("just seen"));
                    }
                },
                Step::Leave(pick) if !model.is_empty() => {
                    let (ticket, _, what) = model.swap_remove(pick % model.len());
                    prop_assert_eq!(queue.leave(ticket), Some(what));
                }
                Step::Leave(_) => {}
            }
            prop_assert_eq!(queue.len(), model.len());
            let waiting: usize = queue.waiting.values().flatten().map(|(_, count)| count).sum();
            prop_assert_eq!(waiting, model.len());
        }
    }

    /// An account with a backlog gets its weight's share, to within a round and one request of each, whatever the others' costs are and
    /// however many queues they fill.
    #[test]
    fn a_backlog_gets_its_weights_share(
        shapes in prop::collection::vec((1_u32..=4, 1_u64..=40, 1_usize..=100), 2..=5),
        turns in 200_usize..2_000,
    ) {
        let accounts = strangers(shapes.len());
        let mut queue = FairQueue::default();
        let claims: Vec<_> = accounts.iter().zip(&shapes).map(|(account, (weight, cost, _))| {
            Claim { account: *account, weight: WEIGHT_NORMAL * weight, cost: *cost, begun: Begun::No }
        }).collect();
        for (claim, (_, _, depth)) in claims.iter().zip(&shapes) {
            for _ in 0..*depth {
                prop_assert!(matches!(queue.ask(*claim, ()), Joined::Waits(_)));
            }
        }
        let mut spent = vec![0_u64; claims.len()];
        for _ in 0..turns {
            let (claim, ()) = queue.next(anyone).expect("there is always a backlog");
            let of = claims.iter().position(|other| *other == claim).expect("known");
            spent[of] += claim.cost;
            prop_assert!(matches!(queue.ask(claim, ()), Joined::Waits(_)));
        }
        // In quanta: what each has spent by its weight, and by how much it may be off.
        let share = |at: usize| spent[at] as f64 / f64::from(shapes[at].0);
        let slack = |at: usize| 2.0 * (QUEUE_QUANTUM as f64 + (shapes[at].1 * QUEUE_HAND as u64) as f64);
        for one in 0..claims.len() {
            for other in 0..claims.len() {
                let (ahead, bound) = (share(one) - share(other), slack(one) + slack(other));
                prop_assert!(ahead <= bound, "{one} is {ahead} ahead of {other}, and may be {bound}: {spent:?}");
            }
        }
    }
}

//! Who is let in, who waits, who is refused; in virtual time.

use super::*;
use crate::{
    admit::Pass,
    limits::{
        COST_HELD_MAX, LIMIT_FIRST, LIMIT_MIN, QUEUE_AGE_BUSY, QUEUE_HAND, QUEUE_LENGTH_MAX, QUEUE_QUANTUM,
        QUEUE_STANDS_AFTER, QUEUED_MAX, WEIGHT_NORMAL,
    },
};
use bulkhead_service::Env;
use futures::{FutureExt as _, future::join_all, poll};
use std::{pin::pin, task::Poll};
use tokio::{task::JoinSet, time::sleep};

const LONG: Duration = Duration::from_secs(60);

fn gate() -> Admission {
    Admission::new(Env::for_tests(1).clock, true)
}

fn ask(gate: &Admission, account: u64, cost: u64) -> Ask {
    Ask {
        account: AccountId::new(AccountId::FIRST + account).expect("in range"),
        weight: WEIGHT_NORMAL,
        class: Class::Write,
        cost: Cost::units_of(cost),
        begun: Begun::No,
        deadline: gate.now() + LONG,
    }
}

/// Takes all that one account may have.
async fn fill(gate: &Admission, account: u64) -> Vec<Held> {
    let mut held = Vec::new();
    while let Some(Ok(one)) = gate.enter(ask(gate, account, 4)).now_or_never() {
        held.push(one);
    }
    held
}

#[tokio::test(start_paused = true)]
async fn what_is_executed_holds_its_cost_and_gives_it_back_however_it_ends() {
    let gate = gate();
    let one = gate.enter(ask(&gate, 1, 10)).await.expect("room");
    let other = gate.enter(ask(&gate, 2, 1_000_000)).await.expect("room");
    assert_eq!(gate.load().held, 10 + COST_HELD_MAX);
    drop(one);
    drop(other);
    let never = gate.enter(ask(&gate, 1, 4));
    drop(never);
    assert_eq!((gate.load().held, gate.load().queued), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_busy_account_leaves_room_for_one_that_is_not() {
    let gate = gate();
    let held = fill(&gate, 1).await;
    assert_eq!(gate.load().held, LIMIT_FIRST * ACCOUNT_SHARE_PERCENT / 100);
    // All of them fit together what the account may have.
    let backlog: Vec<_> = (0..LIMIT_MIN / 4).map(|_| Box::pin(gate.enter(ask(&gate, 1, 4)))).collect();
    let mut backlog = join_all(backlog);
    assert!(poll!(&mut backlog).is_pending());
    assert!(gate.enter(ask(&gate, 2, 4)).now_or_never().is_some_and(|entered| entered.is_ok()));
    assert_eq!(gate.utilisation(), 100);
    drop(held);
    let entered = backlog.await;
    assert!(entered.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_too_long_or_past_its_deadline_is_refused_and_counted() {
    let gate = gate();
    let _held = fill(&gate, 1).await;
    assert_eq!(gate.enter(ask(&gate, 1, 4)).await.err(), Some(Refused::TooOld));
    let soon = Ask { deadline: gate.now() + Duration::from_millis(10), ..ask(&gate, 1, 4) };
    assert_eq!(gate.enter(soon).await.err(), Some(Refused::Deadline));
    let over = Ask { deadline: gate.now(), ..ask(&gate, 2, 4) };
    assert_eq!(gate.enter(over).await.err(), Some(Refused::Deadline), "though there is room");
    let load = gate.load();
    assert_eq!(load.refused, [(Refused::QueueFull, 0), (Refused::TooOld, 1), (Refused::Deadline, 2)]);
    assert_eq!((load.queued, load.accounts[0].1.refused), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once() {
    let gate = gate();
    let held = fill(&gate, 1).await;
    let waiting: Vec<_> = (0..QUEUE_HAND * QUEUE_LENGTH_MAX).map(|_| Box::pin(gate.enter(ask(&gate, 1, 4)))).collect();
    let mut waiting = join_all(waiting);
    assert!(poll!(&mut waiting).is_pending());
    assert_eq!(gate.enter(ask(&gate, 1, 4)).now_or_never().and_then(Result::err), Some(Refused::QueueFull));
    assert!(
        gate.enter(ask(&gate, 2, 4)).now_or_never().is_some_and(|entered| entered.is_ok()),
        "another's is not full"
    );
    assert!(gate.load().queued <= QUEUED_MAX);
    drop(waiting);
    assert_eq!(gate.load().queued, 0, "who does not wait any more is forgotten");
    drop(held);
    assert_eq!(gate.load().held, 0);
}

#[tokio::test(start_paused = true)]
async fn a_repetition_of_unknown_outcome_goes_before_a_queue_that_stands() {
    let gate = gate();
    let mut held = fill(&gate, 1).await;
    let waiting: Vec<_> = (0..QUEUE_HAND * QUEUE_LENGTH_MAX).map(|_| Box::pin(gate.enter(ask(&gate, 1, 4)))).collect();
    let mut waiting = join_all(waiting);
    assert!(poll!(&mut waiting).is_pending());
    assert_eq!(gate.enter(ask(&gate, 1, 4)).now_or_never().and_then(Result::err), Some(Refused::QueueFull));
    let mut again = Box::pin(gate.enter(Ask { begun: Begun::Yes, ..ask(&gate, 1, 4) }));
    assert!(poll!(&mut again).is_pending(), "there is no room yet");
    // Its queue's turn comes after those of the others of its hand, and it is the first of its queue.
    let mut gone = 0;
    while poll!(&mut again).is_pending() {
        assert!(held.pop().is_some(), "it waits though all that was executed has ended");
        gone += 1;
    }
    assert!(
        gone <= QUEUE_HAND as u64 * QUEUE_QUANTUM / 4,
        "{gone} of {} went before it",
        QUEUE_HAND * QUEUE_LENGTH_MAX
    );
    assert!(poll!(&mut waiting).is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_comes_to_one_that_has_left_goes_to_the_next() {
    let gate = gate();
    let mut held = fill(&gate, 1).await;
    let mut first = Box::pin(gate.enter(ask(&gate, 1, 4)));
    assert!(poll!(&mut first).is_pending());
    // The turn is told to the only one that waits, which leaves without having heard.
    held.pop();
    assert_eq!(gate.load().queued, 0);
    let mut second = Box::pin(gate.enter(ask(&gate, 1, 4)));
    assert!(poll!(&mut second).is_pending());
    drop(first);
    assert!(matches!(poll!(&mut second), Poll::Ready(Ok(_))));
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_holds_nothing() {
    let gate = gate();
    for large in [false, true] {
        let pass = Pass::enter(&gate, ask(&gate, 1, 4)).await.expect("room");
        assert_eq!(gate.load().held, 4);
        let slowly = async {
            sleep(LONG).await;
            Ok::<_, Refused>(())
        };
        let mut body = pin!(pass.before_commit(large, slowly));
        assert!(poll!(&mut body).is_pending());
        sleep(Duration::from_secs(1)).await;
        assert!(poll!(&mut body).is_pending());
        assert_eq!(gate.load().held, 0, "large: {large}");
        body.await.expect("room");
        assert_eq!(gate.load().held, 4, "its commit waits for its turn again");
        pass.end(true);
        assert_eq!(gate.load().held, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_piece_holds_its_own_cost_and_the_request_nothing_besides() {
    let gate = gate();
    let pass = Pass::enter(&gate, ask(&gate, 1, 4)).await.expect("room");
    let piece = pass.stage(Cost::units_of(30)).await.expect("room");
    assert_eq!(gate.load().held, 30);
    drop(piece);
    assert_eq!(gate.load().held, 0);
}

#[tokio::test(start_paused = true)]
async fn what_fails_tells_nothing_of_how_long_work_takes() {
    let gate = gate();
    for succeeded in [false, true] {
        let pass = Pass::enter(&gate, ask(&gate, 1, 4)).await.expect("room");
        pass.end(succeeded);
        let sampled = !gate.0.state.lock().adaptive.is_untold();
        assert_eq!((gate.load().held, sampled), (0, succeeded));
    }
}

#[test]
fn an_account_that_has_its_share_is_in_nobodys_way_though_there_is_no_room_for_it_at_all() {
    assert_eq!(room(100, 50, 10, 20), Room::Enough);
    assert_eq!(room(100, 90, 10, 20), Room::Full);
    assert_eq!(room(100, 60, 60, 20), Room::AccountFull);
    assert_eq!(room(100, 90, 60, 20), Room::AccountFull);
}

/// One that comes, is executed for so long when it is let in, and how long it waited for that.
fn arrive(gate: &Admission, account: u64, works: Duration) -> impl Future<Output = Result<Duration, Refused>> + use<> {
    let (gate, ask) = (gate.clone(), ask(gate, account, 4));
    async move {
        let came = gate.now();
        let _held = gate.enter(ask).await?;
        let waited = gate.now() - came;
        sleep(works).await;
        Ok(waited)
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_in_which_nothing_ends_refuses_nobody() {
    let gate = gate();
    let held = fill(&gate, 1).await;
    let mut waiting = JoinSet::new();
    for _ in 0..300 {
        waiting.spawn(arrive(&gate, 1, Duration::from_millis(5)));
    }
    // Those that were let in have their outcome when there is a leader again.
    sleep(Duration::from_millis(2_500)).await;
    drop(held);
    let ended = waiting.join_all().await;
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    assert_eq!(gate.load().refused.map(|(_, count)| count), [0; 3]);
}

#[tokio::test(start_paused = true)]
async fn under_a_load_that_lasts_waiting_is_short_and_who_asks_seldom_is_not_refused() {
    let gate = gate();
    // Of the busy account 48 at a time, for 50 ms each: 960 a second. It asks for 2,000.
    let (works, begun) = (Duration::from_millis(50), gate.now());
    let (mut busy, mut quiet) = (JoinSet::new(), JoinSet::new());
    for at in 0..5_000_u64 {
        for _ in 0..2 {
            let one = arrive(&gate, 1, works);
            let late = gate.now() >= begun + QUEUE_STANDS_AFTER * 2;
            busy.spawn(async move { (late, one.await) });
        }
        if at % 20 == 0 {
            quiet.spawn(arrive(&gate, 2, works));
        }
        sleep(Duration::from_millis(1)).await;
    }
    let quiet = quiet.join_all().await;
    assert!(quiet.iter().all(Result::is_ok), "{quiet:?}");
    let busy = busy.join_all().await;
    let served = busy.iter().filter(|(_, one)| one.is_ok()).count();
    assert!(served >= 960 * 4, "{served} were served");
    let mut waits: Vec<_> = busy.iter().filter(|(late, _)| *late).filter_map(|(_, one)| one.ok()).collect();
    waits.sort_unstable();
    let (middle, most) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    assert!(most <= QUEUE_AGE_BUSY && middle >= QUEUE_AGE_BUSY / 5, "{middle:?}, {most:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_in_pieces_do_not_wait_for_each_other_for_ever() {
    let gate = gate();
    let passes = (0..2_000).map(|n| {
        let gate = gate.clone();
        async move {
            let pass = Pass::enter(&gate, ask(&gate, n % 20, 1)).await?;
            for _ in 0..3 {
                let _piece = pass.stage(Cost::units_of(64)).await?;
                sleep(Duration::from_micros(100)).await;
            }
            Ok::<_, Refused>(())
        }
    });
    let ended = join_all(passes).await;
    assert!(ended.iter().filter(|ended| ended.is_ok()).count() >= 1_000);
    assert_eq!((gate.load().held, gate.load().queued), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn switched_off_everything_is_let_in() {
    let gate = Admission::new(Env::for_tests(1).clock, false);
    let held: Vec<_> = join_all((0..10_000).map(|_| gate.enter(ask(&gate, 1, 100)))).await;
    assert!(held.iter().all(Result::is_ok));
    assert_eq!(gate.load().held, 0);
}

//! Who is let in, who waits, who is refused; in virtual time.

use super::*;
use crate::{
    admit::Pass,
    limits::{COST_HELD_MAX, LIMIT_FIRST, QUEUE_HAND, QUEUE_LENGTH_MAX, QUEUED_MAX, WEIGHT_NORMAL},
};
use bulkhead_service::Env;
use futures::{FutureExt as _, future::join_all, poll};
use std::{pin::pin, task::Poll};
use tokio::time::sleep;

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
    let backlog: Vec<_> = (0..90).map(|_| Box::pin(gate.enter(ask(&gate, 1, 4)))).collect();
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
async fn a_turn_that_comes_to_one_that_has_left_goes_to_the_next() {
    let gate = gate();
    let mut held = fill(&gate, 1).await;
    let mut first = Box::pin(gate.enter(ask(&gate, 1, 4)));
    let mut second = Box::pin(gate.enter(ask(&gate, 1, 4)));
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    // The turn is told to the first, which leaves without having heard.
    held.pop();
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
        let mut body = pin!(pass.intake(large, slowly));
        assert!(poll!(&mut body).is_pending());
        sleep(Duration::from_secs(1)).await;
        assert!(poll!(&mut body).is_pending());
        assert_eq!(gate.load().held, 0, "large: {large}");
        body.await.expect("room");
        assert_eq!(gate.load().held, if large { 0 } else { 4 }, "a small body's commit waits for its turn again");
        pass.end();
        assert_eq!(gate.load().held, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_piece_holds_its_own_cost_and_the_request_nothing_besides() {
    let gate = gate();
    let pass = Pass::enter(&gate, ask(&gate, 1, 4)).await.expect("room");
    let piece = pass.stage(Cost::units_of(100)).await.expect("room");
    assert_eq!(gate.load().held, 100);
    drop(piece);
    assert_eq!(gate.load().held, 0);
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

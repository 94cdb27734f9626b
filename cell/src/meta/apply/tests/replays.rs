//! Exactly once: repetitions, and how outcomes are forgotten.

use super::*;
use crate::{
    limits::{REPLAY_TICKS, REPLAYS_EXPIRED_PER_COMMAND, REPLAYS_EXPIRED_PER_TICK, REPLAYS_MAX},
    meta::{bookkeeping::CellState, command::EtagMatch},
};

#[test]
fn a_repetition_gets_the_recorded_outcome_and_changes_nothing() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    let condition = Condition { if_match: None, if_none_match: Some(EtagMatch::Any) };
    let command = Command::PutObject(PutObject { condition, ..world.small(bucket, "k", 1, 3) });
    let first = world.run_as(7, command.clone());
    assert!(first.is_ok());
    let before = world.store.clone();
    assert_eq!(world.run_as(7, command.clone()), first);
    assert_eq!(world.store, before);
    assert_eq!(world.run_as(8, command), Err(Refusal::PreconditionFailed));
}

#[test]
fn a_final_refusal_stays_even_when_the_reason_is_gone() {
    let mut world = World::new();
    assert_eq!(world.run_as(7, delete_bucket(BucketId(1), "b")), Err(Refusal::NoSuchBucket));
    world.bucket("b", 1);
    assert_eq!(world.run_as(7, delete_bucket(BucketId(1), "b")), Err(Refusal::NoSuchBucket));
}

#[test]
fn a_refusal_that_another_attempt_may_turn_is_not_recorded() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    let late = world.large(bucket, "k", 1, 100);
    world.reopen();
    assert!(matches!(world.run_as(7, Command::PutObject(late)), Err(Refusal::EpochClosed { .. })));
    let fresh = world.large(bucket, "k", 1, 100);
    assert!(world.run_as(7, Command::PutObject(fresh)).is_ok());
}

/// Lets a tick go by.
fn tick(world: &mut World) {
    let after = world.view().ticks().expect("memory");
    world.must(Command::Tick { after });
}

fn rows(world: &World) -> usize {
    world.store.len(keys::replays::FAMILY)
}

#[test]
fn outcomes_expire_a_few_per_command_once_enough_ticks_went_by() {
    let mut world = World::new();
    let burst = REPLAYS_EXPIRED_PER_TICK + 3 * REPLAYS_EXPIRED_PER_COMMAND;
    for request in 0..burst as u128 {
        assert!(world.run_as(request, Command::OutboxDone { sequence: 1 }).is_ok());
    }
    assert_eq!(rows(&world), 2 * burst);
    for _ in 0..REPLAY_TICKS {
        tick(&mut world);
        world.must(Command::OutboxDone { sequence: 1 });
        assert_eq!(rows(&world), 2 * burst, "none is old yet");
    }
    tick(&mut world);
    assert_eq!(rows(&world), 2 * (burst - REPLAYS_EXPIRED_PER_TICK));
    let mut left = rows(&world);
    while left > 0 {
        world.must(Command::OutboxDone { sequence: 1 });
        assert!(left - rows(&world) <= 2 * REPLAYS_EXPIRED_PER_COMMAND);
        assert!(rows(&world) < left, "expiry goes on");
        left = rows(&world);
    }
    assert_eq!(keys::meta::cell().get(&world.store).expect("memory").expect("there").replays, 0);
    assert!(world.run_as(1, Command::OutboxDone { sequence: 1 }).is_ok());
    assert_eq!(rows(&world), 2);
}

#[test]
fn no_clock_makes_an_outcome_old() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    let condition = Condition { if_match: None, if_none_match: Some(EtagMatch::Any) };
    let command = Command::PutObject(PutObject { condition, ..world.small(bucket, "k", 1, 3) });
    let first = world.run_as(7, command.clone());
    assert!(first.is_ok());
    world.time = Timestamp(START.0 + 365 * 24 * 3_600_000);
    for _ in 0..10 {
        world.must(Command::OutboxDone { sequence: 1 });
    }
    world.time = START;
    assert_eq!(world.run_as(7, command), first);
}

#[test]
fn a_tick_that_is_said_twice_counts_once() {
    let mut world = World::new();
    for (after, ticks) in [(0, 1), (0, 1), (1, 2), (5, 2), (0, 2)] {
        world.must(Command::Tick { after });
        assert_eq!(world.view().ticks().expect("memory"), ticks, "after {after}");
    }
}

#[test]
fn more_outcomes_than_the_cell_remembers_are_refused_and_not_forgotten() {
    let mut world = World::new();
    assert!(world.run_as(1, delete_bucket(BucketId(1), "b")).is_err());
    let row = keys::meta::cell();
    let cell = CellState { replays: REPLAYS_MAX, ..row.get(&world.store).expect("memory").expect("there") };
    let value = format::encode(&cell);
    world.store.write(vec![bulkhead_replica::Mutation::Put { family: row.family, key: row.key, value }]);
    let late = || Command::OutboxDone { sequence: 1 };
    assert_eq!(world.run_as(2, late()), Err(Refusal::TooManyRecent { max: REPLAYS_MAX }));
    assert_eq!(world.run_as(1, delete_bucket(BucketId(1), "b")), Err(Refusal::NoSuchBucket), "it is remembered");
    assert!(world.run(late()).is_ok(), "what nobody repeats needs no room");
    for _ in 0..=REPLAY_TICKS {
        tick(&mut world);
    }
    assert!(world.run_as(2, late()).is_ok());
}

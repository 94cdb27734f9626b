//! Exactly once: repetitions, and how outcomes are forgotten.

use super::*;
use crate::{
    limits::{REPLAY_MILLISECONDS, REPLAYS_EXPIRED_PER_COMMAND},
    meta::command::EtagMatch,
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

#[test]
fn outcomes_expire_a_few_per_command_once_they_are_old() {
    let mut world = World::new();
    let burst = 3 * REPLAYS_EXPIRED_PER_COMMAND as u128;
    for request in 0..burst {
        world.time = Timestamp(world.time.0 + 1);
        assert!(world.run_as(request, Command::OutboxDone { sequence: 1 }).is_ok());
    }
    let rows = |world: &World| world.store.len(keys::replays::FAMILY);
    assert_eq!(rows(&world), 2 * burst as usize);
    world.time = Timestamp(START.0 + REPLAY_MILLISECONDS);
    world.must(Command::OutboxDone { sequence: 1 });
    assert_eq!(rows(&world), 2 * burst as usize, "none is old yet");
    world.time = Timestamp(world.time.0 + 1);
    world.must(Command::OutboxDone { sequence: 1 });
    assert_eq!(rows(&world), 2 * (burst as usize - 1), "the first is");
    world.time = Timestamp(world.time.0 + 1_000);
    let mut left = rows(&world);
    while left > 0 {
        world.must(Command::OutboxDone { sequence: 1 });
        assert!(left - rows(&world) <= 2 * REPLAYS_EXPIRED_PER_COMMAND);
        assert!(rows(&world) < left, "expiry goes on");
        left = rows(&world);
    }
    assert!(world.run_as(1, Command::OutboxDone { sequence: 1 }).is_ok());
    assert_eq!(rows(&world), 2);
}

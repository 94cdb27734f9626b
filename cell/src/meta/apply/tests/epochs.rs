//! Upload epochs: who may still name what was written under them.

use super::*;
use crate::limits::EPOCHS_PER_NODE_MAX;

fn opened(done: &Done) -> UploadEpoch {
    match done {
        Done::EpochOpened { epoch } => *epoch,
        other => panic!("opening an epoch says which, not {other:?}"),
    }
}

fn rotate(world: &mut World, node: u64, to: UploadEpoch, keep: &[UploadEpoch]) -> UploadEpoch {
    opened(&world.must(Command::RotateEpoch { node: NodeId(node), to, keep: keep.to_vec() }))
}

fn open_now(world: &World) -> Vec<u64> {
    let open = world.view().open_epochs().expect("memory");
    open.into_iter().map(|(epoch, _)| epoch.0).collect()
}

#[test]
fn a_rotation_keeps_what_is_still_written_under_and_closes_the_rest() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    let first = world.epoch;
    let slow = world.large(bucket, "slow", 1, 100);
    let second = rotate(&mut world, 1, first, &[first]);
    world.epoch = second;
    let drained = world.large(bucket, "late", 1, 100);
    let third = rotate(&mut world, 1, second, &[first]);
    assert_eq!(open_now(&world), [first.0, third.0]);
    world.must(Command::PutObject(slow));
    let refusal = world.refused(Command::PutObject(drained));
    assert!(matches!(refusal, Refusal::EpochClosed { blob } if blob.epoch == second), "{refusal:?}");
}

#[test]
fn a_late_rotation_does_not_close_what_was_opened_after_it_was_proposed() {
    let mut world = World::new();
    let first = world.epoch;
    let second = rotate(&mut world, 1, first, &[first]);
    let late = rotate(&mut world, 1, first, &[]);
    assert_eq!(open_now(&world), [second.0, late.0]);
}

#[test]
fn nodes_close_only_their_own_and_a_new_life_closes_all_of_the_former() {
    let mut world = World::new();
    let other = opened(&world.must(Command::OpenEpoch { node: NodeId(2) }));
    let first = world.epoch;
    let mine = rotate(&mut world, 1, first, &[first]);
    rotate(&mut world, 2, mine, &[]);
    assert_eq!(open_now(&world), [first.0, mine.0, mine.0 + 1], "{other:?} is closed, those of node 1 are not");
    let reborn = opened(&world.must(Command::OpenEpoch { node: NodeId(1) }));
    assert_eq!(open_now(&world), [mine.0 + 1, reborn.0]);
}

#[test]
fn an_epoch_can_be_closed_from_outside_and_stays_closed() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    let late = world.large(bucket, "k", 1, 100);
    let epoch = world.epoch;
    for _ in 0..2 {
        assert_eq!(world.must(Command::CloseEpochs { epochs: vec![epoch] }), Done::Ok);
    }
    assert!(matches!(world.refused(Command::PutObject(late)), Refusal::EpochClosed { .. }));
}

#[test]
fn a_node_never_has_more_epochs_than_allowed() {
    let mut world = World::new();
    let mut kept = vec![world.epoch];
    for _ in 0..EPOCHS_PER_NODE_MAX + 5 {
        let newest = *kept.last().expect("there is one");
        kept.push(rotate(&mut world, 1, newest, &kept));
    }
    assert_eq!(open_now(&world).len(), EPOCHS_PER_NODE_MAX);
    assert_eq!(open_now(&world).last(), kept.last().map(|epoch| &epoch.0), "the oldest are closed");
}

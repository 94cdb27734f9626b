//! Objects: conditions, overwrites, usage, capacity, upload epochs.

use super::*;
use crate::{
    limits::{DELETE_COMMAND_KEYS_MAX, PART_BYTES_MAX, PART_NUMBER_MAX},
    meta::command::{CapacityDimension, EtagMatch},
};

fn usages(world: &World, bucket: BucketId) -> [Usage; 3] {
    let cell = world.view().cell_usage().expect("memory");
    [
        world.view().bucket_usage(bucket).expect("memory").expect("it exists"),
        world.view().account_totals(account(1)).expect("memory").usage,
        usage(cell.bytes, cell.objects),
    ]
}

#[test]
fn an_object_is_read_back_with_its_body() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    let object = world.small(bucket, "k", 7, 3);
    let done = world.must(Command::PutObject(object));
    assert_eq!(done, Done::ObjectPut { etag: etag(7), modified: world.time });
    let object = world.view().object(bucket, "k").expect("memory").expect("it was put");
    let Layout::Inline(blob) = object.layout else { panic!("a small object is inline") };
    assert_eq!(world.view().inline_body(blob).expect("it is there"), &[7, 7, 7][..]);
}

#[test]
fn an_overwrite_releases_what_was_there_and_counts_it_once() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    let first = world.large(bucket, "k", 1, 100);
    world.must(Command::PutObject(first));
    let second = world.small(bucket, "k", 2, 7);
    world.must(Command::PutObject(second));
    assert_eq!(usages(&world, bucket), [usage(7, 1); 3]);
    assert_eq!(world.store.len(keys::garbage::FAMILY), 1);
    let third = world.large(bucket, "k", 3, 50);
    world.must(Command::PutObject(third));
    assert!(world.store.is_empty(keys::inline::FAMILY));
    world.must(delete(bucket, &["k"]));
    assert_eq!(usages(&world, bucket), [usage(0, 0); 3]);
    assert_eq!(world.store.len(keys::garbage::FAMILY), 2);
    audit::audit(&world.store);
}

#[test]
fn a_failed_precondition_changes_nothing() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    let first = world.small(bucket, "k", 1, 3);
    world.must(Command::PutObject(first));
    let before = world.store.clone();
    let condition = Condition { if_match: None, if_none_match: Some(EtagMatch::Any) };
    let second = PutObject { condition, ..world.large(bucket, "k", 2, 100) };
    assert_eq!(world.refused(Command::PutObject(second)), Refusal::PreconditionFailed);
    assert_eq!(world.store, before);
}

#[test]
fn a_deletion_decides_for_each_object_alone() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    for (key, tag) in [("a", 1), ("b", 2)] {
        let object = world.small(bucket, key, tag, 3);
        world.must(Command::PutObject(object));
    }
    let only_if = |key: &str, tag| {
        let if_match = Some(EtagMatch::OneOf(vec![etag(tag)]));
        DeleteObject { key: key.into(), condition: Condition { if_match, if_none_match: None } }
    };
    let always = |key: &str| DeleteObject { key: key.into(), condition: Condition::default() };
    let objects = vec![only_if("a", 9), only_if("b", 2), only_if("b", 2), always("b"), only_if("gone", 1)];
    assert_eq!(
        world.must(Command::DeleteObjects { bucket, objects }),
        Done::ObjectsDeleted(vec![
            Err(Refusal::PreconditionFailed),
            Ok(()),
            Err(Refusal::NoSuchKey),
            Ok(()),
            Err(Refusal::NoSuchKey),
        ])
    );
    assert_eq!(usages(&world, bucket), [usage(3, 1); 3]);
    audit::audit(&world.store);
}

#[test]
fn a_full_cell_refuses_growth_to_the_byte_and_takes_what_shrinks() {
    let mut world = World::with(Capacity::holding(10, 2, 2));
    let bucket = world.bucket("b", 1);
    let first = world.small(bucket, "a", 1, 10);
    world.must(Command::PutObject(first));
    let over = world.small(bucket, "b", 2, 1);
    let full = Refusal::CellFull { what: CapacityDimension::Bytes, used: 10, max: 10 };
    assert_eq!(world.refused(Command::PutObject(over)), full);
    for key in ["b", "a"] {
        let object = world.small(bucket, key, 2, 0);
        world.must(Command::PutObject(object));
    }
    let third = world.small(bucket, "c", 2, 0);
    let full = Refusal::CellFull { what: CapacityDimension::Objects, used: 2, max: 2 };
    assert_eq!(world.refused(Command::PutObject(third)), full);
    let exact = world.small(bucket, "b", 2, 10);
    world.must(Command::PutObject(exact));
}

#[test]
fn ballast_makes_a_cell_full_and_goes_without_a_trace() {
    let mut world = World::with(Capacity::holding(100, 10, 2));
    let bucket = world.bucket("b", 1);
    let first = world.small(bucket, "a", 1, 10);
    world.must(Command::PutObject(first));
    let ballast = |bytes, objects| Command::SetBallast { ballast: Usage { bytes, objects } };
    for more in [80, 85] {
        world.must(ballast(more, 0));
        let left = 90 - more;
        let over = world.small(bucket, "b", 2, left + 1);
        let full = Refusal::CellFull { what: CapacityDimension::Bytes, used: more + 10, max: 100 };
        assert_eq!(world.refused(Command::PutObject(over)), full);
        assert_eq!(world.view().cell_usage().expect("memory").bytes, more + 10);
    }
    world.must(ballast(0, 9));
    let over = world.small(bucket, "b", 2, 0);
    let full = Refusal::CellFull { what: CapacityDimension::Objects, used: 10, max: 10 };
    assert_eq!(world.refused(Command::PutObject(over)), full);
    world.must(ballast(u64::MAX, u64::MAX));
    world.must(ballast(0, 0));
    assert_eq!(world.view().ballast().expect("memory"), Usage::default());
    let second = world.small(bucket, "b", 2, 90);
    world.must(Command::PutObject(second));
    assert_eq!(usages(&world, bucket), [usage(100, 2); 3]);
    audit::audit(&world.store);
}

#[test]
fn bytes_of_a_closed_epoch_are_not_named() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    let late = world.large(bucket, "k", 1, 100);
    let blob = BlobId { epoch: world.epoch, number: 1 };
    world.reopen();
    assert!(!world.view().epoch_is_open(blob.epoch).expect("memory"));
    assert_eq!(world.refused(Command::PutObject(late)), Refusal::EpochClosed { blob });
    world.must(Command::OpenEpoch { node: NodeId(2) });
    let fresh = world.large(bucket, "k", 1, 100);
    world.must(Command::PutObject(fresh));
}

#[test]
fn bytes_are_named_once() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    let object = world.large(bucket, "k", 1, 100);
    world.must(Command::PutObject(object.clone()));
    let again = world.refused(Command::PutObject(PutObject { key: "other".into(), ..object }));
    assert_eq!(again, Refusal::EpochClosed { blob: BlobId { epoch: world.epoch, number: 1 } });
    audit::audit(&world.store);
}

#[test]
fn a_length_that_is_not_that_of_the_bytes_is_refused() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    for object in [world.large(bucket, "k", 1, 100), world.small(bucket, "k", 1, 100)] {
        let wrong = PutObject { len: 99, ..object };
        assert_eq!(world.refused(Command::PutObject(wrong)), Refusal::BadDigest);
    }
}

#[test]
fn time_never_goes_back_whatever_the_proposer_s_clock_says() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    world.time = Timestamp(START.0 + 1_000);
    let first = world.small(bucket, "k", 1, 1);
    world.must(Command::PutObject(first));
    world.time = START;
    let second = world.small(bucket, "k", 2, 1);
    let done = world.must(Command::PutObject(second));
    assert_eq!(done, Done::ObjectPut { etag: etag(2), modified: Timestamp(START.0 + 1_000) });
}

#[test]
fn a_bucket_that_is_gone_takes_no_objects() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    world.must(delete_bucket(bucket, "b"));
    let late = world.small(bucket, "k", 1, 1);
    assert_eq!(world.refused(Command::PutObject(late)), Refusal::NoSuchBucket);
    assert_eq!(world.refused(delete(bucket, &["k"])), Refusal::NoSuchBucket);
    assert_eq!(world.refused(create_upload(bucket, "k", upload(1))), Refusal::NoSuchBucket);
}

#[test]
fn what_is_larger_than_any_request_may_be_is_refused_by_apply_itself() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    let huge = world.large(bucket, "k", 1, PART_BYTES_MAX + 1);
    let too_large = Refusal::EntityTooLarge { len: PART_BYTES_MAX + 1, max: PART_BYTES_MAX };
    assert_eq!(world.refused(Command::PutObject(huge)), too_large);
    let largest = world.large(bucket, "k", 1, PART_BYTES_MAX);
    world.must(Command::PutObject(largest));
    world.must(create_upload(bucket, "u", upload(1)));
    let part = world.part(bucket, "u", upload(1), 1, 1, PART_BYTES_MAX + 1);
    assert_eq!(world.refused(part), too_large);
    for number in [0, PART_NUMBER_MAX + 1] {
        let part = world.part(bucket, "u", upload(1), number, 1, 5);
        assert_eq!(world.refused(part), Refusal::InvalidPart { number });
    }
    let last = world.part(bucket, "u", upload(1), PART_NUMBER_MAX, 1, 5);
    world.must(last);
    let keys = vec!["k"; DELETE_COMMAND_KEYS_MAX + 1];
    let (count, max) = (DELETE_COMMAND_KEYS_MAX as u64 + 1, DELETE_COMMAND_KEYS_MAX as u64);
    assert_eq!(world.refused(delete(bucket, &keys)), Refusal::TooManyDeletes { keys: count, max });
    world.must(delete(bucket, &keys[1..]));
    audit::audit(&world.store);
}

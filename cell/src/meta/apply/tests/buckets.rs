//! Buckets, the claims on their names, and what is left of deleted ones.

use super::*;
use crate::{limits::DROPPED_ROWS_PER_COMMAND, meta::bookkeeping::Errand};

fn settle(name: &str, claim: u64) -> Command {
    Command::SettleClaim { name: name.into(), claim: ClaimId(claim) }
}

#[test]
fn a_name_is_taken_once() {
    let mut world = World::new();
    world.bucket("b", 1);
    assert_eq!(world.refused(create_bucket("b", 1, 2)), Refusal::BucketAlreadyOwnedByYou);
    assert_eq!(world.refused(create_bucket("b", 2, 2)), Refusal::BucketAlreadyExists);
    assert_eq!(world.refused(create_bucket("c", 9, 2)), Refusal::NoSuchAccount);
}

#[test]
fn a_bucket_with_objects_stays_and_an_empty_one_leaves_an_errand() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    let object = world.small(bucket, "k", 1, 3);
    world.must(Command::PutObject(object));
    assert_eq!(world.refused(delete_bucket(bucket, "b")), Refusal::BucketNotEmpty);
    world.must(delete(bucket, &["k"]));
    assert_eq!(world.must(delete_bucket(bucket, "b")), Done::BucketDeleted);
    assert_eq!(world.refused(delete_bucket(bucket, "b")), Refusal::NoSuchBucket);
    let errand = Errand::ReleaseName { name: "b".into(), claim: ClaimId(1) };
    assert_eq!(world.view().errands(10).expect("memory"), vec![(1, errand)]);
    for _ in 0..2 {
        world.must(Command::OutboxDone { sequence: 1 });
    }
    assert_eq!(world.view().errands(10).expect("memory"), vec![]);
    audit::audit(&world.store);
}

#[test]
fn a_created_again_bucket_shares_nothing_with_its_predecessor() {
    let mut world = World::new();
    let first = world.bucket("b", 1);
    world.must(delete_bucket(first, "b"));
    let Done::BucketCreated { bucket } = world.must(create_bucket("b", 2, 2)) else { panic!("not created") };
    assert_ne!(first, bucket);
    assert_eq!(world.refused(delete_bucket(first, "b")), Refusal::NoSuchBucket);
}

#[test]
fn a_claim_that_was_settled_as_absent_creates_nothing_for_ever() {
    let mut world = World::new();
    assert_eq!(world.must(settle("b", 5)), Done::ClaimSettled { exists: false });
    for claim in [4, 5] {
        assert_eq!(world.refused(create_bucket("b", 1, claim)), Refusal::ClaimFenced);
    }
    world.must(create_bucket("b", 1, 6));
    assert_eq!(world.must(settle("b", 6)), Done::ClaimSettled { exists: true });
    assert_eq!(world.must(settle("b", 5)), Done::ClaimSettled { exists: false });
}

#[test]
fn an_older_claim_does_not_lower_the_fence() {
    let mut world = World::new();
    world.must(settle("b", 5));
    world.must(settle("b", 3));
    assert_eq!(world.refused(create_bucket("b", 1, 4)), Refusal::ClaimFenced);
}

#[test]
fn the_claim_of_a_deleted_bucket_is_given_up() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    world.must(delete_bucket(bucket, "b"));
    assert_eq!(world.refused(create_bucket("b", 1, 1)), Refusal::ClaimFenced);
    assert_eq!(world.must(settle("b", 1)), Done::ClaimSettled { exists: false });
}

#[test]
fn an_account_has_a_bounded_number_of_buckets() {
    let mut world = World::new();
    let max = crate::limits::BUCKETS_PER_ACCOUNT_MAX;
    for n in 0..max {
        world.bucket(&format!("b{n}"), 1);
    }
    assert_eq!(world.refused(create_bucket("one-more", 1, 1)), Refusal::TooManyBuckets { used: max, max });
    world.bucket("one-more", 2);
}

#[test]
fn the_uploads_of_a_deleted_bucket_are_cleared_away_a_few_rows_per_command() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    let rows = 3 * DROPPED_ROWS_PER_COMMAND as u64;
    for n in 0..rows / 2 {
        world.must(create_upload(bucket, "k", upload(n)));
        let part = world.part(bucket, "k", upload(n), 1, 1, 10);
        world.must(part);
    }
    world.must(delete_bucket(bucket, "b"));
    let totals = world.view().account_totals(account(1)).expect("memory");
    assert_eq!((totals.usage, totals.uploads), (usage(0, 0), 0));
    let mut garbage = 0;
    for _ in 0..4 {
        world.reopen();
        let now = world.store.len(keys::garbage::FAMILY);
        assert!(now - garbage <= DROPPED_ROWS_PER_COMMAND);
        garbage = now;
    }
    assert_eq!(garbage as u64, rows / 2);
    for family in [keys::parts::FAMILY, keys::uploads::FAMILY] {
        assert!(world.store.is_empty(family), "{}", family.name);
    }
    assert_eq!(world.store.len(keys::blobs::FAMILY), garbage, "what was named is released");
    assert_eq!(keys::meta::cell().get(&world.store).expect("memory").expect("written").dropped, 0);
    audit::audit(&world.store);
}

//! Accounts, access keys and routing epochs.

use super::*;
use crate::{
    limits::KEYS_PER_ACCOUNT_MAX,
    meta::{
        command::CapacityDimension,
        record::{Credential, LimitsRecord, Settings},
    },
};
use bulkhead_model::{AccessKeyId, AccountLimits};

fn key(n: u64) -> AccessKeyId {
    format!("K{n:019}").parse().expect("twenty characters")
}

fn put_key(n: u64, owner: u64) -> Command {
    Command::PutCredential { key: key(n), credential: Credential { account: account(owner), sealed_secret: vec![7] } }
}

#[test]
fn an_account_beyond_capacity_is_refused_and_a_known_one_is_not() {
    let mut world = World::with(Capacity::holding(1, 1, 2));
    let full = Refusal::CellFull { what: CapacityDimension::Accounts, used: 2, max: 2 };
    assert_eq!(world.refused(put_account(3, 1)), full);
    world.must(put_account(1, 1));
    world.must(Command::DeleteAccount { account: account(1) });
    world.must(put_account(3, 1));
}

#[test]
fn an_account_s_epoch_never_goes_back() {
    let mut world = World::new();
    world.must(put_account(1, 5));
    assert_eq!(world.refused(put_account(1, 4)), Refusal::Moved { current: Epoch(5) });
}

#[test]
fn an_account_with_buckets_stays() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    assert_eq!(world.refused(Command::DeleteAccount { account: account(1) }), Refusal::AccountNotEmpty { buckets: 1 });
    world.must(delete_bucket(bucket, "b"));
    world.must(Command::DeleteAccount { account: account(1) });
    world.must(Command::DeleteAccount { account: account(1) });
    assert_eq!(world.view().account(account(1)).expect("memory"), None);
}

#[test]
fn an_account_takes_its_access_keys_along() {
    let mut world = World::new();
    world.must(put_key(1, 1));
    world.must(put_key(2, 2));
    world.must(Command::DeleteAccount { account: account(1) });
    assert_eq!(world.view().credential(&key(1)).expect("memory"), None);
    assert!(world.view().credential(&key(2)).expect("memory").is_some());
}

#[test]
fn an_access_key_belongs_to_one_account() {
    let mut world = World::new();
    world.must(put_key(1, 1));
    assert_eq!(world.refused(put_key(1, 2)), Refusal::KeyOfAnotherAccount);
    let theirs = Command::DeleteCredential { key: key(1), account: account(2) };
    assert_eq!(world.refused(theirs), Refusal::KeyOfAnotherAccount);
    assert_eq!(world.refused(put_key(9, 9)), Refusal::NoSuchAccount);
    for _ in 0..2 {
        world.must(Command::DeleteCredential { key: key(1), account: account(1) });
    }
}

#[test]
fn an_account_has_a_bounded_number_of_access_keys() {
    let mut world = World::new();
    for n in 0..KEYS_PER_ACCOUNT_MAX {
        world.must(put_key(n, 1));
    }
    let full = Refusal::TooManyKeys { used: KEYS_PER_ACCOUNT_MAX, max: KEYS_PER_ACCOUNT_MAX };
    assert_eq!(world.refused(put_key(1_000, 1)), full);
    world.must(put_key(0, 1));
    world.must(Command::DeleteCredential { key: key(0), account: account(1) });
    world.must(put_key(1_000, 1));
}

#[test]
fn a_command_routed_under_another_epoch_does_nothing() {
    let mut world = World::new();
    let before = world.view().cell_usage().expect("memory");
    for (account, epoch, current) in [(account(1), 2, Epoch(1)), (account(9), 1, Epoch(0))] {
        let command = create_bucket("b", 1, 1);
        let routed = Some((account, Epoch(epoch)));
        let envelope = Envelope { time: world.time, request: None, routed, command };
        assert_eq!(world.apply(&envelope), Err(Refusal::Moved { current }));
    }
    assert_eq!(world.view().cell_usage().expect("memory"), before);
    let routed = Some((account(1), Epoch(1)));
    let envelope = Envelope { time: world.time, request: None, routed, command: create_bucket("b", 1, 1) };
    assert!(world.apply(&envelope).is_ok());
}

#[test]
fn limits_hold_for_an_account_that_is_here_and_the_latest_change_wins() {
    let mut world = World::new();
    let put = |n: u64, version: u64, writes: u64| {
        let limits = AccountLimits { write_requests: Some(writes), ..AccountLimits::default() };
        Command::PutLimits { account: account(n), limits: LimitsRecord { limits, version } }
    };
    let writes = |world: &World| world.view().account_limits(account(1)).expect("memory").limits.write_requests;
    world.must(put_account(1, 1));
    world.must(put(1, 2, 60));
    world.must(put(1, 1, 50));
    assert_eq!(writes(&world), Some(60), "an older change that comes late changes nothing");
    world.must(put_account(1, 2));
    assert_eq!(writes(&world), Some(60), "an account that is put again keeps its limits");
    world.must(Command::DeleteAccount { account: account(1) });
    assert_eq!(world.refused(put(1, 3, 70)), Refusal::NoSuchAccount);
    assert_eq!(writes(&world), None);
}

fn put_settings(n: u64, settings: Settings) -> Command {
    Command::PutSettings { account: account(n), settings }
}

#[test]
fn an_account_gets_exactly_its_quota_and_what_frees_as_much_as_it_takes_has_room() {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    let (bytes, objects, buckets) = (Some(10), Some(2), Some(1));
    world.must(put_settings(1, Settings { bytes, objects, buckets, version: 1, ..Settings::default() }));
    let first = world.small(bucket, "a", 1, 10);
    world.must(Command::PutObject(first));
    let second = world.small(bucket, "b", 1, 1);
    let full = Refusal::AccountFull { what: CapacityDimension::Bytes, used: 10, max: 10 };
    assert_eq!(world.refused(Command::PutObject(second)), full);
    let same = world.small(bucket, "a", 1, 10);
    world.must(Command::PutObject(same));
    assert_eq!(world.refused(create_bucket("c", 1, 2)), Refusal::TooManyBuckets { used: 1, max: 1 });
    world.bucket("theirs", 2);
}

#[test]
fn settings_hold_for_an_account_that_is_here_and_the_latest_change_wins() {
    let mut world = World::new();
    let suspended = |suspended, version| put_settings(1, Settings { suspended, version, ..Settings::default() });
    world.must(suspended(true, 2));
    world.must(suspended(false, 1));
    assert!(world.view().account_settings(account(1)).expect("memory").suspended);
    assert_eq!(world.refused(put_settings(9, Settings::default())), Refusal::NoSuchAccount);
    world.must(Command::DeleteAccount { account: account(1) });
    world.must(put_account(1, 1));
    assert!(!world.view().account_settings(account(1)).expect("memory").suspended, "they go with the account");
}

//! The feed and the snapshot are two ways to the same table.

use super::{Publisher, snapshot};
use crate::store::{
    apply::tests::{Fleet, account, key},
    command::Command,
    read,
};
use bulkhead_model::{ClaimId, RoutingTable};
use proptest::{collection::vec, prelude::*};

fn command() -> impl Strategy<Value = Command> {
    let accounts = || (0..3u64).prop_map(account);
    let names = || prop_oneof![Just("photos".to_owned()), Just("films".to_owned())];
    let claims = || (0..6u64).prop_map(ClaimId);
    prop_oneof![
        (accounts(), 10..14u64).prop_map(|(account, n)| Command::CreateKey { account, key: key(n) }),
        (10..14u64).prop_map(|n| Command::ActivateKey { key: key(n) }),
        (accounts(), 0..14u64).prop_map(|(account, n)| Command::BeginDeleteKey { account, key: key(n) }),
        (0..14u64).prop_map(|n| Command::ForgetKey { key: key(n) }),
        accounts().prop_map(|account| Command::BeginDeleteAccount { account }),
        accounts().prop_map(|account| Command::ForgetAccount { account }),
        (names(), accounts()).prop_map(|(bucket, account)| Command::ClaimBucket { bucket, account }),
        (names(), claims()).prop_map(|(bucket, claim)| Command::ReleaseBucket { bucket, claim }),
    ]
}

proptest! {
    #[test]
    fn all_changes_from_the_beginning_give_the_table_of_the_records(commands in vec(command(), 0..60)) {
        let mut fleet = Fleet::with_cells(&["c1", "c2"], 100).with_account(0).with_account(1).with_account(2);
        for command in commands {
            // Refusals are fine: they change nothing.
            let _ = fleet.apply(command);
        }
        let mut followed = RoutingTable::default();
        for change in read::changes(&fleet.store, 0, usize::MAX).expect("readable").expect("all are kept") {
            followed.apply(change);
        }
        prop_assert_eq!(&followed, &snapshot(&fleet.store).expect("readable"));
        let publisher = Publisher::new();
        publisher.refresh(&fleet.store).expect("readable");
        let published = publisher.table();
        prop_assert_eq!(published.as_ref(), &followed);
    }
}

#[test]
fn a_publisher_that_fell_too_far_behind_starts_over_from_the_records() {
    let mut fleet = Fleet::with_cells(&["c1"], 100).with_account(0);
    let publisher = Publisher::new();
    publisher.refresh(&fleet.store).expect("readable");
    for n in 1..=crate::limits::CHANGES_KEPT {
        fleet.ok(Command::ClaimBucket { bucket: "photos".into(), account: account(0) });
        fleet.ok(Command::ReleaseBucket { bucket: "photos".into(), claim: ClaimId(n) });
    }
    assert_eq!(read::changes(&fleet.store, 1, 1).expect("readable"), None);
    publisher.refresh(&fleet.store).expect("readable");
    assert_eq!(*publisher.table(), snapshot(&fleet.store).expect("readable"));
}

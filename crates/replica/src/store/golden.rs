//! The bytes of what this crate keeps beside the machine's state and the log, pinned: the records of what is applied, a
//! checkpoint's description of itself, and the head of one on its way.

use super::AppliedState;
use crate::{
    snapshot::Head,
    store::database,
    types::{LogId, Membership, Peer, StoredMembership, Vote},
};
use openraft::impls::leader_id_adv::LeaderId;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

fn log_id() -> LogId {
    LogId::new(LeaderId { term: 2, node_id: 3 }, 300)
}

fn membership() -> StoredMembership {
    let az = "az-a".parse().expect("a label");
    let peer = Peer { addr: "127.0.0.1:9103".parse().expect("an address"), az, life: 300 };
    let nodes = BTreeMap::from([(1, peer.clone()), (2, peer)]);
    let voters = vec![BTreeSet::from([1]), BTreeSet::from([1, 2])];
    StoredMembership::new(Some(log_id()), Membership::new(voters, nodes).expect("a joint group"))
}

fn check<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + Debug>(what: &str, value: &T, golden: &str) {
    let bytes = database::encode(value).expect("plain data");
    let shown: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(shown, golden, "{what}");
    assert_eq!(&database::decode::<T>("golden", &bytes).expect("its own form"), value, "{what}");
}

#[test]
fn what_is_kept_beside_the_state_has_the_bytes_of_version_one() {
    check("the applied log id", &log_id(), "010203ac02");
    check(
        "the membership",
        &membership(),
        "01010203ac020201010201020201007f0000018f4704617a2d61ac0202007f0000018f4704617a2d61ac02",
    );
    check("the group's version", &2_u8, "0102");
    let applied = AppliedState { last: Some(log_id()), membership: membership(), version: 2 };
    check(
        "a checkpoint's META",
        &applied,
        "01010203ac02010203ac020201010201020201007f0000018f4704617a2d61ac0202007f0000018f4704617a2d61ac0202",
    );
    let head = Head { vote: Vote::new_committed(2, 3), applied, files: vec![("000012.sst".into(), 300)] };
    check(
        "a checkpoint's head",
        &head,
        "01020301010203ac02010203ac020201010201020201007f0000018f4704617a2d61ac0202007f0000018f4704617a2d61ac0202010a3030303031322e737374ac02",
    );
}

#[test]
fn another_version_is_refused() {
    assert!(database::decode::<u8>("golden", &[2, 2]).is_err());
    assert!(database::decode::<u8>("golden", &[]).is_err());
}

//! The life of a cell as it is recorded: who may take accounts, and who may go.

use super::tests::{Fleet, account, key};
use crate::store::{
    command::{Candidate, Command, Done, Outcome, PlaceAccount, Refusal},
    keys, read,
    record::{Cell, Certified},
};
use bulkhead_model::{
    AccountLimits, CellId, NodeId, Timestamp,
    api::control_plane::{CellNode, CellState, ClosedBy, Figures, OperationState, Quota},
};

const DAY: u64 = 24 * 60 * 60 * 1_000;

fn c1() -> CellId {
    "c1".parse().expect("a label")
}

fn record(fleet: &Fleet) -> Cell {
    read::cell(&fleet.store, &c1()).expect("readable").expect("requested")
}

fn request() -> Command {
    let capacity = Figures { accounts: 10, bytes: 1_000, objects: 100, requests: 0 };
    let (blueprint, blueprint_hash, region) = ("dev".into(), "h1".into(), "eu".into());
    Command::RequestCell { cell: c1(), blueprint, blueprint_hash, region, capacity }
}

fn advance(fleet: &mut Fleet, to: CellState) -> Outcome {
    let seen = record(fleet).since;
    fleet.apply(Command::AdvanceCell { cell: c1(), seen, to, note: "n".into() })
}

fn certify(fleet: &mut Fleet, blueprint_hash: &str, expires: Timestamp) -> Outcome {
    let (build, digest, issued) = ("1".into(), "d".into(), Timestamp(0));
    let certified = Certified { blueprint_hash: blueprint_hash.into(), build, digest, issued, expires };
    fleet.apply(Command::CertifyCell { cell: c1(), certified, document: "{}".into() })
}

fn place(fleet: &mut Fleet, n: u64) -> Outcome {
    fleet.apply(Command::PlaceAccount(PlaceAccount {
        account: account(n),
        display_name: "n".into(),
        email: format!("a{n}@example.com"),
        key: key(n),
        limits: AccountLimits::default(),
        quota: Quota::default(),
        regions: Vec::new(),
        apart: None,
        candidates: vec![Candidate { cell: c1(), seen: Figures::default() }],
        left_out: Vec::new(),
    }))
}

fn why(outcome: Outcome) -> String {
    outcome.expect_err("refused").to_string()
}

/// A cell that waits for its certificate.
fn certifying() -> Fleet {
    let mut fleet = Fleet { time: Timestamp(DAY), ..Fleet::default() };
    fleet.ok(request());
    let at = ([127, 0, 0, 1], 1).into();
    let node = CellNode { node: NodeId(1), az: "az-a".parse().expect("a label"), s3: at, admin: at, peer: at };
    fleet.ok(Command::PlanCell { cell: c1(), nodes: vec![node] });
    for to in [CellState::Provisioning, CellState::Forming, CellState::Certifying] {
        advance(&mut fleet, to).expect("drawn");
    }
    fleet
}

#[test]
fn a_cell_takes_accounts_by_a_certificate_and_by_nothing_else() {
    let mut fleet = certifying();
    assert!(why(place(&mut fleet, 1)).contains("c1: it is certifying"));
    assert!(matches!(advance(&mut fleet, CellState::Active), Err(Refusal::IllegalCellMove { .. })));
    assert!(why(certify(&mut fleet, "h2", Timestamp(2 * DAY))).contains("of blueprint h2"));
    assert!(why(certify(&mut fleet, "h1", Timestamp(DAY))).contains("expired"));
    assert_eq!(record(&fleet).state, CellState::Certifying, "a refusal changes nothing");
    let published = fleet.store.len(keys::CHANGES);
    certify(&mut fleet, "h1", Timestamp(2 * DAY)).expect("it holds");
    assert_eq!(fleet.store.len(keys::CHANGES), published + 1, "routers hear of it");
    let operation = record(&fleet).more.operation.expect("it is watched");
    let operation = read::operation(&fleet.store, operation).expect("readable").expect("kept");
    assert_eq!(operation.state, OperationState::Succeeded);
    assert!(matches!(place(&mut fleet, 1), Ok(Done::AccountPlaced { .. })));
    fleet.time = Timestamp(2 * DAY);
    assert!(why(place(&mut fleet, 2)).contains("its certificate expired"));
}

#[test]
fn a_cell_of_version_1_serves_whom_it_has_and_takes_nobody_before_it_is_certified() {
    let mut fleet = Fleet::with_cells(&["c1"], 10).with_account(1);
    assert!(why(place(&mut fleet, 2)).contains("c1: it has no certificate"));
    certify(&mut fleet, "h1", Timestamp(DAY)).expect("it holds");
    assert!(place(&mut fleet, 2).is_ok());
}

#[test]
fn what_was_decided_on_an_older_look_changes_nothing() {
    let mut fleet = certifying();
    let seen = record(&fleet).since;
    fleet.time = Timestamp(DAY + 5);
    advance(&mut fleet, CellState::Failed { why: "w".into() }).expect("drawn");
    let late = Command::AdvanceCell { cell: c1(), seen, to: CellState::Provisioning, note: "n".into() };
    assert!(matches!(fleet.apply(late), Err(Refusal::CellMoved { .. })));
    let waived = fleet.apply(Command::WaiveCertificate { cell: c1(), seen });
    assert!(matches!(waived, Err(Refusal::CellMoved { .. })));
}

#[test]
fn a_closed_cell_keeps_its_accounts_and_opens_only_while_something_vouches_for_it() {
    let mut fleet = certifying();
    certify(&mut fleet, "h1", Timestamp(2 * DAY)).expect("it holds");
    place(&mut fleet, 1).expect("there is room");
    let published = fleet.store.len(keys::CHANGES);
    let by = ClosedBy::Certificate { why: "another build".into() };
    advance(&mut fleet, CellState::Closed { by }).expect("drawn");
    assert!(why(place(&mut fleet, 2)).contains("c1: another build"));
    assert_eq!(fleet.store.len(keys::CHANGES), published, "routers notice nothing");
    fleet.time = Timestamp(3 * DAY);
    assert!(matches!(advance(&mut fleet, CellState::Active), Err(Refusal::CellUnvouched { .. })));
    certify(&mut fleet, "h1", Timestamp(4 * DAY)).expect("it holds");
    assert_eq!(record(&fleet).state, CellState::Active, "a new certificate opens it");
}

#[test]
fn a_cell_goes_only_when_nobody_is_in_it() {
    let mut fleet = certifying();
    certify(&mut fleet, "h1", Timestamp(2 * DAY)).expect("it holds");
    place(&mut fleet, 1).expect("there is room");
    assert!(matches!(advance(&mut fleet, CellState::Draining), Err(Refusal::CellHasAccounts { accounts: 1, .. })));
    for forget in [true, false] {
        let refused = fleet.apply(Command::DismantleCell { cell: c1(), forget });
        assert!(matches!(refused, Err(Refusal::CellHasAccounts { .. })), "{refused:?}");
    }
    fleet.ok(Command::BeginDeleteAccount { account: account(1) });
    fleet.ok(Command::ForgetAccount { account: account(1) });
    let forgotten = fleet.apply(Command::DismantleCell { cell: c1(), forget: true });
    assert!(matches!(forgotten, Err(Refusal::CellCannot { .. })), "it was active: it may be retired, not forgotten");
    advance(&mut fleet, CellState::Draining).expect("it is empty");
    fleet.ok(Command::DismantleCell { cell: c1(), forget: false });
    assert!(matches!(fleet.apply(Command::ForgetCell { cell: c1() }), Err(Refusal::CellCannot { .. })));
    advance(&mut fleet, CellState::Retired).expect("nothing of it is left");
    assert!(record(&fleet).nodes.is_empty());
    assert!(matches!(fleet.apply(request()), Err(Refusal::CellCannot { .. })), "its name is not used again");
}

#[test]
fn a_cell_that_failed_is_resumed_or_forgotten_and_then_its_name_is_free() {
    let mut fleet = certifying();
    advance(&mut fleet, CellState::Failed { why: "w".into() }).expect("drawn");
    fleet.ok(Command::ResumeCell { cell: c1() });
    assert_eq!(record(&fleet).state, CellState::Provisioning);
    assert!(matches!(fleet.apply(Command::ResumeCell { cell: c1() }), Err(Refusal::CellCannot { .. })));
    for _ in 0..2 {
        fleet.ok(Command::DismantleCell { cell: c1(), forget: true });
    }
    for _ in 0..2 {
        fleet.ok(Command::ForgetCell { cell: c1() });
    }
    assert_eq!(read::cell(&fleet.store, &c1()).expect("readable"), None);
    fleet.ok(request());
}

#[test]
fn what_accounts_reserve_is_counted_to_the_byte_and_given_back() {
    let mut fleet = certifying();
    certify(&mut fleet, "h1", Timestamp(2 * DAY)).expect("it holds");
    place(&mut fleet, 1).expect("there is room");
    let quota = |bytes| Quota { bytes: Some(bytes), ..Quota::default() };
    fleet.who = Some("ci".into());
    fleet.ok(Command::ActivateAccount { account: account(1), key: key(1) });
    fleet.ok(Command::SetQuota { account: account(1), quota: quota(700) });
    assert_eq!(record(&fleet).more.reserved.bytes, 700);
    assert!(why(place(&mut fleet, 2)).contains("uses 700 bytes"));
    fleet.ok(Command::SetQuota { account: account(1), quota: quota(300) });
    place(&mut fleet, 2).expect("there is room again");
    fleet.ok(Command::BeginDeleteAccount { account: account(1) });
    fleet.ok(Command::ForgetAccount { account: account(1) });
    assert_eq!((record(&fleet).more.reserved.bytes, record(&fleet).accounts), (0, 1));
}

//! The bytes of everything the directory persists, pinned: a format that changes under its version number fails here.
//!
//! `golden/v1.txt`, `v2.txt` and `v3.txt` hold a name and the hex bytes per line. Lines are added for new records, never changed. What
//! version 1 holds is still written in it: see [`super::format`].

use super::{
    command::{Command, CreateAccount, Done, Envelope, Outcome, Refusal},
    format::{Stored, decode, encode},
    record::{Account, Bucket, Cell, Key, KeyState, Meta, MoreOfAccount, MoreOfCell},
};
use bulkhead_model::{
    AccessKeyId, AccountId, AccountLimits, CellId, ClaimId, Epoch, NodeId, Timestamp,
    api::control_plane::{AccountState, CellNode, CellState, ReplaceStep, Replacement},
    routing::{Change, Home, NodeRoute},
};
use std::{fmt::Debug, net::SocketAddr};

const PINNED: &str = include_str!("golden/v1.txt");

fn account() -> AccountId {
    AccountId::new(123_456_789_012).expect("twelve digits")
}

fn key() -> AccessKeyId {
    "BKAAAAAAAAAAAAAAAAAA".parse().expect("twenty characters")
}

fn cell() -> CellId {
    "c1".parse().expect("a label")
}

fn node() -> CellNode {
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    CellNode { node: NodeId(3), az: "az-a".parse().expect("a label"), s3: at(9_100), admin: at(9_101), peer: at(9_102) }
}

fn replacement() -> Replacement {
    let (old, new, since) = (NodeId(1), NodeId(4), Timestamp(300));
    Replacement { old, new, planned: Some(node()), step: ReplaceStep::Repairing, since }
}

fn limits() -> AccountLimits {
    AccountLimits { write_requests: Some(50), bytes_in: Some(1 << 20), ..AccountLimits::default() }
}

fn commands() -> Vec<(&'static str, Command)> {
    let (account, key, cell, claim, bucket) = (account(), key(), cell(), ClaimId(7), || "abc".to_owned());
    let create = CreateAccount {
        account,
        display_name: "n".into(),
        email: "n@e".into(),
        candidates: vec![cell.clone()],
        key: key.clone(),
        limits: limits(),
    };
    let stamp =
        Command::StampCell { cell: cell.clone(), blueprint: "dev".into(), blueprint_hash: "h".into(), capacity: 300 };
    vec![
        ("CreateAccount", Command::CreateAccount(create)),
        ("ActivateAccount", Command::ActivateAccount { account, key: key.clone() }),
        ("BeginDeleteAccount", Command::BeginDeleteAccount { account }),
        ("ForgetAccount", Command::ForgetAccount { account }),
        ("CreateKey", Command::CreateKey { account, key: key.clone() }),
        ("ActivateKey", Command::ActivateKey { key: key.clone() }),
        ("BeginDeleteKey", Command::BeginDeleteKey { account, key: key.clone() }),
        ("ForgetKey", Command::ForgetKey { key }),
        ("StampCell", stamp),
        ("PlanCell", Command::PlanCell { cell: cell.clone(), nodes: vec![node()] }),
        ("MoveCell", Command::MoveCell { cell: cell.clone(), to: CellState::Failed { why: "w".into() } }),
        ("ClaimBucket", Command::ClaimBucket { bucket: bucket(), account }),
        ("CommitBucket", Command::CommitBucket { bucket: bucket(), claim }),
        ("ReleaseBucket", Command::ReleaseBucket { bucket: bucket(), claim }),
        ("ReplaceNode", Command::ReplaceNode { cell: cell.clone(), node: NodeId(1) }),
        ("PlanReplacement", Command::PlanReplacement { cell: cell.clone(), node: node() }),
        (
            "MoveReplacement",
            Command::MoveReplacement { cell: cell.clone(), node: NodeId(4), to: ReplaceStep::Swapping },
        ),
        ("FinishReplacement", Command::FinishReplacement { cell, node: NodeId(4) }),
        ("SetLimits", Command::SetLimits { account, limits: limits() }),
        ("LimitsInForce", Command::LimitsInForce { account, version: 3 }),
    ]
}

fn refusals() -> Vec<(&'static str, Refusal)> {
    let (account, key, cell) = (account(), key(), cell());
    let text = || "t".to_owned();
    let exists = Refusal::CellExists { cell: cell.clone(), blueprint: text(), blueprint_hash: text() };
    let under_way = Refusal::ReplacementUnderWay { cell: cell.clone(), old: NodeId(1), new: NodeId(4) };
    vec![
        ("AccountIdTaken", Refusal::AccountIdTaken(account)),
        ("KeyIdTaken", Refusal::KeyIdTaken),
        ("EmailTaken", Refusal::EmailTaken { account, state: AccountState::Deleting }),
        ("NoRoom", Refusal::NoRoom),
        ("NoSuchAccount", Refusal::NoSuchAccount(account)),
        ("AccountNotActive", Refusal::AccountNotActive { account, state: AccountState::Creating }),
        ("AccountNotDeleting", Refusal::AccountNotDeleting { account, state: AccountState::Active }),
        ("AccountNotEmpty", Refusal::AccountNotEmpty { account, buckets: 2 }),
        ("TooManyKeys", Refusal::TooManyKeys { account, keys: 2, max: 2 }),
        ("NoSuchKey", Refusal::NoSuchKey { account, key: key.clone() }),
        ("KeyGone", Refusal::KeyGone(key.clone())),
        ("KeyNotDeleting", Refusal::KeyNotDeleting(key)),
        ("NoSuchCell", Refusal::NoSuchCell(cell.clone())),
        ("CellExists", exists),
        ("TooManyCells", Refusal::TooManyCells { cells: 2, max: 2 }),
        ("IllegalCellMove", Refusal::IllegalCellMove { cell: cell.clone(), from: text(), to: text() }),
        ("CellPlanned", Refusal::CellPlanned(cell.clone())),
        ("CellNotActive", Refusal::CellNotActive { cell: cell.clone(), state: text() }),
        ("NoSuchNode", Refusal::NoSuchNode { cell: cell.clone(), node: NodeId(9) }),
        ("ReplacementUnderWay", under_way),
        ("NoSuchReplacement", Refusal::NoSuchReplacement { cell, node: NodeId(9) }),
        ("BucketTaken", Refusal::BucketTaken),
        ("TooManyBuckets", Refusal::TooManyBuckets { account, buckets: 2, max: 2 }),
    ]
}

fn changes() -> Vec<(&'static str, Change)> {
    let (account, key, cell, bucket) = (account(), key(), cell(), || "abc".to_owned());
    let node = node();
    let route = NodeRoute { node: node.node, az: node.az, s3: node.s3 };
    vec![
        ("Cell", Change::Cell { cell: cell.clone(), nodes: vec![route] }),
        ("CellGone", Change::CellGone { cell: cell.clone() }),
        ("Account", Change::Account { account, home: Home { cell, epoch: Epoch(1) } }),
        ("AccountGone", Change::AccountGone { account }),
        ("Bucket", Change::Bucket { bucket: bucket(), account }),
        ("BucketGone", Change::BucketGone { bucket: bucket() }),
        ("Key", Change::Key { key: key.clone(), account }),
        ("KeyGone", Change::KeyGone { key }),
    ]
}

/// Encodes each sample, checks that it decodes to itself, and notes the line.
#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    fn add<T: Stored + PartialEq + Debug>(&mut self, name: &str, sample: &T) {
        let bytes = encode(sample);
        assert_eq!(decode::<T>(&bytes).as_ref().ok(), Some(sample), "{name}");
        self.0.push(format!("{name} {}", hex::encode(bytes)));
    }

    fn records(&mut self) {
        let (created, since) = (Timestamp(300), Timestamp(301));
        let record = Account {
            display_name: "n".into(),
            email: "n@e".into(),
            cell: cell(),
            epoch: Epoch(4),
            state: AccountState::Active,
            created,
            since,
            buckets: 2,
            keys: vec![key()],
            limits: limits(),
            limits_version: 3,
            limits_in_cell: 2,
            more: MoreOfAccount::default(),
        };
        self.add("Account", &record);
        self.add("Email", &account());
        self.add("Key", &Key { account: account(), state: KeyState::Active, created, disabled: false });
        self.add("Bucket", &Bucket { account: account(), claim: ClaimId(7), committed: true, claimed: created });
        let record = Cell {
            blueprint: "dev".into(),
            blueprint_hash: "h".into(),
            capacity: 300,
            accounts: 2,
            state: CellState::Active,
            nodes: vec![node()],
            last_node: NodeId(4),
            replacement: Some(replacement()),
            created,
            since,
            more: MoreOfCell::default(),
        };
        self.add("Cell", &record);
        self.add("Unsettled", &());
        let (last_claim, time) = (ClaimId(7), created);
        self.add("Meta", &Meta { routing_version: 9, last_claim, time, accounts: 1, buckets: 2, cells: 3 });
    }
}

fn lines() -> Vec<String> {
    let mut lines = Lines::default();
    lines.records();
    for (name, change) in changes() {
        lines.add(&format!("Change.{name}"), &change);
    }
    for (name, command) in commands() {
        lines.add(&format!("Command.{name}"), &Envelope { time: Timestamp(300), command, who: None });
    }
    let placed = Done::AccountPlaced { cell: cell(), epoch: Epoch(1) };
    for (name, done) in [("Ok", Done::Ok), ("AccountPlaced", placed), ("Claimed", Done::Claimed { claim: ClaimId(7) })]
    {
        lines.add(&format!("Outcome.{name}"), &Outcome::Ok(done));
    }
    for (name, refusal) in refusals() {
        lines.add(&format!("Outcome.{name}"), &Outcome::Err(refusal));
    }
    lines.0
}

#[test]
fn everything_the_directory_stores_has_the_bytes_it_was_released_with() {
    let (lines, pinned) = (lines(), PINNED.lines().collect::<Vec<_>>());
    assert_eq!(lines, pinned, "now:\n{}\n", lines.join("\n"));
}

#[path = "golden_v2.rs"]
mod v2;
#[path = "golden_v3.rs"]
mod v3;

//! What each command does, told as stories on a directory in memory.

use super::DirectoryMachine;
use crate::{
    limits::{CHANGES_KEPT, CLAIMS_PER_ACCOUNT_MAX, KEYS_PER_ACCOUNT_MAX},
    store::{
        command::{Command, CreateAccount, Done, Envelope, Outcome, Refusal},
        format,
        keys::{self, Unsettled},
        read,
    },
};
use bulkhead_model::{
    AccessKeyId, AccountId, AccountLimits, CellId, ClaimId, Epoch, NodeId, Timestamp,
    api::control_plane::{AccountState, CellNode, CellState},
};
use bulkhead_replica::{Machine as _, MemoryStore};

/// A directory without consensus: commands are applied as they come.
#[derive(Default)]
pub struct Fleet {
    pub store: MemoryStore,
    pub time: Timestamp,
    /// Nobody, as in version 1, unless a test says so.
    pub who: Option<String>,
}

impl Fleet {
    /// A fleet with these active cells, each for `capacity` accounts.
    pub fn with_cells(names: &[&str], capacity: u64) -> Self {
        let mut fleet = Self::default();
        for name in names {
            fleet.ok(stamp(name, "h1", capacity));
            fleet.ok(Command::PlanCell { cell: cell(name), nodes: vec![node()] });
            fleet.ok(Command::MoveCell { cell: cell(name), to: CellState::Forming });
            fleet.ok(Command::MoveCell { cell: cell(name), to: CellState::Active });
        }
        fleet
    }

    /// An active account with one key.
    pub fn with_account(mut self, n: u64) -> Self {
        self.create(n, &["c1"]).expect("there is room");
        self.ok(Command::ActivateAccount { account: account(n), key: key(n) });
        self
    }

    pub fn apply(&mut self, command: Command) -> Outcome {
        let envelope = format::encode(&Envelope { time: self.time, command, who: self.who.clone() });
        let applied = DirectoryMachine.apply(&self.store, &envelope).expect("a readable directory");
        let outcome: Outcome = format::decode(&applied.outcome).expect("an outcome");
        assert!(outcome.is_ok() || applied.mutations.is_empty(), "a refusal changes nothing");
        self.store.write(applied.mutations);
        outcome
    }

    pub fn ok(&mut self, command: Command) {
        let outcome = self.apply(command.clone());
        assert!(outcome.is_ok(), "{command:?}: {outcome:?}");
    }

    fn create(&mut self, n: u64, candidates: &[&str]) -> Outcome {
        self.apply(Command::CreateAccount(CreateAccount {
            account: account(n),
            display_name: format!("Account {n}"),
            email: format!("A{n}@example.com"),
            candidates: candidates.iter().map(|name| cell(name)).collect(),
            key: key(n),
            limits: AccountLimits::default(),
        }))
    }

    fn claim(&mut self, bucket: &str, n: u64) -> Outcome {
        self.apply(Command::ClaimBucket { bucket: bucket.into(), account: account(n) })
    }

    fn state_of(&self, n: u64) -> Option<AccountState> {
        read::account(&self.store, account(n)).expect("readable").map(|record| record.state)
    }

    fn accounts_in(&self, name: &str) -> u64 {
        read::cell(&self.store, &cell(name)).expect("readable").expect("stamped").accounts
    }

    fn unsettled(&self) -> Vec<Unsettled> {
        read::unsettled(&self.store, &[], 100).expect("readable")
    }
}

pub fn account(n: u64) -> AccountId {
    AccountId::new(AccountId::FIRST + n).expect("in range")
}

pub fn key(n: u64) -> AccessKeyId {
    format!("BK{n:018}").parse().expect("20 characters")
}

pub fn cell(name: &str) -> CellId {
    name.parse().expect("a label")
}

fn node() -> CellNode {
    let address = "127.0.0.1:1".parse().expect("an address");
    CellNode { node: NodeId(1), az: "az-a".parse().expect("a label"), s3: address, admin: address, peer: address }
}

fn stamp(name: &str, hash: &str, capacity: u64) -> Command {
    Command::StampCell { cell: cell(name), blueprint: "dev".into(), blueprint_hash: hash.into(), capacity }
}

#[test]
fn an_account_is_reserved_where_the_most_headroom_is_and_opened_once_the_cell_has_it() {
    let mut fleet = Fleet::with_cells(&["c1", "c2"], 10);
    let placed = |name| Ok(Done::AccountPlaced { cell: cell(name), epoch: Epoch(1) });
    assert_eq!(fleet.create(1, &["c2", "c1"]), placed("c2"));
    assert_eq!(fleet.create(2, &["c2", "c1"]), placed("c1"));
    assert_eq!(fleet.state_of(1), Some(AccountState::Creating));
    assert_eq!(fleet.unsettled(), [Unsettled::Account(account(1)), Unsettled::Account(account(2))]);
    fleet.ok(Command::ActivateAccount { account: account(1), key: key(1) });
    fleet.ok(Command::ActivateAccount { account: account(1), key: key(1) });
    assert_eq!(fleet.state_of(1), Some(AccountState::Active));
    assert_eq!(fleet.unsettled(), [Unsettled::Account(account(2))]);
}

#[test]
fn a_full_or_unfinished_cell_takes_no_account() {
    let mut fleet = Fleet::with_cells(&["c1"], 2);
    fleet.ok(stamp("c2", "h1", 100));
    assert!(fleet.create(1, &["c1", "c2"]).is_ok());
    assert_eq!(fleet.create(2, &["c1", "c2"]), Err(Refusal::NoRoom));
}

#[test]
fn ids_and_emails_are_taken_once_whatever_the_case() {
    let mut fleet = Fleet::with_cells(&["c1"], 100).with_account(1);
    let create = |n: u64, email: &str, key_of: u64| {
        Command::CreateAccount(CreateAccount {
            account: account(n),
            display_name: "x".into(),
            email: email.into(),
            candidates: vec![cell("c1")],
            key: key(key_of),
            limits: AccountLimits::default(),
        })
    };
    let taken = Refusal::EmailTaken { account: account(1), state: AccountState::Active };
    assert_eq!(fleet.apply(create(2, "a1@EXAMPLE.com", 2)), Err(taken));
    assert_eq!(fleet.apply(create(1, "b@example.com", 2)), Err(Refusal::AccountIdTaken(account(1))));
    assert_eq!(fleet.apply(create(2, "b@example.com", 1)), Err(Refusal::KeyIdTaken));
}

#[test]
fn a_deleted_account_leaves_nothing_behind_and_its_place_and_email_are_free_again() {
    let mut fleet = Fleet::with_cells(&["c1"], 100);
    let before = fleet.store.clone();
    fleet = fleet.with_account(1);
    fleet.ok(Command::CreateKey { account: account(1), key: key(7) });
    fleet.ok(Command::BeginDeleteAccount { account: account(1) });
    assert_eq!(fleet.state_of(1), Some(AccountState::Deleting));
    fleet.ok(Command::ForgetAccount { account: account(1) });
    fleet.ok(Command::ForgetAccount { account: account(1) });
    for family in [keys::ACCOUNTS, keys::EMAILS, keys::KEYS, keys::UNSETTLED] {
        assert_eq!(fleet.store.len(family), before.len(family), "{}", family.name);
    }
    assert_eq!(fleet.accounts_in("c1"), 0);
    assert!(fleet.create(2, &["c1"]).is_ok());
}

#[test]
fn an_account_with_buckets_is_not_deleted_and_one_being_deleted_claims_nothing() {
    let mut fleet = Fleet::with_cells(&["c1"], 100).with_account(1);
    assert_eq!(fleet.claim("photos", 1), Ok(Done::Claimed { claim: ClaimId(1) }));
    let delete = Command::BeginDeleteAccount { account: account(1) };
    assert_eq!(fleet.apply(delete.clone()), Err(Refusal::AccountNotEmpty { account: account(1), buckets: 1 }));
    fleet.ok(Command::ReleaseBucket { bucket: "photos".into(), claim: ClaimId(1) });
    fleet.ok(delete);
    let refused = Refusal::AccountNotActive { account: account(1), state: AccountState::Deleting };
    assert_eq!(fleet.claim("photos", 1), Err(refused));
}

#[test]
fn an_account_in_use_is_neither_forgotten_nor_activated_again_after_deletion_began() {
    let mut fleet = Fleet::with_cells(&["c1"], 100).with_account(1);
    let forget = Command::ForgetAccount { account: account(1) };
    let in_use = Refusal::AccountNotDeleting { account: account(1), state: AccountState::Active };
    assert_eq!(fleet.apply(forget), Err(in_use));
    assert!(fleet.create(2, &["c1"]).is_ok());
    fleet.ok(Command::BeginDeleteAccount { account: account(2) });
    let late = fleet.apply(Command::ActivateAccount { account: account(2), key: key(2) });
    assert_eq!(late, Err(Refusal::AccountNotActive { account: account(2), state: AccountState::Deleting }));
}

#[test]
fn keys_are_bounded_and_belong_to_one_account() {
    let mut fleet = Fleet::with_cells(&["c1"], 100).with_account(1).with_account(2);
    for n in 1..KEYS_PER_ACCOUNT_MAX as u64 {
        fleet.ok(Command::CreateKey { account: account(1), key: key(100 + n) });
    }
    let max = KEYS_PER_ACCOUNT_MAX as u64;
    let refused = fleet.apply(Command::CreateKey { account: account(1), key: key(200) });
    assert_eq!(refused, Err(Refusal::TooManyKeys { account: account(1), keys: max, max }));
    let foreign = fleet.apply(Command::BeginDeleteKey { account: account(2), key: key(101) });
    assert_eq!(foreign, Err(Refusal::NoSuchKey { account: account(2), key: key(101) }));
    fleet.ok(Command::BeginDeleteKey { account: account(1), key: key(101) });
    assert_eq!(fleet.apply(Command::ActivateKey { key: key(101) }), Err(Refusal::KeyGone(key(101))));
    fleet.ok(Command::ForgetKey { key: key(101) });
    fleet.ok(Command::CreateKey { account: account(1), key: key(200) });
}

#[test]
fn a_claim_is_repeated_to_its_holder_refused_to_others_and_never_given_twice() {
    let mut fleet = Fleet::with_cells(&["c1"], 100).with_account(1).with_account(2);
    let claimed = |n| Ok(Done::Claimed { claim: ClaimId(n) });
    assert_eq!(fleet.claim("photos", 1), claimed(1));
    assert_eq!(fleet.claim("photos", 1), claimed(1));
    assert_eq!(fleet.claim("photos", 2), Err(Refusal::BucketTaken));
    fleet.ok(Command::CommitBucket { bucket: "photos".into(), claim: ClaimId(1) });
    assert_eq!(fleet.claim("photos", 1), claimed(1));
    assert!(fleet.unsettled().is_empty());
    fleet.ok(Command::ReleaseBucket { bucket: "photos".into(), claim: ClaimId(1) });
    assert_eq!(fleet.claim("photos", 2), claimed(2));
    fleet.ok(Command::ReleaseBucket { bucket: "photos".into(), claim: ClaimId(1) });
    fleet.ok(Command::CommitBucket { bucket: "photos".into(), claim: ClaimId(1) });
    let held = read::bucket(&fleet.store, "photos").expect("readable").expect("claimed");
    assert_eq!((held.account, held.claim, held.committed), (account(2), ClaimId(2), false));
}

#[test]
fn bucket_names_of_one_account_are_bounded() {
    let mut fleet = Fleet::with_cells(&["c1"], 100).with_account(1);
    for n in 0..CLAIMS_PER_ACCOUNT_MAX {
        assert!(fleet.claim(&format!("bucket-{n}"), 1).is_ok());
    }
    let max = CLAIMS_PER_ACCOUNT_MAX;
    assert_eq!(fleet.claim("more", 1), Err(Refusal::TooManyBuckets { account: account(1), buckets: max, max }));
}

#[test]
fn a_cell_keeps_its_blueprint_and_its_addresses_and_a_failed_one_may_be_tried_again() {
    let mut fleet = Fleet::default();
    fleet.ok(stamp("c1", "h1", 10));
    fleet.ok(stamp("c1", "h1", 10));
    assert!(matches!(fleet.apply(stamp("c1", "h2", 10)), Err(Refusal::CellExists { .. })));
    fleet.ok(Command::PlanCell { cell: cell("c1"), nodes: vec![node()] });
    let other = CellNode { node: NodeId(2), ..node() };
    let replanned = fleet.apply(Command::PlanCell { cell: cell("c1"), nodes: vec![other] });
    assert_eq!(replanned, Err(Refusal::CellPlanned(cell("c1"))));
    fleet.ok(Command::MoveCell { cell: cell("c1"), to: CellState::Failed { why: "no disk".into() } });
    assert!(fleet.apply(Command::MoveCell { cell: cell("c1"), to: CellState::Active }).is_err());
    fleet.ok(stamp("c1", "h1", 10));
    let record = read::cell(&fleet.store, &cell("c1")).expect("readable").expect("stamped");
    assert_eq!((record.state, record.nodes), (CellState::Provisioning, vec![node()]));
}

#[test]
fn the_feed_keeps_the_last_changes_only() {
    let mut fleet = Fleet::with_cells(&["c1"], 100).with_account(1);
    for n in 0..CHANGES_KEPT {
        let claim = ClaimId(n + 1);
        assert_eq!(fleet.claim("photos", 1), Ok(Done::Claimed { claim }));
        fleet.ok(Command::ReleaseBucket { bucket: "photos".into(), claim });
    }
    assert_eq!(fleet.store.len(keys::CHANGES) as u64, CHANGES_KEPT);
}

#[test]
fn time_never_goes_back() {
    let mut fleet = Fleet { time: Timestamp(1_000), ..Fleet::default() };
    fleet.ok(stamp("c1", "h1", 10));
    fleet.time = Timestamp(10);
    fleet.ok(stamp("c2", "h1", 10));
    let second = read::cell(&fleet.store, &cell("c2")).expect("readable").expect("stamped");
    assert_eq!(second.created, Timestamp(1_000));
}

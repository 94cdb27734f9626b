//! The bytes of what version 2 brought.

use super::{Lines, account, cell, key, limits, node};
use crate::store::{
    command::{Candidate, Command, Done, Envelope, Outcome, PlaceAccount, Refusal},
    record::{
        Account, Answered, AuditRecord, Cell, CertificateRecord, Certified, Counters, Idempotent, Key, KeyState,
        MoreOfAccount, MoreOfCell, OperationRecord, TokenRecord, Vouched,
    },
};
use bulkhead_model::{
    Epoch, NodeId, Timestamp,
    api::control_plane::{
        AccountState, CellState, ClosedBy, Considered, Dimension, Figures, OperationKind, OperationState,
        OperationStep, Placed, Quota, Role,
    },
};

const PINNED: &str = include_str!("golden/v2.txt");

fn figures() -> Figures {
    Figures { accounts: 1, bytes: 300, objects: 3, requests: 4 }
}

fn quota() -> Quota {
    Quota { bytes: Some(300), objects: None, buckets: Some(2) }
}

fn certified() -> Certified {
    let (blueprint_hash, build, digest) = ("h".into(), "0.1.0".into(), "d".into());
    Certified { blueprint_hash, build, digest, issued: Timestamp(300), expires: Timestamp(301) }
}

fn place() -> PlaceAccount {
    PlaceAccount {
        account: account(),
        display_name: "n".into(),
        email: "n@e".into(),
        key: key(),
        limits: limits(),
        quota: quota(),
        regions: vec!["eu".into()],
        apart: Some("g".into()),
        candidates: vec![Candidate { cell: cell(), seen: figures() }],
        left_out: vec![(cell(), "w".into())],
    }
}

fn commands() -> Vec<(&'static str, Command)> {
    let (account, key, cell, name) = (account(), key(), cell(), || "n".to_owned());
    let answer = Some(Answered { status: 201, body: "b".into() });
    let request = Command::RequestCell {
        cell: cell.clone(),
        blueprint: "dev".into(),
        blueprint_hash: "h".into(),
        region: "eu".into(),
        capacity: figures(),
    };
    let advance = |to| Command::AdvanceCell { cell: cell.clone(), seen: Timestamp(300), to, note: name() };
    let certify = Command::CertifyCell { cell: cell.clone(), certified: certified(), document: "d".into() };
    let note =
        Command::NoteOperation { operation: 7, step: Some(name()), state: OperationState::Failed { why: name() } };
    vec![
        ("RequestCell", request),
        ("ResumeCell", Command::ResumeCell { cell: cell.clone() }),
        ("AdvanceCell.Certifying", advance(CellState::Certifying)),
        ("AdvanceCell.Requested", advance(CellState::Requested)),
        ("AdvanceCell.Draining", advance(CellState::Draining)),
        ("AdvanceCell.Retired", advance(CellState::Retired)),
        ("AdvanceCell.Dismantling", advance(CellState::Dismantling { forget: true })),
        ("AdvanceCell.Operator", advance(CellState::Closed { by: ClosedBy::Operator })),
        ("AdvanceCell.SoftLimit", advance(CellState::Closed { by: ClosedBy::SoftLimit { why: name() } })),
        ("AdvanceCell.Certificate", advance(CellState::Closed { by: ClosedBy::Certificate { why: name() } })),
        ("CertifyCell", certify),
        ("WaiveCertificate", Command::WaiveCertificate { cell: cell.clone(), seen: Timestamp(300) }),
        ("DismantleCell", Command::DismantleCell { cell: cell.clone(), forget: true }),
        ("ForgetCell", Command::ForgetCell { cell }),
        ("PlaceAccount", Command::PlaceAccount(place())),
        ("SetQuota", Command::SetQuota { account, quota: quota() }),
        ("MoveAccount.Suspended", Command::MoveAccount { account, to: AccountState::Suspended }),
        ("MoveAccount.Purging", Command::MoveAccount { account, to: AccountState::Purging }),
        ("SwitchKey", Command::SwitchKey { account, key, disabled: true }),
        ("SettingsInForce", Command::SettingsInForce { account, version: 3 }),
        ("BeginOperation", Command::BeginOperation { kind: OperationKind::ReplaceNode, target: name() }),
        ("NoteOperation", note),
        ("CreateToken", Command::CreateToken { name: name(), role: Role::Operator, digest: "d".into() }),
        ("RevokeToken", Command::RevokeToken { name: name() }),
        ("BeginIdempotent", Command::BeginIdempotent { key: name(), request: "r".into() }),
        ("FinishIdempotent", Command::FinishIdempotent { key: name(), answer }),
    ]
}

fn refusals() -> Vec<(&'static str, Refusal)> {
    let (account, cell, text) = (account(), cell(), || "t".to_owned());
    vec![
        ("CellMoved", Refusal::CellMoved { cell: cell.clone(), state: text() }),
        ("CellHasAccounts", Refusal::CellHasAccounts { cell: cell.clone(), accounts: 2 }),
        ("CellCannot", Refusal::CellCannot { cell: cell.clone(), state: text(), accepted: text() }),
        ("CellUnvouched", Refusal::CellUnvouched { cell, why: text() }),
        ("NoCellFits", Refusal::NoCellFits { why: text() }),
        ("NoSuchOperation", Refusal::NoSuchOperation(7)),
        ("TokenExists", Refusal::TokenExists(text())),
        ("NoSuchToken", Refusal::NoSuchToken(text())),
        ("TooManyTokens", Refusal::TooManyTokens { tokens: 2, max: 2 }),
        ("IdempotencyMismatch", Refusal::IdempotencyMismatch(text())),
        (
            "IllegalAccountMove",
            Refusal::IllegalAccountMove { account, state: AccountState::Purging, to: AccountState::Active },
        ),
    ]
}

fn suspended(created: Timestamp, since: Timestamp) -> Account {
    let considered =
        Considered { cell: cell(), scarcest: Dimension::Bytes, free_permille: 500, refused: Some("w".into()) };
    let placed = Placed { at: created, considered: vec![considered], left_out: vec![(cell(), "w".into())] };
    Account {
        display_name: "n".into(),
        email: "n@e".into(),
        cell: cell(),
        epoch: Epoch(4),
        state: AccountState::Suspended,
        created,
        since,
        buckets: 2,
        keys: vec![key()],
        limits: limits(),
        limits_version: 3,
        limits_in_cell: 2,
        more: MoreOfAccount {
            quota: quota(),
            reserved: figures(),
            regions: vec!["eu".into()],
            apart: Some("g".into()),
            placed: Some(placed),
            operation: Some(7),
            settings_version: 2,
            settings_in_cell: 1,
        },
    }
}

fn records(lines: &mut Lines) {
    let (created, since) = (Timestamp(300), Timestamp(301));
    lines.add("Account", &suspended(created, since));
    lines.add("Key", &Key { account: account(), state: KeyState::Active, created, disabled: true });
    for (name, vouched) in [("Cell.Waived", Vouched::Waived), ("Cell.By", Vouched::By(certified()))] {
        lines.add(
            name,
            &Cell {
                blueprint: "dev".into(),
                blueprint_hash: "h".into(),
                capacity: 300,
                accounts: 2,
                state: CellState::Certifying,
                nodes: vec![node()],
                last_node: NodeId(4),
                replacement: None,
                created,
                since,
                more: MoreOfCell {
                    region: "eu".into(),
                    capacity: figures(),
                    reserved: figures(),
                    vouched,
                    operation: Some(7),
                },
            },
        );
    }
    lines.add("Certificate", &CertificateRecord { document: "d".into() });
    let step = OperationStep { at: created, what: "w".into() };
    for (name, kind, state) in [
        ("Operation.StampCell", OperationKind::StampCell, OperationState::Running),
        ("Operation.DismantleCell", OperationKind::DismantleCell, OperationState::Succeeded),
        ("Operation.PurgeAccount", OperationKind::PurgeAccount, OperationState::Failed { why: "w".into() }),
    ] {
        let (target, by) = ("c1".into(), "ci".into());
        lines.add(name, &OperationRecord { kind, target, state, steps: vec![step.clone()], began: created, by });
    }
    let (who, what, target, before, after) = ("ci".into(), "SetLimits".into(), "t".into(), None, Some("{}".into()));
    lines.add("Audit", &AuditRecord { at: created, who, what, target, before, after });
    lines.add("Token", &TokenRecord { role: Role::ReadOnly, digest: "d".into(), created });
    let answer = Some(Answered { status: 201, body: "b".into() });
    lines.add("Idempotent", &Idempotent { request: "r".into(), began: created, answer });
    lines.add("IdempotentNumber", &"k".to_owned());
    lines.add("Counters", &Counters { last_operation: 1, last_audit: 2, last_idempotent: 3 });
}

fn lines() -> Vec<String> {
    let mut lines = Lines::default();
    records(&mut lines);
    for (name, command) in commands() {
        let who = Some("ci".to_owned());
        lines.add(&format!("Command.{name}"), &Envelope { time: Timestamp(300), command, who });
    }
    let answer = Some(Answered { status: 201, body: "b".into() });
    for (name, done) in
        [("Operation", Done::Operation { operation: 7 }), ("First", Done::First), ("Again", Done::Again { answer })]
    {
        lines.add(&format!("Outcome.{name}"), &Outcome::Ok(done));
    }
    for (name, refusal) in refusals() {
        lines.add(&format!("Outcome.{name}"), &Outcome::Err(refusal));
    }
    lines.0
}

#[test]
fn everything_that_version_2_brought_has_the_bytes_it_was_released_with() {
    let (lines, pinned) = (lines(), PINNED.lines().collect::<Vec<_>>());
    assert!(lines.iter().all(|line| line.contains(" 02")), "it is written in version 2");
    assert_eq!(lines, pinned, "now:\n{}\n", lines.join("\n"));
}

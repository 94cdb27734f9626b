//! How a node's replacement is recorded: one at a time, in order, and never under an id that was used.

use super::tests::Fleet;
use crate::store::{
    command::{Command, Refusal},
    keys, read,
    record::Cell,
};
use bulkhead_model::{
    CellId, NodeId,
    api::control_plane::{CellNode, CellState, ReplaceStep},
};

fn c1() -> CellId {
    "c1".parse().expect("a label")
}

fn node(number: u64) -> CellNode {
    let address = ([127, 0, 0, 1], 1).into();
    let az = format!("az-{number}").parse().expect("a label");
    CellNode { node: NodeId(number), az, s3: address, admin: address, peer: address }
}

fn replace(number: u64) -> Command {
    Command::ReplaceNode { cell: c1(), node: NodeId(number) }
}

fn plan(number: u64) -> Command {
    Command::PlanReplacement { cell: c1(), node: node(number) }
}

fn advance(number: u64, to: ReplaceStep) -> Command {
    Command::MoveReplacement { cell: c1(), node: NodeId(number), to }
}

fn finish(number: u64) -> Command {
    Command::FinishReplacement { cell: c1(), node: NodeId(number) }
}

/// A cell of nodes 1 to 3.
fn fleet() -> Fleet {
    let mut fleet = Fleet::default();
    let (blueprint, blueprint_hash) = ("dev".into(), "h1".into());
    fleet.ok(Command::StampCell { cell: c1(), blueprint, blueprint_hash, capacity: 10 });
    fleet.ok(Command::PlanCell { cell: c1(), nodes: vec![node(1), node(2), node(3)] });
    assert!(matches!(fleet.apply(replace(1)), Err(Refusal::CellNotActive { .. })));
    for to in [CellState::Forming, CellState::Active] {
        fleet.ok(Command::MoveCell { cell: c1(), to });
    }
    fleet
}

fn record(fleet: &Fleet) -> Cell {
    read::cell(&fleet.store, &c1()).expect("readable").expect("stamped")
}

fn ids(fleet: &Fleet) -> Vec<u64> {
    record(fleet).nodes.iter().map(|node| node.node.0).collect()
}

#[test]
fn a_node_is_replaced_step_by_step_and_every_step_may_be_repeated() {
    let mut fleet = fleet();
    let published = fleet.store.len(keys::CHANGES);
    for _ in 0..2 {
        fleet.ok(replace(2));
    }
    assert!(
        matches!(fleet.apply(advance(4, ReplaceStep::Swapping)), Err(Refusal::NoSuchReplacement { .. })),
        "no plan"
    );
    for _ in 0..2 {
        fleet.ok(plan(4));
    }
    let elsewhere = CellNode { s3: ([127, 0, 0, 1], 9).into(), ..node(4) };
    let replanned = fleet.apply(Command::PlanReplacement { cell: c1(), node: elsewhere });
    assert!(matches!(replanned, Err(Refusal::NoSuchReplacement { .. })), "it is planned once");
    assert!(fleet.apply(advance(4, ReplaceStep::Repairing)).is_err(), "a step is left out");
    assert!(fleet.apply(finish(4)).is_err());
    assert_eq!(ids(&fleet), [1, 2, 3]);
    for to in [ReplaceStep::Swapping, ReplaceStep::Repairing] {
        for _ in 0..2 {
            fleet.ok(advance(4, to));
        }
    }
    assert_eq!(ids(&fleet), [1, 4, 3]);
    assert_eq!(fleet.store.len(keys::CHANGES), published + 1, "routers hear of it once");
    for _ in 0..2 {
        fleet.ok(finish(4));
    }
    assert_eq!(record(&fleet).replacement, None);
}

#[test]
fn a_cell_spares_one_node_at_a_time_and_an_id_is_never_used_again() {
    let mut fleet = fleet();
    fleet.ok(replace(3));
    assert!(matches!(fleet.apply(replace(1)), Err(Refusal::ReplacementUnderWay { .. })));
    fleet.ok(plan(4));
    for to in [ReplaceStep::Swapping, ReplaceStep::Repairing] {
        fleet.ok(advance(4, to));
        assert!(matches!(fleet.apply(replace(1)), Err(Refusal::ReplacementUnderWay { .. })));
    }
    fleet.ok(finish(4));
    assert!(matches!(fleet.apply(replace(3)), Err(Refusal::NoSuchNode { .. })));
    fleet.ok(replace(4));
    assert_eq!(record(&fleet).replacement.map(|replacement| replacement.new), Some(NodeId(5)));
}

//! Cells: recorded before anything is provisioned, known to routers once active.
//!
//! `stamp` and `change_state` are commands of version 1 and go on to mean what they meant; [`super::life`] came after them.

use super::change_set::ChangeSet;
use crate::{
    domain::cell,
    limits::CELLS_MAX,
    store::{
        command::{Done, Outcome, Refusal},
        read,
        record::{Cell, MoreOfCell},
    },
};
use bulkhead_model::{
    CellId, NodeId,
    api::control_plane::{CellNode, CellState, OperationState},
    routing::{Change, NodeRoute},
};
use bulkhead_replica::StoreError;

/// Records a cell to be stamped; a failed one of the same blueprint gets another attempt with the addresses it has.
pub fn stamp(
    set: &mut ChangeSet<'_>,
    id: CellId,
    blueprint: String,
    blueprint_hash: String,
    capacity: u64,
) -> Result<Outcome, StoreError> {
    if let Some(mut cell) = read::cell(set.view, &id)? {
        if cell.blueprint_hash != blueprint_hash {
            let (blueprint, blueprint_hash) = (cell.blueprint, cell.blueprint_hash);
            return Ok(Err(Refusal::CellExists { cell: id, blueprint, blueprint_hash }));
        }
        if cell::v1::may_become(&cell.state, &CellState::Provisioning) {
            cell.state = CellState::Provisioning;
            cell.since = set.time();
            set.put_cell(&id, &cell)?;
        }
        return Ok(Ok(Done::Ok));
    }
    if set.meta.cells >= CELLS_MAX {
        return Ok(Err(Refusal::TooManyCells { cells: set.meta.cells, max: CELLS_MAX }));
    }
    let (created, since) = (set.time(), set.time());
    let cell = Cell {
        blueprint,
        blueprint_hash,
        capacity,
        accounts: 0,
        state: CellState::Provisioning,
        nodes: Vec::new(),
        last_node: NodeId(0),
        replacement: None,
        created,
        since,
        more: MoreOfCell::default(),
    };
    set.put_cell(&id, &cell)?;
    set.meta.cells += 1;
    Ok(Ok(Done::Ok))
}

/// Records the addresses of a cell's nodes. They are planned once: a restarted provisioner must find the same processes.
pub fn plan(set: &mut ChangeSet<'_>, id: CellId, nodes: Vec<CellNode>) -> Result<Outcome, StoreError> {
    let Some(mut cell) = read::cell(set.view, &id)? else { return Ok(Err(Refusal::NoSuchCell(id))) };
    if cell.nodes == nodes {
        return Ok(Ok(Done::Ok));
    }
    if !cell.nodes.is_empty() {
        return Ok(Err(Refusal::CellPlanned(id)));
    }
    cell.last_node = nodes.iter().map(|node| node.node).max().unwrap_or(cell.last_node);
    cell.nodes = nodes;
    set.put_cell(&id, &cell)?;
    let planned =
        cell.nodes.iter().map(|node| format!("node {} in {}", node.node, node.az)).collect::<Vec<_>>().join(", ");
    set.note_operation(cell.more.operation, Some(format!("addresses planned: {planned}")), OperationState::Running)?;
    Ok(Ok(Done::Ok))
}

/// Moves a cell along its life. Repeating a move is harmless.
pub fn change_state(set: &mut ChangeSet<'_>, id: CellId, to: CellState) -> Result<Outcome, StoreError> {
    let Some(mut cell) = read::cell(set.view, &id)? else { return Ok(Err(Refusal::NoSuchCell(id))) };
    if cell.state == to {
        return Ok(Ok(Done::Ok));
    }
    if !cell::v1::may_become(&cell.state, &to) {
        let (from, to) = (cell::name(&cell.state).into(), cell::name(&to).into());
        return Ok(Err(Refusal::IllegalCellMove { cell: id, from, to }));
    }
    cell.state = to;
    cell.since = set.time();
    set.put_cell(&id, &cell)?;
    if cell.state == CellState::Active {
        publish(set, id, cell.nodes);
    }
    Ok(Ok(Done::Ok))
}

/// Tells routers where a cell's nodes are.
pub(super) fn publish(set: &mut ChangeSet<'_>, id: CellId, nodes: Vec<CellNode>) {
    let route = |node: CellNode| NodeRoute { node: node.node, az: node.az, s3: node.s3 };
    set.publish(&Change::Cell { cell: id, nodes: nodes.into_iter().map(route).collect() });
}

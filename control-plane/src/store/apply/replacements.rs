//! A node takes another's place. Each step is written down before the next is taken, so a crash is only a later start.

use super::{cells, change_set::ChangeSet};
use crate::{
    domain::{cell, replacement},
    store::{
        command::{Done, Outcome, Refusal},
        read,
        record::Cell,
    },
};
use bulkhead_model::{
    CellId, NodeId,
    api::control_plane::{CellNode, OperationKind, OperationState, ReplaceStep, Replacement},
};
use bulkhead_replica::StoreError;

/// Begins to replace `node` by one with the next id.
pub fn begin(set: &mut ChangeSet<'_>, id: CellId, node: NodeId) -> Result<Outcome, StoreError> {
    let Some(mut cell) = read::cell(set.view, &id)? else { return Ok(Err(Refusal::NoSuchCell(id))) };
    match &cell.replacement {
        Some(under_way) if under_way.old == node => return Ok(Ok(Done::Ok)),
        Some(Replacement { old, new, .. }) => {
            return Ok(Err(Refusal::ReplacementUnderWay { cell: id, old: *old, new: *new }));
        }
        None => {}
    }
    if !cell::is_routed(&cell.state) {
        return Ok(Err(Refusal::CellNotActive { cell: id, state: cell::name(&cell.state).into() }));
    }
    if !cell.nodes.iter().any(|known| known.node == node) {
        return Ok(Err(Refusal::NoSuchNode { cell: id, node }));
    }
    cell.last_node = NodeId(cell.last_node.0 + 1);
    let (new, step, since) = (cell.last_node, ReplaceStep::Joining, set.time());
    cell.replacement = Some(Replacement { old: node, new, planned: None, step, since });
    // Version 1 knows no operations.
    if set.names_somebody() {
        let what = format!("node {node} is to be replaced by node {new}");
        cell.more.operation = Some(set.begin_operation(OperationKind::ReplaceNode, id.to_string(), &what)?);
    }
    set.put_cell(&id, &cell)?;
    Ok(Ok(Done::Ok))
}

/// Records the new node's addresses. They are planned once: a restarted provisioner must find the same process.
pub fn plan(set: &mut ChangeSet<'_>, id: CellId, planned: CellNode) -> Result<Outcome, StoreError> {
    let node = planned.node;
    with(set, id, node, |_, cell, mut replacement| {
        if replacement.planned.as_ref().is_some_and(|known| *known != planned) {
            return false;
        }
        replacement.planned = Some(planned);
        cell.replacement = Some(replacement);
        true
    })
}

/// Moves a replacement on. When the new node has taken the place, the cell's list of nodes says so, and routers hear of it.
pub fn advance(set: &mut ChangeSet<'_>, id: CellId, node: NodeId, to: ReplaceStep) -> Result<Outcome, StoreError> {
    with(set, id.clone(), node, |set, cell, mut replacement| {
        let Some(planned) = replacement.planned.clone() else { return false };
        if replacement.step == to {
            return true;
        }
        if !replacement::may_become(replacement.step, to) {
            return false;
        }
        if to == ReplaceStep::Repairing {
            let place = cell.nodes.iter_mut().filter(|known| known.node == replacement.old);
            place.for_each(|place| *place = planned.clone());
            cells::publish(set, id, cell.nodes.clone());
        }
        (replacement.step, replacement.since) = (to, set.time());
        cell.replacement = Some(replacement);
        true
    })
}

/// Ends a replacement. One that is ended already is no error.
pub fn finish(set: &mut ChangeSet<'_>, id: CellId, node: NodeId) -> Result<Outcome, StoreError> {
    let known = read::cell(set.view, &id)?;
    if known.is_some_and(|cell| cell.replacement.is_none() && cell.nodes.iter().any(|known| known.node == node)) {
        return Ok(Ok(Done::Ok));
    }
    with(set, id, node, |_, cell, replacement| {
        cell.replacement = None;
        replacement.step == ReplaceStep::Repairing
    })
}

/// Changes the replacement by `node`; `change` says whether it may be changed so.
fn with(
    set: &mut ChangeSet<'_>,
    id: CellId,
    node: NodeId,
    change: impl FnOnce(&mut ChangeSet<'_>, &mut Cell, Replacement) -> bool,
) -> Result<Outcome, StoreError> {
    let Some(mut cell) = read::cell(set.view, &id)? else { return Ok(Err(Refusal::NoSuchCell(id))) };
    let under_way = cell.replacement.clone().filter(|replacement| replacement.new == node);
    let changed = under_way.is_some_and(|replacement| change(set, &mut cell, replacement));
    if !changed {
        return Ok(Err(Refusal::NoSuchReplacement { cell: id, node }));
    }
    let (what, state) = match cell.replacement.as_ref().map(|replacement| replacement.step) {
        Some(ReplaceStep::Joining) => (format!("node {node} is started and catches up"), OperationState::Running),
        Some(ReplaceStep::Swapping) => {
            (format!("node {node} has caught up and takes the place"), OperationState::Running)
        }
        Some(ReplaceStep::Repairing) => {
            (format!("node {node} has the place; chunks are copied to it"), OperationState::Running)
        }
        None => ("the cell is whole again".to_owned(), OperationState::Succeeded),
    };
    set.note_operation(cell.more.operation, Some(what), state)?;
    set.put_cell(&id, &cell)?;
    Ok(Ok(Done::Ok))
}

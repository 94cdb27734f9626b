//! The life of a cell: requested, stamped, vouched for, closed, drained, removed. The rules are [`crate::domain::cell`].
//!
//! Whatever moves a cell also notes the step in the operation that people watch, in the same batch.

use super::{cells, change_set::ChangeSet};
use crate::{
    domain::cell,
    limits::CELLS_MAX,
    store::{
        command::{Done, Outcome, Refusal},
        read,
        record::{Cell, Certified, MoreOfCell, Vouched},
    },
};
use bulkhead_model::{
    CellId, NodeId, Timestamp,
    api::control_plane::{CellState, Figures, OperationKind, OperationState},
    routing::Change,
};
use bulkhead_replica::StoreError;

/// Records a cell to be stamped. Asked again for a cell that is on its way, it names the operation that is under way.
pub fn request(
    set: &mut ChangeSet<'_>,
    id: CellId,
    blueprint: String,
    blueprint_hash: String,
    region: String,
    capacity: Figures,
) -> Result<Outcome, StoreError> {
    if let Some(known) = read::cell(set.view, &id)? {
        if known.blueprint_hash != blueprint_hash || known.more.region != region {
            let (blueprint, blueprint_hash) = (known.blueprint, known.blueprint_hash);
            return Ok(Err(Refusal::CellExists { cell: id, blueprint, blueprint_hash }));
        }
        return match (&known.state, known.more.operation) {
            (CellState::Failed { .. }, _) => resume(set, id),
            (CellState::Dismantling { .. } | CellState::Retired, _) | (_, None) => {
                let (state, accepted) = (cell::name(&known.state).into(), "new, or being stamped".into());
                Ok(Err(Refusal::CellCannot { cell: id, state, accepted }))
            }
            (_, Some(operation)) => Ok(Ok(Done::Operation { operation })),
        };
    }
    if set.meta.cells >= CELLS_MAX {
        return Ok(Err(Refusal::TooManyCells { cells: set.meta.cells, max: CELLS_MAX }));
    }
    let what = format!("requested: blueprint {blueprint}, region {region}");
    let operation = set.begin_operation(OperationKind::StampCell, id.to_string(), &what)?;
    let (created, since) = (set.time(), set.time());
    let record = Cell {
        blueprint,
        blueprint_hash,
        capacity: capacity.accounts,
        accounts: 0,
        state: CellState::Requested,
        nodes: Vec::new(),
        last_node: NodeId(0),
        replacement: None,
        created,
        since,
        more: MoreOfCell { region, capacity, operation: Some(operation), ..MoreOfCell::default() },
    };
    set.put_cell(&id, &record)?;
    set.meta.cells += 1;
    Ok(Ok(Done::Operation { operation }))
}

/// Gives a cell that failed another attempt.
pub fn resume(set: &mut ChangeSet<'_>, id: CellId) -> Result<Outcome, StoreError> {
    let Some(mut record) = read::cell(set.view, &id)? else { return Ok(Err(Refusal::NoSuchCell(id))) };
    if !matches!(record.state, CellState::Failed { .. }) {
        let (state, accepted) = (cell::name(&record.state).into(), "failed".into());
        return Ok(Err(Refusal::CellCannot { cell: id, state, accepted }));
    }
    let operation = set.begin_operation(OperationKind::StampCell, id.to_string(), "resumed")?;
    record.more.operation = Some(operation);
    enter(set, &id, record, CellState::Provisioning)?;
    Ok(Ok(Done::Operation { operation }))
}

/// Moves a cell along its life. Repeating a move is harmless.
pub fn advance(
    set: &mut ChangeSet<'_>,
    id: CellId,
    seen: Timestamp,
    to: CellState,
    note: String,
) -> Result<Outcome, StoreError> {
    let Some(record) = read::cell(set.view, &id)? else { return Ok(Err(Refusal::NoSuchCell(id))) };
    if record.state == to {
        return Ok(Ok(Done::Ok));
    }
    if record.since != seen {
        return Ok(Err(Refusal::CellMoved { cell: id, state: cell::name(&record.state).into() }));
    }
    if !cell::may_become(&record.state, &to) {
        let (from, to) = (cell::name(&record.state).into(), cell::name(&to).into());
        return Ok(Err(Refusal::IllegalCellMove { cell: id, from, to }));
    }
    if to == CellState::Draining && record.accounts > 0 {
        return Ok(Err(Refusal::CellHasAccounts { cell: id, accounts: record.accounts }));
    }
    if let Some(why) = record.unvouched(set.time()).filter(|_| to == CellState::Active) {
        return Ok(Err(Refusal::CellUnvouched { cell: id, why }));
    }
    let state = match &to {
        CellState::Failed { why } => OperationState::Failed { why: why.clone() },
        CellState::Retired => OperationState::Succeeded,
        CellState::Requested
        | CellState::Provisioning
        | CellState::Forming
        | CellState::Certifying
        | CellState::Active
        | CellState::Closed { .. }
        | CellState::Draining
        | CellState::Dismantling { .. } => OperationState::Running,
    };
    set.note_operation(record.more.operation, Some(note), state)?;
    enter(set, &id, record, to)?;
    Ok(Ok(Done::Ok))
}

/// Puts a certificate beside a cell. A cell that waited for it takes accounts from now on.
pub fn certify(
    set: &mut ChangeSet<'_>,
    id: CellId,
    certified: Certified,
    document: String,
) -> Result<Outcome, StoreError> {
    let Some(mut record) = read::cell(set.view, &id)? else { return Ok(Err(Refusal::NoSuchCell(id))) };
    if !cell::may_be_certified(&record.state) {
        let (state, accepted) = (cell::name(&record.state).into(), "certifying, active or closed".into());
        return Ok(Err(Refusal::CellCannot { cell: id, state, accepted }));
    }
    let digest = certified.digest.clone();
    record.more.vouched = Vouched::By(certified);
    // The proposer has verified it; whatever can be seen without a key is looked at here once more, by every replica alike.
    if let Some(why) = record.unvouched(set.time()) {
        return Ok(Err(Refusal::CellUnvouched { cell: id, why }));
    }
    set.put_certificate(&id, document);
    open(set, &id, record, format!("certified: {digest}"))
}

/// Opens a cell of which no certificate is asked.
pub fn waive(set: &mut ChangeSet<'_>, id: CellId, seen: Timestamp) -> Result<Outcome, StoreError> {
    let Some(mut record) = read::cell(set.view, &id)? else { return Ok(Err(Refusal::NoSuchCell(id))) };
    if record.state != CellState::Certifying || record.since != seen {
        return Ok(Err(Refusal::CellMoved { cell: id, state: cell::name(&record.state).into() }));
    }
    record.more.vouched = Vouched::Waived;
    open(set, &id, record, "not certified: the configuration asks for no certificate".into())
}

fn open(set: &mut ChangeSet<'_>, id: &CellId, record: Cell, note: String) -> Result<Outcome, StoreError> {
    if !cell::may_be_opened(&record.state) {
        set.put_cell(id, &record)?;
        return Ok(Ok(Done::Ok));
    }
    // Of a cell that was closed something else may be under way, or nothing.
    if record.state == CellState::Certifying {
        set.note_operation(record.more.operation, Some(note), OperationState::Succeeded)?;
    }
    enter(set, id, record, CellState::Active)?;
    Ok(Ok(Done::Ok))
}

/// Begins to remove a cell.
pub fn dismantle(set: &mut ChangeSet<'_>, id: CellId, forget: bool) -> Result<Outcome, StoreError> {
    let Some(mut record) = read::cell(set.view, &id)? else { return Ok(Err(Refusal::NoSuchCell(id))) };
    if let (CellState::Dismantling { .. }, Some(operation)) = (&record.state, record.more.operation) {
        return Ok(Ok(Done::Operation { operation }));
    }
    if record.accounts > 0 {
        return Ok(Err(Refusal::CellHasAccounts { cell: id, accounts: record.accounts }));
    }
    if !cell::may_be_dismantled(&record.state, forget) {
        let accepted = if forget { "failed, or on its way to be active" } else { "draining (bulkhead cell drain)" };
        let (state, accepted) = (cell::name(&record.state).into(), accepted.into());
        return Ok(Err(Refusal::CellCannot { cell: id, state, accepted }));
    }
    // Whatever was under way on it ends here.
    let why = "the cell is being removed".to_owned();
    set.note_operation(record.more.operation, None, OperationState::Failed { why })?;
    let operation = set.begin_operation(OperationKind::DismantleCell, id.to_string(), "removing processes and data")?;
    (record.more.operation, record.replacement) = (Some(operation), None);
    enter(set, &id, record, CellState::Dismantling { forget })?;
    Ok(Ok(Done::Operation { operation }))
}

/// Forgets a cell of which nothing is left. One that is forgotten already is no error.
pub fn forget(set: &mut ChangeSet<'_>, id: CellId) -> Result<Outcome, StoreError> {
    let Some(record) = read::cell(set.view, &id)? else { return Ok(Ok(Done::Ok)) };
    if record.state != (CellState::Dismantling { forget: true }) {
        let (state, accepted) = (cell::name(&record.state).into(), "being torn down".into());
        return Ok(Err(Refusal::CellCannot { cell: id, state, accepted }));
    }
    let done = Some("nothing of it is left".to_owned());
    set.note_operation(record.more.operation, done, OperationState::Succeeded)?;
    set.delete_cell(&id)?;
    set.meta.cells = set.meta.cells.saturating_sub(1);
    Ok(Ok(Done::Ok))
}

/// Writes a state down, and tells routers when they are to know the cell, or no more.
fn enter(set: &mut ChangeSet<'_>, id: &CellId, mut record: Cell, to: CellState) -> Result<(), StoreError> {
    let (was, is) = (cell::is_routed(&record.state), cell::is_routed(&to));
    (record.state, record.since) = (to, set.time());
    if record.state == CellState::Retired {
        record.nodes = Vec::new();
    }
    set.put_cell(id, &record)?;
    match (was, is) {
        (false, true) => cells::publish(set, id.clone(), record.nodes),
        (true, false) => set.publish(&Change::CellGone { cell: id.clone() }),
        (true, true) | (false, false) => {}
    }
    Ok(())
}

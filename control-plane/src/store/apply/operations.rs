//! Operations that no cell's move notes: of node replacements and purges.

use super::change_set::ChangeSet;
use crate::store::{
    command::{Done, Outcome, Refusal},
    read,
};
use bulkhead_model::api::control_plane::{OperationKind, OperationState};
use bulkhead_replica::StoreError;

/// Begins one.
pub fn begin(set: &mut ChangeSet<'_>, kind: OperationKind, target: String) -> Result<Outcome, StoreError> {
    let operation = set.begin_operation(kind, target, "begun")?;
    Ok(Ok(Done::Operation { operation }))
}

/// Notes a step, or the end. One that has ended stays as it ended.
pub fn note(
    set: &mut ChangeSet<'_>,
    operation: u64,
    step: Option<String>,
    state: OperationState,
) -> Result<Outcome, StoreError> {
    if read::operation(set.view, operation)?.is_none() {
        return Ok(Err(Refusal::NoSuchOperation(operation)));
    }
    set.note_operation(Some(operation), step, state)?;
    Ok(Ok(Done::Ok))
}

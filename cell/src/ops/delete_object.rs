//! DeleteObject: the name goes, its bytes become garbage. Deleting what is not there succeeds.

use super::{Caller, Cell, OpError, action::Call, delete_objects};
use crate::meta::command::{Condition, DeleteObject};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
    pub key: String,
    pub condition: Condition,
}

/// # Errors
/// `NoSuchBucket`, `PreconditionFailed`.
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<(), OpError> {
    let Request { bucket, key, condition } = request;
    let object = DeleteObject { key, condition };
    let outcomes = delete_objects::delete(cell, caller, Call::DeleteObject, &bucket, vec![object]).await?;
    outcomes.into_iter().collect()
}

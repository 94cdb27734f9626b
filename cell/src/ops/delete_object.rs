//! DeleteObject: the name goes, its bytes become garbage. Deleting what is not there succeeds.

use super::{Caller, Cell, OpError};
use crate::meta::command::Condition;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
    pub key: String,
    pub condition: Condition,
}

/// # Errors
/// `NoSuchBucket`, `PreconditionFailed`.
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<(), OpError> {
    todo!()
}

//! DeleteObjects: up to 1,000 keys, each with its own outcome.

use super::{Caller, Cell, OpError};
use crate::meta::command::DeleteObject;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
    pub objects: Vec<DeleteObject>,
}

/// One outcome for each object of the request, in its order.
///
/// # Errors
/// `NoSuchBucket`, [`OpError::MalformedXml`] when there are no objects or too many.
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<Vec<Result<(), OpError>>, OpError> {
    todo!()
}

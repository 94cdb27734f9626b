//! ListBuckets: the caller's buckets in the order of their names.

use super::{Caller, Cell, OpError, Owner};
use bulkhead_model::Timestamp;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    pub prefix: Option<String>,
    /// The last name of the page before.
    pub after: Option<String>,
    /// At most so many buckets; all of them when absent.
    pub max: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub owner: Owner,
    pub buckets: Vec<Entry>,
    /// [`Request::after`] of the next page; `None` when this was the last.
    pub next: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub created: Timestamp,
    /// `None` is `us-east-1`.
    pub location: Option<String>,
}

/// # Errors
/// When the index cannot be read in time.
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<Response, OpError> {
    todo!()
}

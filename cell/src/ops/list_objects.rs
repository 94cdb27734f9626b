//! ListObjects, both versions: one page of a bucket's current objects in byte order, folded at a delimiter.

use super::{Caller, Cell, OpError, Owner};
use crate::meta::record::{ChecksumAlgorithm, ChecksumKind, Etag};
use bulkhead_model::Timestamp;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
    /// Empty for all keys.
    pub prefix: String,
    /// Never `Some("")`.
    pub delimiter: Option<String>,
    /// `marker`, `start-after`, or [`Response::next`] of the page before: only what comes after it. When it is a common
    /// prefix, everything below that prefix is skipped.
    pub after: Option<String>,
    /// Keys and common prefixes together; more than [`crate::limits::LIST_KEYS_MAX`] is cut to it.
    pub max: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub objects: Vec<Entry>,
    pub prefixes: Vec<String>,
    /// The last key or common prefix of this page, when there is more.
    pub next: Option<String>,
    pub owner: Owner,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub len: u64,
    pub etag: Etag,
    pub modified: Timestamp,
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
}

/// # Errors
/// `NoSuchBucket`.
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<Response, OpError> {
    todo!()
}

//! ListParts: the parts of an upload, in the order of their numbers.

use super::{Caller, Cell, OpError, Owner};
use crate::meta::record::{Checksum, ChecksumAlgorithm, ChecksumKind, Etag, UploadId};
use bulkhead_model::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
    pub key: String,
    pub upload: UploadId,
    /// Only parts with a greater number; 0 for all.
    pub after: u16,
    /// More than [`crate::limits::LIST_KEYS_MAX`] is cut to it.
    pub max: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub parts: Vec<Entry>,
    /// The last part of this page, when there are more.
    pub next: Option<u16>,
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
    pub owner: Owner,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub number: u16,
    pub len: u64,
    pub etag: Etag,
    pub modified: Timestamp,
    pub checksum: Option<Checksum>,
}

/// # Errors
/// `NoSuchUpload`.
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<Response, OpError> {
    todo!()
}

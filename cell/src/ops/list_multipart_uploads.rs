//! ListMultipartUploads: the uploads of a bucket in the order of their keys, then of their ids.

use super::{Caller, Cell, OpError, Owner};
use crate::meta::record::{ChecksumAlgorithm, ChecksumKind, UploadId};
use bulkhead_model::Timestamp;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
    /// Empty for all keys.
    pub prefix: String,
    /// Never `Some("")`.
    pub delimiter: Option<String>,
    /// `key-marker`, with `upload-id-marker`: only what comes after that upload, or after all uploads of the key.
    pub after: Option<(String, Option<UploadId>)>,
    /// Uploads and common prefixes together; more than [`crate::limits::LIST_KEYS_MAX`] is cut to it.
    pub max: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub uploads: Vec<Entry>,
    pub prefixes: Vec<String>,
    /// Where the next page begins: a key and upload of this page, or a common prefix alone.
    pub next: Option<(String, Option<UploadId>)>,
    pub owner: Owner,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub upload: UploadId,
    pub initiated: Timestamp,
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
}

/// # Errors
/// `NoSuchBucket`.
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<Response, OpError> {
    todo!()
}

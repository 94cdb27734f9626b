//! CreateMultipartUpload: an id under which parts are collected.

use super::{Caller, Cell, OpError};
use crate::meta::record::{ChecksumAlgorithm, ChecksumKind, ContentHeaders, UploadId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
    pub key: String,
    pub headers: ContentHeaders,
    pub algorithm: Option<ChecksumAlgorithm>,
    /// Not without `algorithm`.
    pub kind: Option<ChecksumKind>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub upload: UploadId,
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
}

/// # Errors
/// `NoSuchBucket`; [`OpError::InvalidRequest`] when the algorithm cannot be of that kind.
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<Response, OpError> {
    todo!()
}

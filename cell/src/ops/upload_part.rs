//! UploadPart: bytes first, then the part. A part put again replaces its predecessor.

use super::{Caller, Cell, OpError, body::Body};
use crate::meta::record::{Checksum, Etag, UploadId};
use bulkhead_model::Timestamp;

pub struct Request {
    pub bucket: String,
    pub key: String,
    pub upload: UploadId,
    /// 1 to [`crate::limits::PART_NUMBER_MAX`].
    pub number: u16,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub etag: Etag,
    pub modified: Timestamp,
    pub checksum: Option<Checksum>,
}

/// # Errors
/// `NoSuchUpload`; [`OpError::InvalidRequest`] when the checksum is of another algorithm than the upload's.
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<Response, OpError> {
    todo!()
}

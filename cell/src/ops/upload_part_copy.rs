//! UploadPartCopy: a part whose bytes are those of an object, or a range of them.

use super::{Caller, Cell, OpError, copy_object::Source, upload_part::Response};
use crate::meta::record::UploadId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub source: Source,
    /// `x-amz-copy-source-range`: first and last byte, both included; must lie within the source.
    pub range: Option<(u64, u64)>,
    pub bucket: String,
    pub key: String,
    pub upload: UploadId,
    pub number: u16,
}

/// # Errors
/// As GET for the source (its conditions fail with `412` only) and as UploadPart for the part.
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<Response, OpError> {
    todo!()
}

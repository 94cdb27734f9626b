//! AbortMultipartUpload: the upload goes, its parts become garbage.

use super::{Caller, Cell, OpError};
use crate::meta::record::UploadId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
    pub key: String,
    pub upload: UploadId,
}

/// # Errors
/// `NoSuchUpload`.
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<(), OpError> {
    todo!()
}

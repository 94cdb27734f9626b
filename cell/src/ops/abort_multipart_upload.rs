//! AbortMultipartUpload: the upload goes, its parts become garbage.

use super::{Caller, Cell, OpError, action::Call, bucket, context::unexpected};
use crate::meta::{
    command::{Command, Done},
    record::UploadId,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
    pub key: String,
    pub upload: UploadId,
}

/// # Errors
/// `NoSuchUpload`.
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<(), OpError> {
    let Request { bucket, key, upload } = request;
    let target = bucket::for_write(cell, caller, Call::AbortMultipartUpload, &bucket).await?;
    let command = |bucket| Command::AbortUpload { bucket, key: key.clone(), upload };
    match target.execute(cell, caller, caller.request, caller.deadline, command).await? {
        Done::Ok => Ok(()),
        other => Err(unexpected(&other)),
    }
}

//! CreateMultipartUpload: an id under which parts are collected.

use super::{Caller, Cell, OpError, action::Call, bucket, checksum, context::unexpected, validate};
use crate::meta::{
    command::{Command, Done},
    record::{ChecksumAlgorithm, ChecksumKind, ContentHeaders, UploadId},
};

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
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<Response, OpError> {
    let Request { bucket, key, headers, algorithm, kind } = request;
    validate::key(&key)?;
    validate::headers(&headers)?;
    let checksum = checksum_of_parts(algorithm, kind)?;
    let target = bucket::for_write(cell, caller, Call::CreateMultipartUpload, &bucket).await?;
    let upload = cell.index.upload_id();
    let command =
        |bucket| Command::CreateUpload { bucket, key: key.clone(), upload, headers: headers.clone(), checksum };
    match target.execute(cell, caller, caller.request, caller.deadline, command).await? {
        Done::UploadCreated { upload } => Ok(Response { upload, checksum }),
        other => Err(unexpected(&other)),
    }
}

/// How the object's checksum will be made of its parts'. Pure.
fn checksum_of_parts(
    algorithm: Option<ChecksumAlgorithm>,
    kind: Option<ChecksumKind>,
) -> Result<Option<(ChecksumAlgorithm, ChecksumKind)>, OpError> {
    match (algorithm, kind) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(OpError::InvalidRequest(
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
        )),
        (Some(algorithm), None) => Ok(Some((algorithm, checksum::default_kind(algorithm)))),
        (Some(algorithm), Some(kind)) if checksum::allows(algorithm, kind) => Ok(Some((algorithm, kind))),
        (Some(_), Some(ChecksumKind::FullObject)) => Err(OpError::InvalidRequest(
            "The FULL_OBJECT checksum type cannot be used with the sha1 or sha256 checksum algorithms.",
        )),
        (Some(_), Some(ChecksumKind::Composite)) => Err(OpError::InvalidRequest(
            "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm.",
        )),
    }
}

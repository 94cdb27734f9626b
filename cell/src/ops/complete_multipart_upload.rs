//! CompleteMultipartUpload: the listed parts become the object, the others garbage. Decided inside `apply`.

use super::{Caller, Cell, OpError};
use crate::meta::{
    command::Condition,
    record::{Checksum, ChecksumAlgorithm, ChecksumKind, Etag, UploadId},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
    pub key: String,
    pub upload: UploadId,
    /// As listed by the client, in its order.
    pub parts: Vec<Listed>,
    pub condition: Condition,
    /// The whole object's checksum as the client states it, raw bytes (of a composite one without `-<parts>`).
    pub checksum: Option<(ChecksumAlgorithm, Vec<u8>)>,
    /// `x-amz-checksum-type`, if stated: must be the upload's.
    pub kind: Option<ChecksumKind>,
    /// `x-amz-mp-object-size`.
    pub len: Option<u64>,
}

/// A part as the client lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub number: u16,
    /// `None` when it cannot be a part's ETag: then the part is invalid.
    pub etag: Option<Etag>,
    pub checksum: Option<(ChecksumAlgorithm, Vec<u8>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub etag: Etag,
    pub len: u64,
    pub checksum: Option<Checksum>,
}

/// # Errors
/// `NoSuchUpload`, `InvalidPart`, `InvalidPartOrder`, `EntityTooSmall`, `EntityTooLarge`, `BadDigest`, `PreconditionFailed`;
/// [`OpError::MalformedXml`] when no part is listed.
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<Response, OpError> {
    todo!()
}

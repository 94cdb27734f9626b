//! Why a call was not done. Each kind says what the client may conclude; the S3 layer maps each to one S3 error.
//!
//! A kind that leaves the outcome open is never reported as a failure that certainly had no effect.

use super::{body::BodyError, conditions::ReadCondition};
use crate::admit::Refused;
use crate::meta::index::SubmitError;
use crate::meta::{
    command::Refusal,
    record::{ChecksumAlgorithm, Etag},
};
use bulkhead_model::Timestamp;
use bulkhead_replica::{ReadError, StoreError};

/// Why a call was not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpError {
    /// The index said no, or would have said no. (`EpochClosed` arrives as [`OpError::NotExecuted`], `TooManyRecent` as
    /// [`OpError::SlowDown`].)
    #[error(transparent)]
    Refused(Refusal),
    #[error("the bucket belongs to another account")]
    AccessDenied,
    /// The client's copy is current: `304` with these headers.
    #[error("not modified")]
    NotModified { etag: Etag, modified: Timestamp },
    /// A condition of a read, or on a copy's source, does not hold.
    #[error("the condition {0} does not hold")]
    ReadConditionFailed(ReadCondition),
    #[error("the range begins at or after the end of the {len} bytes")]
    InvalidRange { len: u64 },
    /// `GET ?partNumber=` beyond the parts the object has.
    #[error("part {number} is not one of the object's {parts}")]
    InvalidPartNumber { number: u16, parts: u32 },
    #[error("{0} is not that of the bytes received")]
    BadDigest(Digest),
    #[error("the body ended after {received} of {declared} bytes")]
    IncompleteBody { declared: u64, received: u64 },
    #[error("the body has more than the {declared} bytes declared")]
    BodyLongerThanDeclared { declared: u64 },
    #[error(transparent)]
    Body(BodyError),
    #[error("the key has {len} bytes, more than the {max} allowed")]
    KeyTooLong { len: usize, max: usize },
    #[error("the user metadata has {len} bytes, more than the {max} allowed")]
    MetadataTooLarge { len: usize, max: usize },
    #[error("bucket name: {0}")]
    InvalidBucketName(String),
    #[error("{name}: {why}")]
    InvalidArgument { name: &'static str, value: String, why: &'static str },
    /// Well-formed, but not allowed in this combination.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// A list in the request is empty or longer than the schema allows.
    #[error("{0}")]
    MalformedXml(&'static str),
    /// The control plane, which hands out bucket names, cannot be reached. Nothing was done.
    #[error("bucket names cannot be claimed now: {0}")]
    NamesUnavailable(String),
    /// The node has no room for this request now. Nothing was named.
    #[error("too busy: {0}")]
    SlowDown(&'static str),
    /// The account asks for more than its share of a busy node, or the node cannot do it in time. Nothing was named. Not for another node: it
    /// is asked by everyone whom this one refuses.
    #[error("too much is asked for: {0}")]
    Overloaded(&'static str),
    /// The disks have reached their reserve. Nothing was named; what is there can be read and deleted.
    #[error("the cell's disks are full")]
    DiskFull,
    /// Certainly not executed: the request may be repeated here or on another node.
    #[error("not executed: {0}")]
    NotExecuted(String),
    /// A write that may have been executed, or may still be.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// Something that must not happen, such as bytes that no copy has intact. For a write: it was not executed.
    #[error("internal: {0}")]
    Internal(String),
}

/// What was compared with the bytes received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    ContentMd5,
    ContentSha256,
    Checksum(ChecksumAlgorithm),
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ContentMd5 => f.write_str("Content-MD5"),
            Self::ContentSha256 => f.write_str("x-amz-content-sha256"),
            Self::Checksum(algorithm) => write!(f, "the {} checksum", super::checksum::name(*algorithm)),
        }
    }
}

impl From<Refusal> for OpError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            // Another process of this node took over, or this one lost its epoch: nothing was named.
            Refusal::EpochClosed { .. } => Self::NotExecuted(refusal.to_string()),
            Refusal::TooManyRecent { .. } => Self::SlowDown("too many recent requests to remember"),
            other => Self::Refused(other),
        }
    }
}

impl From<Refused> for OpError {
    fn from(refused: Refused) -> Self {
        Self::Overloaded(match refused {
            Refused::QueueFull => "too many requests of the account wait",
            Refused::TooOld => "the request's turn did not come in time",
            Refused::Deadline => "the request's deadline passed before its turn came",
        })
    }
}

impl From<BodyError> for OpError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<StoreError> for OpError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<ReadError> for OpError {
    /// A view precedes everything a call does, so another node may try.
    fn from(error: ReadError) -> Self {
        Self::NotExecuted(error.to_string())
    }
}

impl From<SubmitError> for OpError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::NotExecuted(why) => Self::NotExecuted(why),
            SubmitError::Unknown(why) => Self::Unknown(why),
            SubmitError::TooLarge { .. } => Self::Internal(error.to_string()),
        }
    }
}

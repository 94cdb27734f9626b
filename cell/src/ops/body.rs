//! Bodies as they come in: a stream of bytes, how long it claims to be, and what its bytes are claimed to hash to.

use crate::meta::record::ChecksumAlgorithm;
use bytes::Bytes;
use futures::Stream;
use std::pin::Pin;

/// Decoded bytes of a request's body, in order. Dropping it stops reading from the client.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// Why a body ended before its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The connection closed early, or the framing stopped short.
    #[error("the body ended early: {0}")]
    Incomplete(String),
    #[error("a chunk of the body, or its trailer, has a wrong signature")]
    SignatureMismatch,
    #[error("the body's framing is malformed: {0}")]
    Malformed(String),
    #[error("the client sent the body too slowly")]
    TooSlow,
    /// The body is a copy, and what it copies cannot be read.
    #[error("the bytes to copy cannot be read: {0}")]
    Unreadable(String),
}

/// A request's body and what the client states about it.
pub struct Body {
    pub stream: BodyStream,
    /// Bytes after decoding (`x-amz-decoded-content-length`, else `Content-Length`).
    pub len: Option<u64>,
    pub stated: Stated,
}

/// What the client says the bytes hash to. All of it is compared before anything is named.
#[derive(Default)]
pub struct Stated {
    /// `Content-MD5`, decoded.
    pub md5: Option<[u8; 16]>,
    /// `x-amz-content-sha256` when it is a digest and nobody has compared it yet.
    pub sha256: Option<[u8; 32]>,
    pub checksum: Option<StatedChecksum>,
}

/// A checksum to compute, store and return, and the value to compare it with.
pub struct StatedChecksum {
    pub algorithm: ChecksumAlgorithm,
    pub value: ChecksumValue,
}

/// Reads the trailer's checksum, raw bytes. Called once, after the stream has ended; `None` when the trailer lacks it.
pub type Trailer = Box<dyn FnOnce() -> Option<Vec<u8>> + Send>;

/// Where the client states a checksum.
pub enum ChecksumValue {
    /// Nowhere (only `x-amz-sdk-checksum-algorithm`): computed and stored.
    Unstated,
    /// In a header, raw bytes.
    Header(Vec<u8>),
    Trailer(Trailer),
}

impl StatedChecksum {
    /// To be computed, with nothing to compare it with.
    pub fn unstated(algorithm: ChecksumAlgorithm) -> Self {
        Self { algorithm, value: ChecksumValue::Unstated }
    }
}

impl Body {
    /// A body that is in memory already.
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self {
            len: Some(bytes.len() as u64),
            stream: Box::pin(futures::stream::iter([Ok(bytes)])),
            stated: Stated::default(),
        }
    }
}

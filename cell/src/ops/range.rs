//! Ranges: what a client asks for, what an object has, and which chunks hold it. Pure.

use super::error::OpError;
use crate::{chunks::ChunkId, meta::record::BlobId};
use std::ops::Range;

/// A range as asked for. Always one: several ranges in one request are answered with the whole object, as S3 does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeSpec {
    /// `bytes=first-`
    From { first: u64 },
    /// `bytes=first-last`, both included.
    Span { first: u64, last: u64 },
    /// `bytes=-len`: the last `len` bytes.
    Suffix { len: u64 },
}

/// The bytes of an object of `len` bytes that `spec` asks for; never empty.
///
/// # Errors
/// [`OpError::InvalidRange`] when there are none.
pub fn resolve(spec: RangeSpec, len: u64) -> Result<Range<u64>, OpError> {
    let range = match spec {
        RangeSpec::From { first } => first..len,
        RangeSpec::Span { first, last } => first..last.saturating_add(1).min(len),
        RangeSpec::Suffix { len: wanted } => len.saturating_sub(wanted)..len,
    };
    if range.start < range.end { Ok(range) } else { Err(OpError::InvalidRange { len }) }
}

/// Part of one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub chunk: ChunkId,
    /// Bytes of the chunk wanted; never empty.
    pub range: Range<u32>,
}

/// The name of chunk `index` of a blob.
pub fn chunk_id(blob: BlobId, index: u32) -> ChunkId {
    ChunkId { blob: (u128::from(blob.epoch.0) << 64) | u128::from(blob.number), index }
}

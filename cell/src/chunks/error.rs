//! Why the chunk store refuses or fails, as its users and its peers see it.
//!
//! An error of a put never means that nothing was stored: bytes may have become durable somewhere. They are unnamed, so they are garbage.

use crate::chunks::payload::BadBlock;
use std::ops::Range;

/// Why a chunk is not known to be durable on two nodes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// Too few replicas took it. Another attempt, with another chunk id or the same, may succeed.
    #[error("{durable} of the {needed} copies needed are durable: {why}")]
    NotEnoughReplicas { durable: usize, needed: usize, why: String },
    /// Every replica that refused has reached its reserve.
    #[error("the disks have reached their reserve")]
    DiskFull,
    #[error("the chunk was not durable on enough replicas before its deadline")]
    Deadline,
    /// The caller's mistake: an empty chunk, or one larger than the cell's chunk size.
    #[error("a chunk of {bytes} bytes, but 1 to {max} are allowed")]
    Size { bytes: usize, max: u32 },
    /// The caller's mistake: the id already names other bytes.
    #[error("the chunk id already names other bytes")]
    Conflict,
}

/// Why a range of a chunk could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GetError {
    /// Every replica answered, and none has it whole.
    #[error("no replica has the chunk: {why}")]
    Missing { why: String },
    /// A replica that may have it did not answer.
    #[error("no reachable replica has the chunk: {why}")]
    Unavailable { why: String },
    #[error("the chunk was not read before the deadline")]
    Deadline,
    /// The caller's mistake: an empty range, or one that ends behind the chunk.
    #[error("bytes {} to {} are asked of a chunk of {len} bytes", .range.start, .range.end)]
    Range { range: Range<u32>, len: u32 },
}

/// Why the chunk store of a node cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the chunk directory: {what}: {source}")]
    Io { what: &'static str, source: std::io::Error },
    #[error("the chunk directory belongs to node {found}, not to node {expected}")]
    OtherNode { expected: u64, found: u64 },
    /// The blueprint's sizes do not go together.
    #[error("an extent has {extent} bytes, but needs {needed} to hold one chunk of {chunk} bytes")]
    ExtentTooSmall { extent: u64, needed: u64, chunk: u32 },
    #[error("extent {name} has format version {found}; this build reads up to {newest}")]
    Version { name: String, found: u16, newest: u16 },
}

/// Why one replica does not vouch for a chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    #[error("the disk has reached its reserve")]
    Full,
    #[error("the disk failed: {0}")]
    Disk(String),
    #[error("the chunk id already names other bytes")]
    Conflict,
    #[error("a chunk of {bytes} bytes, but 1 to {max} are allowed")]
    Size { bytes: usize, max: u32 },
    #[error("the bytes changed on their way: {0}")]
    Damaged(#[from] BadBlock),
    #[error("the deadline passed")]
    Deadline,
    #[error("the node is stopping")]
    Stopping,
    /// Not reached, or the connection was lost: the copy may be durable there.
    #[error("the peer did not answer: {0}")]
    Unreachable(String),
    /// An answer that makes no sense, a refused token included.
    #[error("the peer answered {0}")]
    Protocol(String),
}

/// Why one replica does not have the bytes asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("it does not have the chunk")]
    Missing,
    /// It had the chunk, and has forgotten it now: the copy is to be made anew.
    #[error("its copy is damaged: {0}")]
    Damaged(String),
    #[error("bytes {} to {} are asked of a chunk of {len} bytes", .range.start, .range.end)]
    Range { range: Range<u32>, len: u32 },
    #[error("the deadline passed")]
    Deadline,
    #[error("the node is stopping")]
    Stopping,
    #[error("the peer did not answer: {0}")]
    Unreachable(String),
    /// An answer that makes no sense, a refused token included.
    #[error("the peer answered {0}")]
    Protocol(String),
}

//! The name of a chunk.

use std::fmt;

/// Chunk `index` of a blob. The chunk store does not know what a blob is: it is 16 bytes that never repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId {
    pub blob: u128,
    pub index: u32,
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}/{}", self.blob, self.index)
    }
}

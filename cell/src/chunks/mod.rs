//! The chunk store: extents on local disks, replicated over the cell's AZs. Knows no names, only chunk ids.

pub mod id;

pub use id::ChunkId;

//! The chunk store: extents on local disks, replicated over the cell's AZs. Knows no names, only chunk ids.

pub mod error;
pub mod id;
pub mod placement;
pub mod replicate;

pub use error::{GetError, OpenError, PutError};
pub use id::ChunkId;
pub use placement::Topology;
pub use replicate::{ChunkStore, ChunkStoreConfig};

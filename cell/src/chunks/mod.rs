//! The chunk store: extents on local disks, replicated over the cell's AZs. Knows no names, only chunk ids.
//!
//! ```text
//! ChunkStore (replicate) ─ put, get ─► LocalStore (local) ─► writer ─► Disk
//!        │                       │           └─ reader ─ index ◄─ recover ◄─ scan
//!        │                       ├─ figures: page, free, verify
//!        │                       └─ compact ─► trash ─► removed
//!        └─► Remote (other nodes)
//! ```

pub mod compact;
mod contents;
pub mod disk;
pub mod error;
pub mod extent;
pub mod figures;
pub mod format;
mod get;
pub mod health;
pub mod id;
pub mod index;
pub mod latency;
pub mod local;
pub mod payload;
pub mod placement;
mod put;
mod reader;
pub mod recover;
pub mod remote;
pub mod repairs;
pub mod replicate;
pub mod restore;
mod scan;
mod suspicion;
pub mod trash;
mod writer;

#[cfg(test)]
mod tests;

pub use compact::{Budget, Compacted, Outcome};
pub use error::{CopyError, GetError, OpenError, PutError, ReadError};
pub use figures::{DiskFigures, ExtentFigures, Health};
pub use id::ChunkId;
pub use index::Freed;
pub use local::{LocalConfig, LocalStore};
pub use placement::Topology;
pub use replicate::ChunkStore;
pub use restore::{RestoreError, Wanted};
pub use trash::{Emptied, Inspect};

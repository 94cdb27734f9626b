//! A replicated, ordered key-value store with a pure `apply`: openraft, raft-log and RocksDB behind one handle.
//!
//! The only crate that names openraft, raft-log or RocksDB. Knows nothing of what is stored in it.

pub mod handle;
pub mod machine;
pub mod memory;

pub use handle::{FormError, OpenError, ProposeError, ReadError, Replica, ReplicaConfig, Status, View};
pub use machine::{Applied, Cursor, Family, Machine, Mutation, Reader, StoreError};
pub use memory::MemoryStore;

//! A replicated, ordered key-value store with a pure `apply`: openraft, raft-log and RocksDB behind one handle.
//!
//! The only crate that names openraft, raft-log or RocksDB. Knows nothing of what is stored in it.

pub mod handle;
pub mod limits;
pub mod machine;
pub mod membership;
pub mod memory;

mod apply;
mod identity;
mod log;
mod medium;
mod network;
mod open;
mod pace;
mod propose;
mod reads;
mod retain;
mod snapshot;
mod store;
mod types;
mod version;
mod watch;

pub use handle::{FormError, OpenError, ProposeError, ReadError, Replica, ReplicaConfig, Status};
pub use machine::{Applied, Cursor, Family, Machine, Mutation, Reader, StoreError};
pub use membership::MembershipError;
pub use memory::{MemoryDisk, MemoryStore};
pub use store::View;

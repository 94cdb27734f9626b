//! The routing table: in memory, on disk, and kept up to date from the control plane.

mod saved;
mod sync;
mod table;

pub use saved::{SavedError, load, save};
pub use sync::Sync;
pub use table::{Location, Older, OnPublish, Table};

//! The directory: accounts, keys, bucket names and cells as a state machine on `bulkhead-replica`.
//!
//! Invariants: `apply` is pure; every persisted value starts with its format version; every change a router must know
//! is in family `changes` under the next version, in the same batch as the change itself. Knows neither HTTP nor cells.

pub mod apply;
pub mod command;
pub mod directory;
pub mod format;
#[cfg(test)]
mod golden;
pub mod keys;
pub mod read;
pub mod record;

pub use directory::{Directory, DirectoryError};

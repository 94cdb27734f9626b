//! One node of a cell: S3 API, Raft metadata index, chunk store, background jobs.
//!
//! Must not know other cells, nor the fleet.

pub mod admin;
pub mod admit;
pub mod chunks;
pub mod clock;
pub mod config;
pub mod drill;
pub mod jobs;
pub mod limit;
pub mod limits;
pub mod meta;
pub mod names;
pub mod node;
pub mod ops;
pub mod peer;
pub mod poison;
pub mod s3;

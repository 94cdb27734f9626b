//! What the load test does: one file per command.

pub mod bench;
pub mod bigobject;
pub mod drill;
pub mod listing;
mod meter;
pub mod racers;

//! A whole cell in one process, and a client that can misbehave.

pub mod client;
pub mod cluster;

//! Wire types of Bulkhead's own HTTP APIs, one file per server. All are JSON; unknown fields are refused.

pub mod cell;
pub mod control_plane;
pub mod drill;
pub mod error;

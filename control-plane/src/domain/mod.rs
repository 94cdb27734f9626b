//! Pure decisions: placement, validation, claims, lifecycles. No I/O, no clock; they know records, not where those are kept.

pub mod account;
pub mod cell;
pub mod claims;
#[cfg(test)]
mod claims_model;
pub mod disks;
pub mod gate;
pub mod headroom;
pub mod keys;
pub mod placement;
pub mod replacement;
pub mod rollout;
pub mod stamping;

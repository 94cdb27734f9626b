//! The open loop: requests begin when they would in the world, whether or not earlier ones have been answered.
//!
//! ```text
//!  workload ──► clock thread ── due ──► queue of an account ──► its sessions ──► recorder ──► view, report
//! ```
//! Latency counts from the moment a request was due, not from when a busy client came to send it: a server that stands still
//! for a second shows in every request that was due in that second. Nothing is retried, every answer is counted, and every
//! byte read is compared with what was written.

mod arrivals;
mod client;
mod clockwork;
mod engine;
mod fill;
mod keys;
mod recorder;
mod results;
mod sizes;
#[cfg(test)]
mod tests;
mod verify;
mod view;
mod workload;

pub use arrivals::Arrivals;
pub use engine::{Account, Engine, Phase};
pub use results::{ClientFigures, GroupResult, KindResult, PhaseResult, Quantiles, Report, SecondResult};
pub use sizes::{Size, Sizes};
pub use verify::Verified;
pub use view::{Mode, View};
pub use workload::{Group, Kind, Operation, Popularity, Workload, WorkloadError};

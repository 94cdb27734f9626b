//! What stands in front of execution: what a request costs, whose turn it is, and how much may be executed at once.
//!
//! ```text
//!  access ──► Pass::enter ──► room within the limit? ──yes──► executed, holding its cost ──► answer: given back
//!                                  │ no                              │    ▲
//!                                  ▼                                 ▼    │
//!                             FairQueue ──its turn──►          client slow, or next chunk:
//!                                  │                            gives back, waits for a turn
//!                                  └─too old, deadline, full──► 503 SlowDown
//! ```
//!
//! Knows no storage and no HTTP; of S3 only which calls there are.

mod adaptive;
pub mod cost;
mod flow;
mod gate;
mod pass;
mod queue;
mod top;

pub use gate::{Admission, Ask, Held, Load, Refused};
pub use pass::Pass;
pub use queue::Begun;
pub use top::Tally;

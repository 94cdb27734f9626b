//! What a correct store may answer: a library that judges reads and listings against everything that was written.
//!
//! An unknown outcome stays possible for ever, until a read has seen it: it is neither lost nor stored. Knows nothing of
//! HTTP or of who runs the store.

pub mod history;
pub mod ledger;
pub mod register;
#[cfg(test)]
mod soundness;

pub use history::{Action, Inconsistent, Operation, When};
pub use ledger::{Ledger, Summary};
pub use register::{Fate, Reading, Register, Seen, Violation, WriteId};

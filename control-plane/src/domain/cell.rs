//! The life of a cell, and which moves in it are legal.
//!
//! ```text
//!  Provisioning ─► Forming ─► Active
//!     ▲   └───────────┴─► Failed { why }
//!     └────────────────────────┘  stamped again under the same name and blueprint
//! ```
//! `Active` is never left today: a node that dies is started again, and the cell stays what it is.

use bulkhead_model::{CellId, api::control_plane::CellState};

/// Why a new cell may not have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cell is not named router or control-plane: its processes are named after it, and would be taken for those")]
pub struct ReservedName;

/// Checks the name of a new cell.
///
/// # Errors
/// [`ReservedName`].
pub fn check_name(cell: &CellId) -> Result<(), ReservedName> {
    if matches!(cell.as_str(), "router" | "control-plane") { Err(ReservedName) } else { Ok(()) }
}

/// Whether a cell may go from one state to another.
pub fn may_become(from: &CellState, to: &CellState) -> bool {
    match (from, to) {
        (CellState::Provisioning, CellState::Forming | CellState::Failed { .. }) => true,
        (CellState::Forming, CellState::Active | CellState::Failed { .. }) => true,
        (CellState::Failed { .. }, CellState::Provisioning) => true,
        (CellState::Provisioning | CellState::Forming | CellState::Active | CellState::Failed { .. }, _) => false,
    }
}

/// A state in one word, for tables and messages.
pub fn name(state: &CellState) -> &'static str {
    match state {
        CellState::Provisioning => "provisioning",
        CellState::Forming => "forming",
        CellState::Active => "active",
        CellState::Failed { .. } => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_drawn_moves_are_legal() {
        let failed = CellState::Failed { why: "no port".into() };
        let states = [CellState::Provisioning, CellState::Forming, CellState::Active, failed];
        let legal = [(0, 1), (0, 3), (1, 2), (1, 3), (3, 0)];
        for (i, from) in states.iter().enumerate() {
            for (j, to) in states.iter().enumerate() {
                assert_eq!(may_become(from, to), legal.contains(&(i, j)), "{from:?} to {to:?}");
            }
        }
    }
}

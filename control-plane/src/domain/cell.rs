//! The life of a cell, and which moves in it are legal. See [`CellState`] for the drawing.
//!
//! Every move is written down before the next step is taken, so a crash between two steps is only a later start. A cell becomes
//! `Active` in two ways only: by a certificate that was verified, or by a configuration that says that none is needed.

use bulkhead_model::{
    CellId, Timestamp,
    api::control_plane::{CellState, ClosedBy},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

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

/// Whether a cell may go from one state to another by a plain move. Becoming `Active` for the first time is none: see
/// [`may_be_opened`].
pub fn may_become(from: &CellState, to: &CellState) -> bool {
    use CellState::{
        Active, Certifying, Closed, Dismantling, Draining, Failed, Forming, Provisioning, Requested, Retired,
    };
    match (from, to) {
        (Requested, Provisioning | Failed { .. }) => true,
        (Provisioning, Forming | Failed { .. }) => true,
        (Forming, Certifying | Failed { .. }) => true,
        (Certifying, Failed { .. }) => true,
        (Failed { .. }, Provisioning) => true,
        (Active, Closed { .. } | Draining) => true,
        // From one ground to another: what an operator closed stays closed whatever a limit or a certificate would say.
        (Closed { by: ClosedBy::Operator }, Closed { .. }) => false,
        (Closed { .. }, Active | Draining | Closed { .. }) => true,
        (Dismantling { forget: false }, Retired) => true,
        (
            Requested
            | Provisioning
            | Forming
            | Certifying
            | Failed { .. }
            | Active
            | Closed { .. }
            | Draining
            | Dismantling { .. }
            | Retired,
            _,
        ) => false,
    }
}

/// Whether a certificate, or a configuration that asks for none, may open a cell in this state to accounts.
pub fn may_be_opened(from: &CellState) -> bool {
    matches!(from, CellState::Certifying | CellState::Closed { by: ClosedBy::Certificate { .. } })
}

/// Whether a cell in this state may be given a certificate at all.
pub fn may_be_certified(state: &CellState) -> bool {
    matches!(state, CellState::Certifying | CellState::Active | CellState::Closed { .. })
}

/// Whether a cell may be removed from this state: forgotten when it never was active, retired when it is drained.
pub fn may_be_dismantled(from: &CellState, forget: bool) -> bool {
    match from {
        CellState::Failed { .. }
        | CellState::Requested
        | CellState::Provisioning
        | CellState::Forming
        | CellState::Certifying => forget,
        CellState::Draining => !forget,
        CellState::Active | CellState::Closed { .. } | CellState::Dismantling { .. } | CellState::Retired => false,
    }
}

/// Whether its processes should run.
pub fn runs(state: &CellState) -> bool {
    match state {
        CellState::Provisioning
        | CellState::Forming
        | CellState::Certifying
        | CellState::Active
        | CellState::Closed { .. }
        | CellState::Draining => true,
        CellState::Requested | CellState::Failed { .. } | CellState::Dismantling { .. } | CellState::Retired => false,
    }
}

/// Whether routers know it.
pub fn is_routed(state: &CellState) -> bool {
    matches!(state, CellState::Active | CellState::Closed { .. })
}

/// Whether it is on its way to be active.
pub fn is_being_stamped(state: &CellState) -> bool {
    matches!(state, CellState::Requested | CellState::Provisioning | CellState::Forming | CellState::Certifying)
}

/// A state in one word, for tables and messages.
pub fn name(state: &CellState) -> &'static str {
    match state {
        CellState::Requested => "requested",
        CellState::Provisioning => "provisioning",
        CellState::Forming => "forming",
        CellState::Certifying => "certifying",
        CellState::Active => "active",
        CellState::Closed { .. } => "closed",
        CellState::Draining => "draining",
        CellState::Dismantling { .. } => "dismantling",
        CellState::Retired => "retired",
        CellState::Failed { .. } => "failed",
    }
}

/// A time as people write it.
pub fn time(at: Timestamp) -> String {
    let seconds = i64::try_from(at.seconds()).unwrap_or(i64::MAX);
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|time| time.format(&Rfc3339).ok());
    time.unwrap_or_else(|| format!("{} ms", at.0))
}

/// Moves as version 1 knew them: commands of that version go on to mean what they meant.
pub mod v1 {
    use super::CellState;

    /// Whether a cell could go from one state to another.
    pub fn may_become(from: &CellState, to: &CellState) -> bool {
        match (from, to) {
            (CellState::Provisioning, CellState::Forming | CellState::Failed { .. })
            | (CellState::Forming, CellState::Active | CellState::Failed { .. })
            | (CellState::Failed { .. }, CellState::Provisioning) => true,
            (_, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> Vec<CellState> {
        let why = || "w".to_owned();
        vec![
            CellState::Requested,
            CellState::Provisioning,
            CellState::Forming,
            CellState::Certifying,
            CellState::Active,
            CellState::Closed { by: ClosedBy::Operator },
            CellState::Closed { by: ClosedBy::SoftLimit { why: why() } },
            CellState::Closed { by: ClosedBy::Certificate { why: why() } },
            CellState::Draining,
            CellState::Dismantling { forget: true },
            CellState::Dismantling { forget: false },
            CellState::Retired,
            CellState::Failed { why: why() },
        ]
    }

    #[test]
    fn only_the_drawn_moves_are_legal() {
        let legal = [
            (0, 1),
            (0, 12),
            (1, 2),
            (1, 12),
            (2, 3),
            (2, 12),
            (3, 12),
            (12, 1),
            (4, 5),
            (4, 6),
            (4, 7),
            (4, 8),
            (5, 4),
            (5, 8),
            (6, 4),
            (6, 5),
            (6, 6),
            (6, 7),
            (6, 8),
            (7, 4),
            (7, 5),
            (7, 6),
            (7, 7),
            (7, 8),
            (10, 11),
        ];
        for (i, from) in states().iter().enumerate() {
            for (j, to) in states().iter().enumerate() {
                assert_eq!(may_become(from, to), legal.contains(&(i, j)), "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn no_plain_move_makes_a_cell_active_that_never_was() {
        for from in states() {
            let opens = may_become(&from, &CellState::Active);
            assert!(!opens || matches!(from, CellState::Closed { .. }), "{from:?}");
        }
        let opened: Vec<_> = states().iter().map(may_be_opened).collect();
        assert_eq!(opened.iter().filter(|may| **may).count(), 2);
    }

    #[test]
    fn a_cell_that_may_hold_something_is_never_forgotten_and_only_a_drained_one_is_retired() {
        for state in states() {
            let held = is_routed(&state) || state == CellState::Draining || state == CellState::Retired;
            assert!(!held || !may_be_dismantled(&state, true), "{state:?}");
            assert_eq!(may_be_dismantled(&state, false), state == CellState::Draining, "{state:?}");
        }
    }

    #[test]
    fn version_1_goes_on_to_mean_what_it_meant() {
        let legal = [(1, 2), (1, 12), (2, 4), (2, 12), (12, 1)];
        for (i, from) in states().iter().enumerate() {
            for (j, to) in states().iter().enumerate() {
                assert_eq!(v1::may_become(from, to), legal.contains(&(i, j)), "{from:?} to {to:?}");
            }
        }
    }
}

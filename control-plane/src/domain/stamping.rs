//! What to do next with a cell that is being stamped or removed: one look, one step. Pure.

use super::cell;
use crate::limits::{CELL_STEP_DEADLINE, CERTIFICATION_DEADLINE};
use bulkhead_model::{CellId, api::control_plane::CellState};
use std::time::Duration;

/// What one node of a cell answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Silent(String),
    /// Something else answers at its address.
    Stranger(String),
    WaitsFor(Vec<String>),
    Ready {
        build: String,
    },
}

/// How a cell's certification is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// None is asked for.
    Waived,
    /// It has not begun, and this cell's has the machine to itself.
    OfAnother(CellId),
    NotBegun,
    Running,
    /// It came to its end, and this was written.
    Document(String),
    /// It came to its end without.
    Failed(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// What is waited for.
    Wait(String),
    Move(CellState),
    Form,
    BeginTrial,
    /// Judge the document, and open the cell or fail it.
    Judge {
        document: String,
        build: String,
    },
    Waive,
    /// End its processes and remove its files.
    Remove,
}

/// What is known of a cell.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    pub state: &'a CellState,
    /// Its nodes, in their order.
    pub seen: &'a [Seen],
    pub trial: Trial,
    /// Since the state was entered, or since this process looks after it.
    pub age: Duration,
}

/// Decides one step.
pub fn decide(facts: &Facts<'_>) -> Step {
    let Facts { state, seen, age, .. } = facts;
    if cell::is_being_stamped(state)
        && let Some(Seen::Stranger(who)) = seen.iter().find(|seen| matches!(seen, Seen::Stranger(_)))
    {
        return fail(who.clone());
    }
    let answers = seen.iter().all(|seen| !matches!(seen, Seen::Silent(_)));
    let ready = seen.iter().all(|seen| matches!(seen, Seen::Ready { .. }));
    let late = *age > CELL_STEP_DEADLINE;
    match state {
        CellState::Requested => Step::Move(CellState::Provisioning),
        CellState::Provisioning if answers => Step::Move(CellState::Forming),
        CellState::Forming if ready => Step::Move(CellState::Certifying),
        CellState::Provisioning | CellState::Forming if late => {
            fail(format!("not done after {} s: {}", CELL_STEP_DEADLINE.as_secs(), summary(seen)))
        }
        CellState::Forming if answers => Step::Form,
        CellState::Provisioning | CellState::Forming => Step::Wait(summary(seen)),
        CellState::Certifying => certifying(facts, ready),
        CellState::Dismantling { .. } => Step::Remove,
        CellState::Active
        | CellState::Closed { .. }
        | CellState::Draining
        | CellState::Failed { .. }
        | CellState::Retired => Step::Wait("nothing".into()),
    }
}

fn certifying(facts: &Facts<'_>, ready: bool) -> Step {
    let Facts { seen, trial, age, .. } = facts;
    match trial {
        Trial::Waived => Step::Waive,
        Trial::Failed(why) => fail(format!("certification failed: {why}")),
        Trial::Running if *age > CERTIFICATION_DEADLINE => {
            fail(format!("certification was not done after {} s", CERTIFICATION_DEADLINE.as_secs()))
        }
        Trial::Running => Step::Wait("its certification".into()),
        Trial::OfAnother(cell) => Step::Wait(format!("the certification of {cell}: each has the machine to itself")),
        // The nodes must be there, and be of one build, when it begins and when it is judged.
        Trial::NotBegun if ready => Step::BeginTrial,
        Trial::Document(document) if ready => match one_build(seen) {
            Ok(build) => Step::Judge { document: document.clone(), build },
            Err(builds) => fail(format!("its nodes are of different builds: {builds}")),
        },
        Trial::NotBegun | Trial::Document(_) if *age > CERTIFICATION_DEADLINE => {
            fail(format!("not ready after {} s: {}", CERTIFICATION_DEADLINE.as_secs(), summary(seen)))
        }
        Trial::NotBegun | Trial::Document(_) => Step::Wait(summary(seen)),
    }
}

/// What all nodes that are ready run.
///
/// # Errors
/// Every build, when there are several, or none.
pub fn one_build(seen: &[Seen]) -> Result<String, String> {
    let builds: std::collections::BTreeSet<&str> = seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Ready { build } => Some(build.as_str()),
            Seen::Silent(_) | Seen::Stranger(_) | Seen::WaitsFor(_) => None,
        })
        .collect();
    match builds.iter().collect::<Vec<_>>()[..] {
        [build] => Ok((*build).to_owned()),
        _ => Err(builds.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

fn fail(why: String) -> Step {
    Step::Move(CellState::Failed { why })
}

/// What each node that is not ready says.
pub fn summary(seen: &[Seen]) -> String {
    let one = |(index, seen): (usize, &Seen)| match seen {
        Seen::Silent(why) => Some(format!("node {} does not answer ({why})", index + 1)),
        Seen::Stranger(who) => Some(who.clone()),
        Seen::WaitsFor(what) => Some(format!("node {} waits for {}", index + 1, what.join(", "))),
        Seen::Ready { .. } => None,
    };
    seen.iter().enumerate().filter_map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn silent() -> Seen {
        Seen::Silent("refused".into())
    }

    fn waits() -> Seen {
        Seen::WaitsFor(vec!["a leader".into()])
    }

    fn ready() -> Seen {
        Seen::Ready { build: "1".into() }
    }

    fn step(state: &CellState, seen: &[Seen], trial: Trial, age: Duration) -> Step {
        decide(&Facts { state, seen, trial, age })
    }

    #[test]
    fn a_cell_moves_on_only_when_all_its_nodes_do() {
        let (young, old) = (SECOND, CELL_STEP_DEADLINE + SECOND);
        let wait = |seen: &[Seen]| Step::Wait(summary(seen));
        let table = [
            (CellState::Requested, vec![], young, Step::Move(CellState::Provisioning)),
            (CellState::Provisioning, vec![ready(), silent()], young, wait(&[ready(), silent()])),
            (CellState::Provisioning, vec![waits(), waits()], young, Step::Move(CellState::Forming)),
            (CellState::Provisioning, vec![waits(), waits()], old, Step::Move(CellState::Forming)),
            (CellState::Forming, vec![waits(), waits()], young, Step::Form),
            (CellState::Forming, vec![ready(), waits()], young, Step::Form),
            (CellState::Forming, vec![ready(), silent()], young, wait(&[ready(), silent()])),
            (CellState::Forming, vec![ready(), ready()], old, Step::Move(CellState::Certifying)),
            (CellState::Active, vec![silent()], old, Step::Wait("nothing".into())),
            (CellState::Dismantling { forget: true }, vec![silent()], old, Step::Remove),
        ];
        for (state, seen, age, expected) in table {
            assert_eq!(step(&state, &seen, Trial::NotBegun, age), expected, "{state:?} {seen:?}");
        }
    }

    #[test]
    fn a_cell_that_takes_too_long_fails_with_the_cause() {
        let seen = [ready(), Seen::Silent("connection refused".into())];
        let why = "not done after 90 s: node 2 does not answer (connection refused)".into();
        let late = step(&CellState::Provisioning, &seen, Trial::NotBegun, CELL_STEP_DEADLINE + SECOND);
        assert_eq!(late, Step::Move(CellState::Failed { why }));
    }

    #[test]
    fn a_stranger_at_a_nodes_address_fails_the_cell_at_once() {
        let seen = [Seen::Stranger("node 1 of cell c9 answers".into())];
        let failed = Step::Move(CellState::Failed { why: "node 1 of cell c9 answers".into() });
        for state in [CellState::Provisioning, CellState::Forming, CellState::Certifying] {
            assert_eq!(step(&state, &seen, Trial::Running, Duration::ZERO), failed);
        }
    }

    #[test]
    fn a_cell_is_judged_once_its_certification_has_ended_and_its_nodes_are_back_and_alike() {
        let (state, document) = (CellState::Certifying, || Trial::Document("d".into()));
        let other = Seen::Ready { build: "2".into() };
        let failed = |why: &str| Step::Move(CellState::Failed { why: why.into() });
        let judge = Step::Judge { document: "d".into(), build: "1".into() };
        let table = [
            (vec![ready(), ready()], Trial::NotBegun, Step::BeginTrial),
            (vec![ready(), silent()], Trial::NotBegun, Step::Wait(summary(&[ready(), silent()]))),
            // It ends nodes itself.
            (vec![ready(), silent()], Trial::Running, Step::Wait("its certification".into())),
            (vec![ready(), silent()], document(), Step::Wait(summary(&[ready(), silent()]))),
            (vec![ready(), ready()], document(), judge),
            (vec![ready(), other], document(), failed("its nodes are of different builds: 1, 2")),
            (vec![ready()], Trial::Failed("w".into()), failed("certification failed: w")),
            (vec![ready()], Trial::Waived, Step::Waive),
        ];
        for (seen, trial, expected) in table {
            assert_eq!(step(&state, &seen, trial.clone(), SECOND), expected, "{seen:?} {trial:?}");
        }
    }
}

//! Cells brought from recorded to active, and their processes kept running.
//!
//! Each pass looks at a cell's state and at what its nodes answer, decides one step ([`decide`]) and takes it.

use super::{Rhythm, restarts::Restarts};
use crate::{
    cells::{CellError, Cells},
    limits::CELL_STEP_DEADLINE,
    provision::local::{Local, ProvisionError, process::Started},
    store::{Directory, DirectoryError, command::Command, read, record::Cell},
};
use bulkhead_model::{
    CellId, Timestamp,
    api::{
        cell::{Form, Member},
        control_plane::{CellNode, CellState, Replacement},
    },
};
use bulkhead_service::Env;
use futures::future::join_all;
use parking_lot::Mutex;
use std::{collections::BTreeSet, time::Duration};

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    #[error(transparent)]
    Cell(#[from] CellError),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// What one node of a cell answers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Silent(String),
    /// Something else answers at its address.
    Stranger(String),
    WaitsFor(Vec<String>),
    Ready,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Wait,
    Move(CellState),
    Form,
}

/// What to do with a cell that is being stamped, `age` after it entered its state. Pure.
fn decide(state: &CellState, seen: &[Seen], age: Duration) -> Step {
    if let Some(Seen::Stranger(who)) = seen.iter().find(|seen| matches!(seen, Seen::Stranger(_))) {
        return Step::Move(CellState::Failed { why: who.clone() });
    }
    let answers = seen.iter().all(|seen| !matches!(seen, Seen::Silent(_)));
    let ready = seen.iter().all(|seen| matches!(seen, Seen::Ready));
    match state {
        CellState::Provisioning if answers => Step::Move(CellState::Forming),
        CellState::Forming if ready => Step::Move(CellState::Active),
        CellState::Provisioning | CellState::Forming if age > CELL_STEP_DEADLINE => {
            let why = format!("not done after {} s: {}", CELL_STEP_DEADLINE.as_secs(), summary(seen));
            Step::Move(CellState::Failed { why })
        }
        CellState::Forming if answers => Step::Form,
        CellState::Provisioning | CellState::Forming | CellState::Active | CellState::Failed { .. } => Step::Wait,
    }
}

fn summary(seen: &[Seen]) -> String {
    let one = |(index, seen): (usize, &Seen)| match seen {
        Seen::Silent(why) => Some(format!("node {} does not answer ({why})", index + 1)),
        Seen::Stranger(who) => Some(who.clone()),
        Seen::WaitsFor(what) => Some(format!("node {} waits for {}", index + 1, what.join(", "))),
        Seen::Ready => None,
    };
    seen.iter().enumerate().filter_map(one).collect::<Vec<_>>().join("; ")
}

/// Looks after all cells.
pub struct CellKeeper {
    pub(super) directory: Directory,
    pub(super) cells: Cells,
    pub(super) local: Local,
    pub(super) env: Env,
    /// A step's deadline counts from here at the earliest: nobody worked on it while the process was down.
    started: Timestamp,
    restarts: Mutex<Restarts>,
}

impl CellKeeper {
    pub fn new(directory: Directory, cells: Cells, local: Local, env: Env) -> Self {
        let started = env.clock.wall();
        Self { directory, cells, local, env, started, restarts: Mutex::default() }
    }

    /// Looks after cells until the process stops.
    pub async fn run(self, mut rhythm: Rhythm) {
        while rhythm.next().await.is_some() {
            if let Err(error) = self.pass().await {
                tracing::warn!(%error, "the cells could not be read");
            }
        }
    }

    /// Takes one step with every cell.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn pass(&self) -> Result<(), DirectoryError> {
        let cells = read::cells(&self.directory.view().await?)?;
        let nodes = |cell: &Cell| {
            cell.nodes.iter().chain(cell.replacement.iter().flat_map(|r| &r.planned)).cloned().collect::<Vec<_>>()
        };
        let ports = cells.iter().flat_map(|(_, cell)| nodes(cell)).flat_map(|node| [node.s3, node.admin, node.peer]);
        let mut taken: BTreeSet<u16> = ports.map(|address| address.port()).collect();
        let mut steps = Vec::new();
        for (id, cell) in cells {
            // Two cells planned in one pass must not get the same ports.
            if cell.state == CellState::Provisioning && cell.nodes.is_empty() {
                let planned = self.plan(&id, &cell, &mut taken).await;
                self.report(&id, planned).await;
            } else if let Some(replacement) = cell.replacement.clone() {
                // One after the other, for their ports; and what hinders a replacement is no failure of the cell.
                if let Err(error) = self.replace_and_keep(&id, &cell, &replacement, &taken).await {
                    tracing::warn!(cell = %id, %error, "a step of a replacement was not taken");
                }
            } else {
                steps.push(async move { self.report(&id, self.step(&id, &cell).await).await });
            }
        }
        join_all(steps).await;
        Ok(())
    }

    /// A step that cannot be taken at all fails the cell; one that may work later is tried again.
    async fn report(&self, id: &CellId, result: Result<(), StepError>) {
        let Err(error) = result else { return };
        tracing::warn!(cell = %id, %error, "a step was not taken");
        if let StepError::Provision(error) = error {
            let to = CellState::Failed { why: error.to_string() };
            if let Err(error) = self.directory.propose(Command::MoveCell { cell: id.clone(), to }).await {
                tracing::warn!(cell = %id, %error, "the cell was not marked as failed");
            }
        }
    }

    async fn plan(&self, id: &CellId, cell: &Cell, taken: &mut BTreeSet<u16>) -> Result<(), StepError> {
        let blueprint = self.local.blueprint(id, &cell.blueprint, &cell.blueprint_hash)?;
        let nodes = self.local.plan(&blueprint, taken)?;
        taken.extend(nodes.iter().flat_map(|node| [node.s3.port(), node.admin.port(), node.peer.port()]));
        self.directory.propose(Command::PlanCell { cell: id.clone(), nodes }).await?;
        Ok(())
    }

    async fn step(&self, id: &CellId, cell: &Cell) -> Result<(), StepError> {
        match &cell.state {
            CellState::Failed { .. } => return Ok(()),
            CellState::Active => return self.keep_running(id, cell),
            CellState::Provisioning | CellState::Forming => {
                self.local.prepare(id, cell)?;
                self.keep_running(id, cell)?;
            }
        }
        let seen = join_all(cell.nodes.iter().map(|node| self.look(id, node))).await;
        let now = self.env.clock.wall();
        let age = Duration::from_millis(now.0.saturating_sub(cell.since.max(self.started).0));
        match decide(&cell.state, &seen, age) {
            Step::Wait => Ok(()),
            Step::Form => self.form(id, cell).await,
            Step::Move(to) => {
                tracing::info!(cell = %id, ?to, "cell moves on");
                if matches!(to, CellState::Failed { .. }) {
                    self.local.stop(id, &cell.nodes)?;
                }
                self.directory.propose(Command::MoveCell { cell: id.clone(), to }).await?;
                Ok(())
            }
        }
    }

    async fn replace_and_keep(
        &self,
        id: &CellId,
        cell: &Cell,
        replacement: &Replacement,
        taken: &BTreeSet<u16>,
    ) -> Result<(), StepError> {
        self.keep_running(id, cell)?;
        self.replace(id, cell, replacement, taken).await
    }

    fn keep_running(&self, id: &CellId, cell: &Cell) -> Result<(), StepError> {
        cell.nodes.iter().try_for_each(|node| self.keep_node_running(id, node))
    }

    /// Starts a node that is not running, unless an operator has stopped it.
    pub(super) fn keep_node_running(&self, id: &CellId, node: &CellNode) -> Result<(), StepError> {
        let (name, now) = (Local::process_name(id, node.node), self.env.clock.now());
        if self.local.is_running(&name)? {
            self.restarts.lock().alive(&name, now);
            return Ok(());
        }
        // A first start is no restart.
        let due = !self.local.was_started(&name)? || self.restarts.lock().may_start(&name, now);
        if due && self.local.start(id, node)? == Started::Now {
            tracing::info!(cell = %id, node = %node.node, "node process started");
            metrics::counter!("cell_processes_started", "cell" => id.to_string()).increment(1);
        }
        Ok(())
    }

    async fn look(&self, id: &CellId, node: &CellNode) -> Seen {
        match self.cells.status(id, node.admin).await {
            Ok(status) if status.cell != *id || status.node != node.node => {
                let (cell, number) = (&status.cell, status.node);
                Seen::Stranger(format!(
                    "node {number} of cell {cell} answers at {}, not node {}",
                    node.admin, node.node
                ))
            }
            Ok(status) if status.ready => Seen::Ready,
            Ok(status) => Seen::WaitsFor(status.waits_for),
            Err(error) => Seen::Silent(error.to_string()),
        }
    }

    async fn form(&self, id: &CellId, cell: &Cell) -> Result<(), StepError> {
        let member = |node: &CellNode| Member { node: node.node, az: node.az.clone(), peer: node.peer };
        let body = Form { members: cell.nodes.iter().map(member).collect() };
        if let Some(first) = cell.nodes.first() {
            self.cells.form(id, first.admin, &body).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_moves_on_only_when_all_its_nodes_do() {
        let silent = || Seen::Silent("refused".into());
        let waits = || Seen::WaitsFor(vec!["a leader".into()]);
        let (young, old) = (Duration::from_secs(1), CELL_STEP_DEADLINE + Duration::from_secs(1));
        let table = [
            (CellState::Provisioning, vec![Seen::Ready, silent()], young, Step::Wait),
            (CellState::Provisioning, vec![waits(), waits()], young, Step::Move(CellState::Forming)),
            (CellState::Provisioning, vec![waits(), waits()], old, Step::Move(CellState::Forming)),
            (CellState::Forming, vec![waits(), waits()], young, Step::Form),
            (CellState::Forming, vec![Seen::Ready, waits()], young, Step::Form),
            (CellState::Forming, vec![Seen::Ready, silent()], young, Step::Wait),
            (CellState::Forming, vec![Seen::Ready, Seen::Ready], old, Step::Move(CellState::Active)),
            (CellState::Active, vec![silent()], old, Step::Wait),
        ];
        for (state, seen, age, expected) in table {
            assert_eq!(decide(&state, &seen, age), expected, "{state:?} {seen:?}");
        }
    }

    #[test]
    fn a_cell_that_takes_too_long_fails_with_the_cause() {
        let seen = [Seen::Ready, Seen::Silent("connection refused".into())];
        let step = decide(&CellState::Provisioning, &seen, CELL_STEP_DEADLINE + Duration::from_secs(1));
        let why = "not done after 90 s: node 2 does not answer (connection refused)".into();
        assert_eq!(step, Step::Move(CellState::Failed { why }));
    }

    #[test]
    fn a_stranger_at_a_nodes_address_fails_the_cell_at_once() {
        let seen = [Seen::Stranger("node 1 of cell c9 answers".into())];
        let step = decide(&CellState::Provisioning, &seen, Duration::ZERO);
        assert_eq!(step, Step::Move(CellState::Failed { why: "node 1 of cell c9 answers".into() }));
    }
}

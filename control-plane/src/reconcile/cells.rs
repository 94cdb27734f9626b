//! Cells brought along their life, and their processes kept running.
//!
//! Each pass looks at a cell's state and at what its nodes answer, decides one step ([`stamping::decide`]) and takes it; then the step
//! is written down. Whoever looks next, this process or another, sees the same and goes on.

use super::{Rhythm, restarts::Restarts};
use crate::{
    cells::{CellError, Cells},
    certification::Certifier,
    domain::{
        cell, gate,
        stamping::{self, Facts, Seen, Step, Trial},
    },
    provision::local::{Local, ProvisionError, certifier::Attempt, process::Started},
    store::{
        Directory, DirectoryError,
        command::{Command, Refusal},
        read,
        record::Cell,
    },
};
use bulkhead_model::{
    CellId, Timestamp,
    api::{
        cell::{Form, Member},
        control_plane::{CellNode, CellState, Replacement},
    },
};
use bulkhead_service::{Env, fail_point::FailPoint};
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

/// Looks after all cells.
pub struct CellKeeper {
    pub(super) directory: Directory,
    pub(super) cells: Cells,
    pub(super) local: Local,
    pub(super) certifier: Certifier,
    pub(super) env: Env,
    /// A step's deadline counts from here at the earliest: nobody worked on it while the process was down.
    started: Timestamp,
    restarts: Mutex<Restarts>,
}

impl CellKeeper {
    pub fn new(directory: Directory, cells: Cells, local: Local, certifier: Certifier, env: Env) -> Self {
        let started = env.clock.wall();
        Self { directory, cells, local, certifier, env, started, restarts: Mutex::default() }
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
        let mut taken = ports(&cells);
        let busy = self.certifying(&cells);
        let mut steps = Vec::new();
        for (id, cell) in cells {
            let busy = busy.clone().filter(|other| *other != id);
            // Two cells planned in one pass must not get the same ports.
            if matches!(cell.state, CellState::Requested | CellState::Provisioning) && cell.nodes.is_empty() {
                let planned = self.plan(&id, &cell, &mut taken).await;
                self.report(&id, &cell, planned).await;
            } else if let Some(replacement) = cell.replacement.clone().filter(|_| cell::runs(&cell.state)) {
                // One after the other, for their ports; and what hinders a replacement is no failure of the cell.
                if let Err(error) = self.replace_and_keep(&id, &cell, &replacement, &taken).await {
                    tracing::warn!(cell = %id, %error, "a step of a replacement was not taken");
                }
            } else {
                steps.push(async move { self.report(&id, &cell, self.step(&id, &cell, busy).await).await });
            }
        }
        join_all(steps).await;
        Ok(())
    }

    /// Writes a step down. A crash comes before or after, and is a later start either way.
    pub(super) async fn record(&self, command: Command) -> Result<(), DirectoryError> {
        FailPoint::CellStepTaken.pass();
        match self.directory.propose(command).await {
            // It was moved since it was looked at; the next look sees how.
            Ok(_) | Err(DirectoryError::Refused(Refusal::CellMoved { .. })) => {}
            Err(error) => return Err(error),
        }
        FailPoint::CellStepRecorded.pass();
        Ok(())
    }

    async fn move_on(&self, id: &CellId, cell: &Cell, to: CellState, note: String) -> Result<(), DirectoryError> {
        tracing::info!(cell = %id, ?to, note, "cell moves on");
        self.record(Command::AdvanceCell { cell: id.clone(), seen: cell.since, to, note }).await
    }

    /// A step that cannot be taken at all fails a cell that is being stamped; one that may work later is tried again.
    async fn report(&self, id: &CellId, cell: &Cell, result: Result<(), StepError>) {
        let Err(error) = result else { return };
        tracing::warn!(cell = %id, %error, "a step was not taken");
        if let StepError::Provision(error) = error
            && cell::is_being_stamped(&cell.state)
        {
            let why = error.to_string();
            if let Err(error) = self.fail(id, cell, why).await {
                tracing::warn!(cell = %id, %error, "the cell was not marked as failed");
            }
        }
    }

    async fn plan(&self, id: &CellId, cell: &Cell, taken: &mut BTreeSet<u16>) -> Result<(), StepError> {
        let blueprint = self.local.blueprint(id, &cell.blueprint, &cell.blueprint_hash)?;
        let nodes = self.local.plan(&blueprint, taken)?;
        taken.extend(nodes.iter().flat_map(|node| [node.s3.port(), node.admin.port(), node.peer.port()]));
        self.record(Command::PlanCell { cell: id.clone(), nodes }).await?;
        Ok(())
    }

    async fn step(&self, id: &CellId, cell: &Cell, busy: Option<CellId>) -> Result<(), StepError> {
        if cell::is_being_stamped(&cell.state) && cell.state != CellState::Requested {
            self.local.prepare(id, cell)?;
        }
        if cell::runs(&cell.state) {
            self.keep_running(id, cell)?;
        }
        if matches!(cell.state, CellState::Failed { .. }) {
            // Somebody may have started them by hand.
            return Ok(self.local.stop(id, &cell.nodes)?);
        }
        if !cell::is_being_stamped(&cell.state) && !matches!(cell.state, CellState::Dismantling { .. }) {
            return Ok(());
        }
        let looks = cell::runs(&cell.state);
        let seen = join_all(cell.nodes.iter().filter(|_| looks).map(|node| self.look(id, node))).await;
        let now = self.env.clock.wall();
        let age = Duration::from_millis(now.0.saturating_sub(cell.since.max(self.started).0));
        let trial = self.trial(id, cell, busy)?;
        let step = stamping::decide(&Facts { state: &cell.state, seen: &seen, trial, age });
        self.take(id, cell, step).await
    }

    async fn take(&self, id: &CellId, cell: &Cell, step: Step) -> Result<(), StepError> {
        match step {
            Step::Wait(what) => tracing::debug!(cell = %id, what, "waits"),
            Step::Form => self.form(id, cell).await?,
            Step::BeginTrial => {
                let profile = self.local.blueprint(id, &cell.blueprint, &cell.blueprint_hash)?.certification.profile;
                self.local.begin_certification(id, cell, profile, &self.env.clock).await?;
                let note = format!("certification began, profile {profile}");
                tracing::info!(cell = %id, note);
                FailPoint::CellStepTaken.pass();
                self.note(cell, note).await?;
                FailPoint::CellStepRecorded.pass();
            }
            Step::Judge { document, build } => self.judge(id, cell, document, &build).await?,
            Step::Waive => self.record(Command::WaiveCertificate { cell: id.clone(), seen: cell.since }).await?,
            Step::Move(CellState::Failed { why }) => self.fail(id, cell, why).await?,
            Step::Move(to) => {
                let note = match &to {
                    CellState::Provisioning => "provisioning: starting its processes",
                    CellState::Forming => "every node answers: forming its group",
                    CellState::Certifying => "its group is formed and every node is ready",
                    _ => cell::name(&to),
                };
                self.move_on(id, cell, to.clone(), note.into()).await?;
            }
            Step::Remove => self.remove(id, cell).await?,
        }
        Ok(())
    }

    /// Fails a cell, and stops its processes: they hold nothing that anybody was promised.
    async fn fail(&self, id: &CellId, cell: &Cell, why: String) -> Result<(), StepError> {
        self.local.stop_certifications(id, &self.env.clock).await?;
        self.local.stop(id, &cell.nodes)?;
        let note = format!("failed: {why}");
        self.move_on(id, cell, CellState::Failed { why }, note).await?;
        Ok(())
    }

    /// Judges what a certification wrote: the gate opens the cell, or says why not.
    async fn judge(&self, id: &CellId, cell: &Cell, document: String, build: &str) -> Result<(), StepError> {
        let blueprint = self.local.blueprint(id, &cell.blueprint, &cell.blueprint_hash)?;
        let view = self.directory.view().await?;
        let judged = self.certifier.judge(&view, id, cell, &blueprint.certification, document.as_bytes(), build);
        drop(view);
        match judged.map_err(DirectoryError::from)? {
            Ok(gate::Admitted { certified, remarks }) => {
                remarks.iter().for_each(|remark| tracing::warn!(cell = %id, remark, "of a quick certification"));
                tracing::info!(cell = %id, digest = certified.digest, "the certificate holds");
                self.record(Command::CertifyCell { cell: id.clone(), certified, document }).await?;
                Ok(())
            }
            Err(error) => self.fail(id, cell, error.to_string()).await,
        }
    }

    async fn remove(&self, id: &CellId, cell: &Cell) -> Result<(), StepError> {
        self.local.dismantle(id, &self.env.clock).await?;
        self.cells.forget(id);
        if cell.state == (CellState::Dismantling { forget: true }) {
            tracing::info!(cell = %id, "cell torn down");
            self.record(Command::ForgetCell { cell: id.clone() }).await?;
        } else {
            self.move_on(id, cell, CellState::Retired, "nothing of it is left".into()).await?;
        }
        Ok(())
    }

    async fn note(&self, cell: &Cell, step: String) -> Result<(), DirectoryError> {
        let Some(operation) = cell.more.operation else { return Ok(()) };
        let state = bulkhead_model::api::control_plane::OperationState::Running;
        self.directory.propose(Command::NoteOperation { operation, step: Some(step), state }).await.map(|_| ())
    }

    /// The cell whose certification has the machine to itself, if there is one: it runs, or the cell is the first that waits for it.
    fn certifying(&self, cells: &[(CellId, Cell)]) -> Option<CellId> {
        let mut waiting = cells.iter().filter(|(_, cell)| cell.state == CellState::Certifying);
        let first = waiting.clone().min_by_key(|(id, cell)| (cell.since, id.clone())).map(|(id, _)| id.clone());
        let running = waiting.find(|(id, cell)| matches!(self.local.certification(id, cell), Ok(Attempt::Running)));
        running.map(|(id, _)| id.clone()).or(first)
    }

    fn trial(&self, id: &CellId, cell: &Cell, busy: Option<CellId>) -> Result<Trial, ProvisionError> {
        if cell.state != CellState::Certifying {
            return Ok(Trial::NotBegun);
        }
        if self.certifier.waives(&cell.blueprint) {
            return Ok(Trial::Waived);
        }
        Ok(match self.local.certification(id, cell)? {
            Attempt::NotBegun => busy.map_or(Trial::NotBegun, Trial::OfAnother),
            Attempt::Running => Trial::Running,
            Attempt::Document(document) => Trial::Document(document),
            Attempt::Failed(why) => Trial::Failed(why),
        })
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
        cell.nodes.iter().try_for_each(|node| self.keep_node_running(id, &cell.state, node))
    }

    /// Starts a node that is not running, unless an operator has stopped it.
    pub(super) fn keep_node_running(&self, id: &CellId, state: &CellState, node: &CellNode) -> Result<(), StepError> {
        let (name, now) = (Local::process_name(id, node.node), self.env.clock.now());
        if self.local.is_running(&name)? {
            let mut restarts = self.restarts.lock();
            restarts.alive(&name, now);
            if *state == CellState::Certifying {
                restarts.forgive(&name);
            }
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
            Ok(status) if status.ready => Seen::Ready { build: status.build },
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

/// The ports that cells have.
fn ports(cells: &[(CellId, Cell)]) -> BTreeSet<u16> {
    let planned = |cell: &Cell| cell.replacement.iter().flat_map(|r| r.planned.clone()).collect::<Vec<_>>();
    let nodes = cells.iter().flat_map(|(_, cell)| cell.nodes.iter().cloned().chain(planned(cell)));
    nodes.flat_map(|node| [node.s3, node.admin, node.peer]).map(|address| address.port()).collect()
}

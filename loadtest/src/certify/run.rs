//! One certification under way: where it is, what it has seen, and the order of its phases.

use super::{
    faults, isolation, judge, loads, mix,
    record::{Event, PhaseTrace},
    room,
    subject::{Made, Subject},
};
use crate::{
    clock,
    load::{Engine, Phase as Stretch, Report, View, Workload},
};
use anyhow::Context as _;
use bulkhead_model::{
    certificate::{Criterion, Threshold},
    certification::{Course, Phase, Profile},
};
use std::time::{Duration, Instant};

/// A phase that did not come to its end has failed, whatever else it saw.
const COMPLETED: &str = "completed";
/// A phase of a few seconds is looked at in stretches of so long.
const FINE_TICK: Duration = Duration::from_millis(250);
const COARSE_TICK: Duration = Duration::from_secs(1);

/// What all phases share.
pub struct Run<'a> {
    pub subject: &'a Subject,
    pub profile: Profile,
    pub course: Course,
    pub began: Instant,
    pub view: View,
    pub phases: Vec<PhaseTrace>,
    /// The tenants of the declared capacity.
    pub main: Engine,
    /// The most that was done within the objectives, and at least what is declared. Requests per second.
    pub knee: f64,
    /// The cell is one that enforces no limit: none is set.
    pub without_limits: bool,
    /// Accounts with engines of their own, whose keys are read back in the end too.
    pub others: Vec<Engine>,
}

impl<'a> Run<'a> {
    /// Makes the accounts of the declared capacity, and fills them.
    ///
    /// # Errors
    /// When the cell does not take them.
    pub async fn prepare(
        subject: &'a Subject,
        profile: Profile,
        view: View,
        without_limits: bool,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let course = *subject.blueprint.certification.course(profile);
        let (began, workload) = (clock::now(), mix::declared(&subject.blueprint, &course));
        let main = engine(subject, workload, &course, seed).await?;
        let knee = subject.blueprint.capacity.requests_per_second() as f64;
        let (phases, others) = (Vec::new(), Vec::new());
        Ok(Self { subject, profile, course, began, view, phases, main, knee, without_limits, others })
    }

    /// All phases, in their order. What goes wrong in one is its verdict; the others are run all the same, on a cell that is put together again.
    ///
    /// # Errors
    /// When the cell cannot be put together again.
    pub async fn all(&mut self) -> anyhow::Result<()> {
        for phase in Phase::ALL {
            // Seen in the run before it.
            if phase == Phase::Recovery {
                continue;
            }
            let mut trace = PhaseTrace::new(phase, self.now_ms());
            let ended = self.one(phase, &mut trace).await;
            trace.lasted_ms = self.now_ms() - trace.began_ms;
            self.complete(&mut trace, ended.as_ref().err());
            self.show(&trace);
            self.push(trace);
            if ended.is_err() {
                self.put_together().await?;
            }
        }
        Ok(())
    }

    async fn one(&mut self, phase: Phase, trace: &mut PhaseTrace) -> anyhow::Result<()> {
        match phase {
            Phase::WarmUp => loads::warm_up(self, trace).await,
            Phase::Ramp => loads::ramp(self, trace).await,
            Phase::Hold => loads::hold(self, trace).await,
            Phase::Overload | Phase::Recovery => {
                let mut recovery = PhaseTrace::new(Phase::Recovery, 0);
                let ended = loads::overload(self, trace, &mut recovery).await;
                self.complete(&mut recovery, ended.as_ref().err());
                self.show(&recovery);
                self.push(recovery);
                ended
            }
            Phase::AzLoss => faults::az_loss(self, trace).await,
            Phase::Failover => faults::failover(self, trace).await,
            Phase::SlowDisk => faults::slow_disk(self, trace).await,
            Phase::Isolation => isolation::run(self, trace).await,
            Phase::Background => loads::background(self, trace).await,
            Phase::Full => room::full(self, trace).await,
            Phase::Verify => room::verify(self, trace).await,
        }
    }

    /// Every phase says that it came to its end.
    fn complete(&self, trace: &mut PhaseTrace, error: Option<&anyhow::Error>) {
        if let Some(error) = error {
            trace.notes.push(format!("{error:#}"));
        }
        let completed = u64::from(error.is_none());
        trace.criteria.push(Criterion::new(trace.phase, COMPLETED, completed, Threshold::AtLeast(1)));
    }

    fn push(&mut self, trace: PhaseTrace) {
        self.phases.push(trace);
        self.phases.sort_by_key(|trace| trace.phase);
    }

    fn show(&self, trace: &PhaseTrace) {
        let failed = trace.criteria.iter().filter(|criterion| !criterion.passed);
        let failed: Vec<String> = failed
            .map(|criterion| format!("{} is {}, {}", criterion.what, criterion.found, criterion.threshold))
            .collect();
        let verdict = if failed.is_empty() { "ok".to_owned() } else { format!("FAILED: {}", failed.join("; ")) };
        let figure = |name: &str| trace.figures.get(name).copied();
        let mut seen = Vec::new();
        if let Some(done) = figure("done_per_second") {
            seen.push(format!("{done}/s done"));
        }
        for name in ["put", "get", "list"] {
            if let Some(micros) = figure(&format!("{name}_p99_us")) {
                seen.push(format!("{name} p99 {:.1} ms", micros as f64 / 1_000.0));
            }
        }
        let seconds = trace.lasted_ms as f64 / 1_000.0;
        self.view.say(&format!("{:<10} {seconds:>6.1} s  {verdict}   {}", trace.phase.name(), seen.join("  ")));
        for note in &trace.notes {
            self.view.say(&format!("{:<10}           {note}", ""));
        }
    }

    /// Since the run began.
    pub fn now_ms(&self) -> u64 {
        u64::try_from((clock::now() - self.began).as_millis()).unwrap_or(u64::MAX)
    }

    /// How long a phase is to take.
    pub fn lasts(&self, phase: Phase) -> Duration {
        Duration::from_millis(self.course.lasts_ms(phase))
    }

    /// The scale of the main workload at which so many requests are due in a second.
    pub fn scale(&self, per_second: f64) -> f64 {
        per_second / self.main.rate()
    }

    /// Declared requests per second.
    pub fn declared(&self) -> f64 {
        self.subject.blueprint.capacity.requests_per_second() as f64
    }

    /// Runs the main workload at so many requests a second, and takes what it saw into `trace`.
    ///
    /// # Errors
    /// When a client panics.
    pub async fn load(&mut self, trace: &mut PhaseTrace, per_second: f64, lasts: Duration) -> anyhow::Result<Report> {
        let stretch = Stretch::new(trace.phase.name(), lasts, self.scale(per_second));
        let began = self.now_ms();
        let view = &mut self.view;
        let report = self.main.run(&[stretch], |progress| view.tick(progress)).await?;
        trace.take(&report, began, |_| true);
        Ok(report)
    }

    /// Notes that something was done to the cell.
    pub fn event(&self, trace: &mut PhaseTrace, what: impl Into<String>) {
        trace.events.push(Event { at_ms: self.now_ms(), what: what.into() });
    }

    /// Every node runs again, and nothing of it is broken.
    async fn put_together(&self) -> anyhow::Result<()> {
        for node in &self.subject.nodes {
            if node.admin.status().await.is_err() {
                self.subject.revive(node).await?;
            }
            self.subject.fault(node, &bulkhead_model::api::drill::Fault::Mend).await?;
        }
        Ok(())
    }
}

/// Accounts for all groups of a workload, filled.
///
/// # Errors
/// When the cell does not take them.
pub async fn engine(subject: &Subject, workload: Workload, course: &Course, seed: u64) -> anyhow::Result<Engine> {
    let mut accounts = Vec::new();
    for group in &workload.groups {
        for _ in 0..group.accounts {
            accounts.push(subject.account(&group.name).await?.account());
        }
    }
    filled(workload, accounts, course, seed).await
}

/// As above, on accounts that are there.
///
/// # Errors
/// As above.
pub async fn engine_of(workload: Workload, made: &[Made], course: &Course, seed: u64) -> anyhow::Result<Engine> {
    filled(workload, made.iter().map(Made::account).collect(), course, seed).await
}

async fn filled(
    workload: Workload,
    accounts: Vec<crate::load::Account>,
    course: &Course,
    seed: u64,
) -> anyhow::Result<Engine> {
    let engine = Engine::prepare(workload, accounts, seed).await.context("filling the accounts")?;
    let fine = course.hold_ms < 20_000;
    Ok(engine.ticking(if fine { FINE_TICK } else { COARSE_TICK }))
}

/// The criteria that every run of requests has.
pub fn sound(trace: &mut PhaseTrace, report: &Report) {
    let criterion = judge::nothing_wrong(trace.phase, judge::wrong(report));
    trace.criteria.push(criterion);
}

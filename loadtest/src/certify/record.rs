//! What a certification leaves behind besides its certificate: everything it saw, for plots and for whoever looks into it.

use super::judge::Figures;
use crate::load::{ClientFigures, Report, SecondResult};
use bulkhead_model::{Certificate, certificate::Criterion, certification::Phase};
use serde::{Deserialize, Serialize};

/// A whole run, with its certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trace {
    pub certificate: Certificate,
    pub phases: Vec<PhaseTrace>,
}

/// What one phase saw.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PhaseTrace {
    pub phase: Phase,
    /// Since the run began.
    pub began_ms: u64,
    pub lasted_ms: u64,
    pub figures: Figures,
    pub criteria: Vec<Criterion>,
    /// By time since the run began.
    pub ticks: Vec<Tick>,
    /// What was broken and mended, and when.
    pub events: Vec<Event>,
    /// Of the ramp.
    pub steps: Vec<Step>,
    pub client: Option<ClientFigures>,
    pub notes: Vec<String>,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Tick {
    pub at_ms: u64,
    pub done_per_second: f64,
    pub shed_per_second: f64,
    pub failed_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// Something that was done to the cell.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    pub at_ms: u64,
    pub what: String,
}

/// One load of the ramp.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Step {
    pub offered_per_second: f64,
    pub done_per_second: f64,
    pub p99_ms: f64,
    /// It kept up with it.
    pub kept_up: bool,
}

impl PhaseTrace {
    pub fn new(phase: Phase, began_ms: u64) -> Self {
        Self {
            phase,
            began_ms,
            lasted_ms: 0,
            figures: Figures::new(),
            criteria: Vec::new(),
            ticks: Vec::new(),
            events: Vec::new(),
            steps: Vec::new(),
            client: None,
            notes: Vec::new(),
        }
    }

    /// Takes in the ticks of a run that began `began_ms` after the beginning, of the stretches that `wanted` names.
    pub fn take(&mut self, report: &Report, began_ms: u64, wanted: impl Fn(usize) -> bool) {
        let tick_ms = report.tick_seconds * 1_000.0;
        let per_second = |count: u64| count as f64 / report.tick_seconds.max(f64::MIN_POSITIVE);
        let ticks = report.seconds.iter().filter(|tick| wanted(tick.phase));
        self.ticks.extend(ticks.map(|tick: &SecondResult| Tick {
            at_ms: began_ms + (f64::from(tick.second) * tick_ms) as u64,
            done_per_second: per_second(tick.done),
            shed_per_second: per_second(tick.shed),
            failed_per_second: per_second(tick.failed),
            p50_ms: tick.p50_ms,
            p99_ms: tick.p99_ms,
        }));
        self.client = Some(report.client);
        for (number, phase) in report.phases.iter().enumerate().filter(|(number, _)| wanted(*number)) {
            for (what, count) in phase.groups.values().flat_map(|group| &group.total.failures) {
                self.notes.push(format!("{} ({number}): {count} times {what}", phase.name));
            }
            let unsent: u64 = phase.groups.values().map(|group| group.total.unsent).sum();
            if unsent > 0 {
                self.notes.push(format!("{} ({number}): {unsent} requests were never sent", phase.name));
            }
        }
        if let Some(why) = report.client.bottleneck() {
            self.notes.push(format!("not a measure of the cell: {why}"));
        }
        for wrong in &report.wrong {
            self.notes.push(format!("wrong answer: {wrong}"));
        }
    }
}

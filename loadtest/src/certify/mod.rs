//! `certify`: whether a cell does what its blueprint declares, before tenants come.
//!
//! ```text
//!  blueprint ──► phases on the cell ──► figures ──► criteria ──► certificate (signed)
//!                        └──────► trace ──────────────────────► report (HTML)
//! ```
//! What a phase has to show is in the blueprint; what it showed is in the certificate, whether or not it was enough.

mod faults;
mod isolation;
mod judge;
mod key;
mod loads;
mod mix;
mod options;
mod record;
mod reference;
mod room;
mod run;
mod subject;

pub use key::{read_or_make, read_public};
pub use options::{Broken, Certify};
pub use record::{Event, PhaseTrace, Step, Tick, Trace};
pub use subject::{Node, Subject};

use crate::{clock, html, load::View, machine};
use anyhow::Context as _;
use bulkhead_model::{
    Certificate, Timestamp,
    certificate::{CERTIFICATE_VERSION, Machine, PhaseFigures, Refusal, Statement},
    certification::{Phase, Profile},
};
use run::Run;
use std::{path::Path, time::Duration};

/// Chooses arrivals, keys and kinds; the same for every cell, so that they are asked for the same.
const SEED: u64 = 1;

/// Certifies the cell, and writes certificate, report and trace.
///
/// # Errors
/// When the cell is not good enough, or could not be tried. In the first case everything is written all the same.
pub async fn run(certify: &Certify) -> anyhow::Result<()> {
    let site = certify.open().await?;
    let subject = &site.subject;
    anyhow::ensure!(
        subject.blueprint.is_certifiable(),
        "blueprint {} declares no rates and objectives: [capacity] and [slo] say nothing that could be tried",
        subject.blueprint.name
    );
    let signing = read_or_make(&certify.signing_key())?;
    let issued = Timestamp(clock::stamp());
    let course = subject.blueprint.certification.course(certify.profile());
    let lasts: u64 = Phase::ALL.into_iter().map(|phase| course.lasts_ms(phase)).sum();
    subject.mark(Duration::from_millis(lasts * 2)).await?;
    let tried = tokio::select! {
        tried = try_all(certify, subject) => tried,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let cleaned = subject.clean().await.context("the cell could not be left as it was");
    let phases = match (tried, cleaned) {
        (Ok(phases), Ok(())) => phases,
        (Err(error), Ok(())) | (Ok(_), Err(error)) => return Err(error.context(site.logs())),
        (Err(error), Err(also)) => return Err(error.context(format!("{also:#}\n{}", site.logs()))),
    };
    let certificate = statement(certify.profile(), subject, issued, &phases).sign(&signing);
    let trace = Trace { certificate, phases };
    write(&certify.out(), &trace)?;
    println!("{}", verdict(&trace, &certify.out()));
    match trace.certificate.statement.judge() {
        Ok(()) => Ok(()),
        Err(refusal) => anyhow::bail!("cell {} is not certified: {refusal}", subject.cell),
    }
}

async fn try_all(certify: &Certify, subject: &Subject) -> anyhow::Result<Vec<PhaseTrace>> {
    let view = View::of(certify.progress());
    certify.break_it(subject).await?;
    view.say(&format!("cell {} of blueprint {}, profile {}", subject.cell, subject.blueprint.name, certify.profile()));
    let mut run = Run::prepare(subject, certify.profile(), view, certify.without_limits(), SEED).await?;
    run.all().await?;
    let mut phases = run.phases;
    certify.compare(subject, &mut phases).await?;
    Ok(phases)
}

fn statement(profile: Profile, subject: &Subject, issued: Timestamp, phases: &[PhaseTrace]) -> Statement {
    let days = subject.blueprint.certification.valid_days;
    let figures = phases.iter().map(|trace| PhaseFigures {
        phase: trace.phase,
        began_ms: trace.began_ms,
        lasted_ms: trace.lasted_ms,
        figures: trace.figures.clone(),
    });
    Statement {
        version: CERTIFICATE_VERSION,
        blueprint: subject.blueprint.name.clone(),
        blueprint_hash: subject.blueprint.hash(),
        build: subject.build.clone(),
        cell: subject.cell.clone(),
        machine: Machine {
            cpus: machine::cores() as u64,
            cpu_model: machine::cpu_model().unwrap_or_else(|| "unknown".into()),
            memory_bytes: machine::memory_bytes().unwrap_or(0),
            kernel: machine::kernel().unwrap_or_else(|| "unknown".into()),
            shared_with_load_test: subject.is_local(),
        },
        profile,
        issued,
        expires: issued.plus(Duration::from_secs(days * 24 * 60 * 60)),
        phases: figures.collect(),
        criteria: phases.iter().flat_map(|trace| trace.criteria.clone()).collect(),
    }
}

/// Certificate, report and trace, in one directory.
fn write(directory: &Path, trace: &Trace) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
    for (name, text) in [
        ("certificate.json", trace.certificate.to_json()),
        ("report.html", html::of_trace(trace)),
        ("trace.json", serde_json::to_string(trace)?),
    ] {
        let file = directory.join(name);
        std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

fn verdict(trace: &Trace, directory: &Path) -> String {
    let Certificate { statement, signature } = &trace.certificate;
    let failed = statement.criteria.iter().filter(|criterion| !criterion.passed).count();
    let seconds: u64 = trace.phases.iter().map(|phase| phase.began_ms + phase.lasted_ms).max().unwrap_or(0) / 1_000;
    let word = match statement.judge() {
        Ok(()) => "certified".to_owned(),
        Err(Refusal::Incomplete { phase }) => format!("not certified: phase {phase} was not tried"),
        Err(_) => format!("not certified: {failed} criteria of {} are not met", statement.criteria.len()),
    };
    format!(
        "cell {} is {word} ({} criteria, {seconds} s); signed with key {}; see {}/report.html",
        statement.cell,
        statement.criteria.len(),
        signature.key,
        directory.display()
    )
}

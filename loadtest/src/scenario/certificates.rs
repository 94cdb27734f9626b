//! What is done with certificates that exist: `verify`, `diff`, and `report` out of a trace.

use crate::{
    certify::{Trace, read_public},
    clock, html,
    load::Report,
};
use anyhow::Context as _;
use bulkhead_model::{
    Blueprint, CellId, Certificate, Timestamp,
    certificate::{self, BANDED, Expectations, Reference, Refusal, Statement},
    certification::Profile,
};
use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub struct Verify {
    /// The certificate
    certificate: PathBuf,
    /// The blueprint that it must be of
    #[arg(long)]
    blueprint: PathBuf,
    /// Who is trusted: 64 hex digits, or a file with them (certify.key.pub)
    #[arg(long)]
    key: String,
    /// The build that it must be of [default: this program's own]
    #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
    build: String,
    /// The cell that it must be of
    #[arg(long)]
    cell: Option<CellId>,
    /// The certificate whose figures it must be like
    #[arg(long)]
    reference: Option<PathBuf>,
    /// A moment other than now: milliseconds since 1970
    #[arg(long)]
    at: Option<u64>,
}

#[derive(Debug, Args)]
pub struct Diff {
    /// The certificate that is the reference
    reference: PathBuf,
    /// The one that is compared with it
    certificate: PathBuf,
    /// Percent, to either side
    #[arg(long, default_value_t = 10)]
    band: u64,
}

#[derive(Debug, Args)]
pub struct MakeReport {
    /// A trace.json of a certification, or the JSON of `load`
    results: PathBuf,
    /// The report
    #[arg(long, default_value = "report.html")]
    out: PathBuf,
}

/// Says whether a certificate is good.
///
/// # Errors
/// Says why it is not.
pub fn verify(verify: &Verify) -> anyhow::Result<()> {
    let found = read(&verify.certificate)?;
    let text = std::fs::read_to_string(&verify.blueprint)
        .with_context(|| format!("reading {}", verify.blueprint.display()))?;
    let blueprint = Blueprint::parse(&text)?;
    let (hash, key) = (blueprint.hash(), read_public(&verify.key)?);
    let reference = verify.reference.as_deref().map(read).transpose()?;
    let band_percent = blueprint.certification.band_percent;
    let expected = Expectations {
        blueprint_hash: &hash,
        build: &verify.build,
        now: Timestamp(verify.at.unwrap_or_else(clock::stamp)),
        key: &key,
        cell: verify.cell.as_ref(),
        profile: blueprint.certification.profile,
        reference: reference.as_ref().map(|of| Reference { statement: &of.statement, band_percent }),
    };
    certificate::verify(&found, &expected).context("the certificate is refused")?;
    let Statement { cell, blueprint, profile, criteria, .. } = &found.statement;
    println!("good: cell {cell} of blueprint {blueprint}, profile {profile}, {} criteria met", criteria.len());
    Ok(())
}

/// Compares two certificates.
///
/// # Errors
/// When a figure left the band.
pub fn diff(diff: &Diff) -> anyhow::Result<()> {
    let (reference, found) = (read(&diff.reference)?.statement, read(&diff.certificate)?.statement);
    if reference.blueprint_hash != found.blueprint_hash {
        println!("they are of different blueprints: {} and {}", reference.blueprint_hash, found.blueprint_hash);
    }
    if reference.profile == Profile::Quick || found.profile == Profile::Quick {
        println!("a quick run says little about figures: its phases last a second or two");
    }
    for line in changes(&reference, &found, diff.band) {
        println!("{line}");
    }
    let outside = certificate::outside_band(&found, &Reference { statement: &reference, band_percent: diff.band });
    let said: Vec<String> = outside.iter().map(Refusal::to_string).collect();
    anyhow::ensure!(said.is_empty(), "{}", said.join("\n"));
    println!("every banded figure lies within {}%", diff.band);
    Ok(())
}

/// One line per figure that both have, with what became of it.
fn changes(reference: &Statement, found: &Statement, band: u64) -> Vec<String> {
    let mut lines =
        vec![format!("{:<11} {:<28} {:>14} {:>14} {:>8}", "phase", "figure", "reference", "this", "change")];
    for phase in &reference.phases {
        for (name, before) in &phase.figures {
            let Some(after) = found.figure(phase.phase, name) else { continue };
            let change = if *before == 0 { 0.0 } else { after as f64 / *before as f64 * 100.0 - 100.0 };
            let banded = BANDED.contains(&(phase.phase, name.as_str()));
            let mark = match (banded, change.abs() > band as f64) {
                (true, true) => "  left the band",
                (true, false) => "  in the band",
                (false, _) => "",
            };
            lines.push(format!("{:<11} {name:<28} {before:>14} {after:>14} {change:>7.1}%{mark}", phase.phase));
        }
    }
    lines
}

/// Makes a report out of results.
///
/// # Errors
/// When they cannot be read, or it cannot be written.
pub fn report(make: &MakeReport) -> anyhow::Result<()> {
    let bytes = std::fs::read(&make.results).with_context(|| format!("reading {}", make.results.display()))?;
    let page = match (serde_json::from_slice::<Trace>(&bytes), serde_json::from_slice::<Report>(&bytes)) {
        (Ok(trace), _) => html::of_trace(&trace),
        (Err(_), Ok(report)) => html::of_report(&report),
        (Err(trace), Err(report)) => {
            anyhow::bail!("{} is neither a trace ({trace}) nor a report of load ({report})", make.results.display())
        }
    };
    std::fs::write(&make.out, page).with_context(|| format!("writing {}", make.out.display()))?;
    println!("{}", make.out.display());
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Certificate> {
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    Certificate::parse(&bytes).with_context(|| format!("{}", file.display()))
}

//! Whether a cell is like the blueprint's reference: by the figures of a certificate, or by turns with the cell itself.
//!
//! Two certificates were made at different times on a machine that was not the same at both; two cells that are measured A B B A were not. Where
//! the reference cell is still there, the second is the better one.

use super::{PhaseTrace, subject::Subject};
use crate::compare::{self, Case, Side, Windows};
use anyhow::Context as _;
use bulkhead_model::{
    Certificate,
    certificate::{BANDED, Criterion, Threshold},
    certification::{Phase, Profile},
};
use std::{path::Path, time::Duration};

/// What is measured by turns: small objects, by as many clients as keep a cell busy.
const CASES: [(Case, &str); 2] = [
    (Case::Put { bytes: 4 << 10, clients: 16 }, "reference_put"),
    (Case::Get { bytes: 4 << 10, clients: 16 }, "reference_get"),
];

/// Puts a criterion beside each figure of [`BANDED`] that the reference has.
///
/// # Errors
/// When there is no certificate in the file, or of another blueprint.
pub fn certificate(file: &Path, subject: &Subject, phases: &mut [PhaseTrace]) -> anyhow::Result<()> {
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let reference = Certificate::parse(&bytes).with_context(|| format!("{}", file.display()))?.statement;
    let hash = subject.blueprint.hash();
    anyhow::ensure!(reference.blueprint_hash == hash, "the reference is of blueprint {}", reference.blueprint_hash);
    let band = subject.blueprint.certification.band_percent;
    for (phase, figure) in BANDED {
        let Some(of) = reference.figure(phase, figure) else { continue };
        within(phases, phase, &format!("{figure} beside the reference"), figure, of, band);
    }
    Ok(())
}

fn within(phases: &mut [PhaseTrace], phase: Phase, what: &str, figure: &str, of: u64, band: u64) {
    let Some(trace) = phases.iter_mut().find(|trace| trace.phase == phase) else { return };
    let found = trace.figures.get(figure).copied().unwrap_or(0);
    let by = of * band / 100;
    trace.criteria.push(Criterion::new(phase, what, found, Threshold::AtLeast(of.saturating_sub(by))));
    trace.criteria.push(Criterion::new(phase, what, found, Threshold::AtMost(of.saturating_add(by))));
}

/// Measures both cells by turns. The ratio must lie within the band.
///
/// # Errors
/// When the other cell is not empty, of another blueprint, or cannot be measured.
pub async fn cell(
    subject: &Subject,
    other: &Subject,
    profile: Profile,
    phases: &mut [PhaseTrace],
) -> anyhow::Result<()> {
    anyhow::ensure!(
        subject.blueprint.hash() == other.blueprint.hash(),
        "cell {} is of another blueprint, {}",
        other.cell,
        other.blueprint.hash()
    );
    other.mark(Duration::from_secs(300)).await?;
    let measured = both(subject, other, profile, phases).await;
    other.clean().await?;
    measured
}

async fn both(subject: &Subject, other: &Subject, profile: Profile, phases: &mut [PhaseTrace]) -> anyhow::Result<()> {
    let seconds = if profile == Profile::Quick { 0.5 } else { 4.0 };
    let windows = Windows {
        lasts: Duration::from_secs_f64(seconds),
        rounds: 2,
        pause: Duration::from_millis(100),
        delete_keys: 0,
    };
    let [a, b] = [subject.account("compared").await?, other.account("compared").await?];
    let side = |of: &Subject, made: &super::subject::Made| Side {
        name: of.cell.to_string(),
        target: made.target.clone(),
        bucket: made.bucket.clone(),
        pids: Vec::new(),
        data: None,
    };
    let (a, b) = (side(subject, &a), side(other, &b));
    let band = subject.blueprint.certification.band_percent;
    for (case, name) in CASES {
        let compared = compare::compare(case, [&a, &b], windows).await?;
        let ratio = compared.ratio.with_context(|| format!("{case}: a window did nothing"))?;
        let permille = |value: f64| (value * 1_000.0).clamp(0.0, 1e9) as u64;
        let Some(trace) = phases.iter_mut().find(|trace| trace.phase == Phase::Ramp) else { continue };
        let figures =
            [("ratio", ratio.ratio), ("ratio_low", ratio.low), ("ratio_high", ratio.high), ("drift", ratio.drift)];
        for (what, value) in figures {
            trace.figures.insert(format!("{name}_{what}_permille"), permille(value));
        }
        let (what, found) = (format!("{name}_ratio_permille"), permille(ratio.ratio));
        trace.criteria.push(Criterion::new(Phase::Ramp, what.clone(), found, Threshold::AtLeast(1_000 - band * 10)));
        trace.criteria.push(Criterion::new(Phase::Ramp, what, found, Threshold::AtMost(1_000 + band * 10)));
    }
    Ok(())
}

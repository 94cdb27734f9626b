//! Phases that are nothing but load: warm-up, ramp, hold, overload and recovery, and load beside the jobs that clear away.

use super::{
    judge, mix,
    record::{PhaseTrace, Step},
    run::{Run, engine, sound},
};
use crate::{
    clock,
    limits::COPIES_PATIENCE,
    load::{Phase as Stretch, PhaseResult},
};
use anyhow::Context as _;
use bulkhead_model::{
    certificate::{Criterion, Threshold},
    certification::{Phase, Profile},
};
use std::time::Duration;

/// Of the declared rate, before anything is measured.
const WARM_UP_SHARE: f64 = 0.5;
/// Steps of a ramp, at most, and by how much each is above the last.
const STEPS: u32 = 16;
const STEPS_QUICK: u32 = 5;
const STEP: f64 = 1.25;
const STEP_QUICK: f64 = 2.0;
/// Of a churning account.
const CHURN_KEYS: u32 = 200;
/// What is served in an overload is served this soon: a queue that stands is noticed after a second, and who is served then waited little.
const OVERLOAD_P99_US_MAX: u64 = 2_000_000;
/// Connections of each account in an overload.
const CROWD: u16 = 128;
/// The name of the group that is judged.
pub const TENANTS: &str = "tenants";

fn only(phases: &[PhaseResult]) -> anyhow::Result<&PhaseResult> {
    phases.first().context("a run has the stretches it was asked for")
}

/// The accounts are filled by now; a little load makes connections and caches warm.
pub async fn warm_up(run: &mut Run<'_>, trace: &mut PhaseTrace) -> anyhow::Result<()> {
    let report = run.load(trace, run.declared() * WARM_UP_SHARE, run.lasts(Phase::WarmUp)).await?;
    trace.figures = judge::figures(only(&report.phases)?, TENANTS);
    let usage = run.subject.any(async |admin| admin.status().await).await?.usage;
    trace.figures.insert("objects".into(), usage.objects);
    trace.figures.insert("bytes".into(), usage.bytes);
    let wanted = run.main.keys();
    trace.criteria.push(Criterion::new(Phase::WarmUp, "objects", usage.objects, Threshold::AtLeast(wanted)));
    trace.criteria.push(judge::nothing_failed(Phase::WarmUp, &trace.figures));
    sound(trace, &report);
    Ok(())
}

/// More and more, until it does not keep up. The last load that it kept up with is the knee.
pub async fn ramp(run: &mut Run<'_>, trace: &mut PhaseTrace) -> anyhow::Result<()> {
    let quick = run.profile == Profile::Quick;
    let (steps, step) = if quick { (STEPS_QUICK, STEP_QUICK) } else { (STEPS, STEP) };
    let lasts = run.lasts(Phase::Ramp) / steps;
    let (mut offered, mut knee, mut wrong) = (run.declared(), 0.0_f64, 0);
    for _ in 0..steps {
        let report = run.load(trace, offered, lasts).await?;
        let seen = judge::figures(only(&report.phases)?, TENANTS);
        let kept_up = judge::keeps_up(&run.subject.blueprint, &seen, 100);
        let figure = |name: &str| seen.get(name).copied().unwrap_or(0) as f64;
        let p99 = ["put_p99_us", "get_p99_us", "list_p99_us"].map(figure).into_iter().fold(0.0, f64::max);
        trace.steps.push(Step {
            offered_per_second: offered,
            done_per_second: figure("done_per_second"),
            p99_ms: p99 / 1_000.0,
            kept_up,
        });
        wrong += judge::wrong(&report);
        if !kept_up {
            break;
        }
        knee = offered;
        offered *= step;
    }
    run.knee = run.knee.max(knee);
    let declared = run.declared() as u64;
    trace.figures.insert("knee_per_second".into(), knee.round() as u64);
    trace.criteria.push(Criterion::new(
        Phase::Ramp,
        "knee_per_second",
        knee.round() as u64,
        Threshold::AtLeast(declared),
    ));
    trace.criteria.push(judge::nothing_wrong(Phase::Ramp, wrong));
    Ok(())
}

/// What is declared, for as long as said.
pub async fn hold(run: &mut Run<'_>, trace: &mut PhaseTrace) -> anyhow::Result<()> {
    let report = run.load(trace, run.declared(), run.lasts(Phase::Hold)).await?;
    trace.figures = judge::figures(only(&report.phases)?, TENANTS);
    let client = &report.client;
    trace.figures.insert("client_cpu_permille".into(), (client.cpu_share * 1_000.0) as u64);
    trace.figures.insert("client_late_p99_us".into(), (client.late_p99_ms * 1_000.0) as u64);
    trace.criteria.extend(judge::objectives(&run.subject.blueprint, Phase::Hold, &trace.figures, 100));
    trace.criteria.push(judge::nothing_failed(Phase::Hold, &trace.figures));
    let refused = trace.figures.get("refused").copied().unwrap_or(0);
    trace.criteria.push(Criterion::new(Phase::Hold, "refused", refused, Threshold::AtMost(0)));
    if run.profile == Profile::Full {
        let bottleneck = u64::from(client.bottleneck().is_some());
        trace.criteria.push(Criterion::new(
            Phase::Hold,
            "load_test_was_the_bottleneck",
            bottleneck,
            Threshold::AtMost(0),
        ));
    }
    let missing = copies_missing(run).await?;
    trace.figures.insert("copies_missing".into(), missing);
    trace.criteria.push(Criterion::new(Phase::Hold, "copies_missing", missing, Threshold::AtMost(0)));
    sound(trace, &report);
    Ok(())
}

/// Copies of chunks that are not where they should be, once the third ones have had time to follow. With a node in each AZ every node holds
/// every chunk, so that one which drops them in silence has fewer than the others.
async fn copies_missing(run: &Run<'_>) -> anyhow::Result<u64> {
    let mut missing = 0;
    clock::wait_until(COPIES_PATIENCE, async || {
        let Ok(nodes) = run.subject.storage().await else { return false };
        let most = nodes.iter().map(|node| node.chunks).max().unwrap_or(0);
        let fewer = nodes.iter().map(|node| most - node.chunks).sum();
        let said = nodes.iter().map(|node| node.missing + node.corrupt).sum();
        missing = if run.subject.blueprint.topology.nodes_per_az == 1 { u64::max(fewer, said) } else { said };
        missing == 0
    })
    .await;
    run.subject.storage().await.map(|_| missing)
}

/// Half as much again as the cell can do, and then less than it declares, without a pause between.
pub async fn overload(run: &mut Run<'_>, trace: &mut PhaseTrace, recovery: &mut PhaseTrace) -> anyhow::Result<()> {
    let (certification, declared) = (run.subject.blueprint.certification, run.declared());
    let (over, after) = (run.lasts(Phase::Overload), run.lasts(Phase::Recovery));
    let percent = |percent: u64| percent as f64 / 100.0;
    let stretch =
        |phase: Phase, lasts: Duration, per_second: f64| Stretch::new(phase.name(), lasts, run.scale(per_second));
    let stretches = [
        stretch(Phase::Overload, over, run.knee.max(declared) * percent(certification.overload_percent)),
        stretch(Phase::Recovery, after, declared * percent(certification.recovery_percent)),
    ];
    let began = run.now_ms();
    let view = &mut run.view;
    let report = run.main.crowded(CROWD, &stretches, |progress| view.tick(progress)).await?;
    let over_ms = u64::try_from(over.as_millis()).unwrap_or(u64::MAX);
    trace.take(&report, began, |number| number == 0);
    recovery.take(&report, began, |number| number == 1);
    (recovery.began_ms, recovery.lasted_ms) = (began + over_ms, u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
    let [overloaded, recovered] = report.phases.as_slice() else { anyhow::bail!("two stretches were asked for") };

    trace.figures = judge::figures(overloaded, TENANTS);
    // By when answers came: what was due in an overload and is answered after it is no goodput of it.
    let answered: u64 = report.seconds.iter().filter(|tick| tick.phase == 0).map(|tick| tick.answered).sum();
    let goodput = (answered as f64 / over.as_secs_f64()) as u64;
    let least = (declared * percent(certification.goodput_percent)) as u64;
    trace.figures.insert("answered_per_second".into(), goodput);
    trace.criteria.push(Criterion::new(Phase::Overload, "answered_per_second", goodput, Threshold::AtLeast(least)));
    trace.criteria.push(judge::nothing_failed(Phase::Overload, &trace.figures));
    if run.profile == Profile::Full {
        // A queue may stand for a moment before anybody is refused; one that grows is another matter, and takes more than seconds to show.
        for name in ["put_p99_us", "get_p99_us"] {
            let found = trace.figures.get(name).copied().unwrap_or(0);
            trace.criteria.push(Criterion::new(Phase::Overload, name, found, Threshold::AtMost(OVERLOAD_P99_US_MAX)));
        }
    }
    sound(trace, &report);

    recovery.figures = judge::figures(recovered, TENANTS);
    let found = judge::recovered_after_ms(&run.subject.blueprint, &report, 1);
    let most = (certification.recovery_seconds * 1_000).min(recovery.lasted_ms);
    recovery.figures.insert("recovered_after_ms".into(), found);
    recovery.criteria.push(Criterion::new(Phase::Recovery, "recovered_after_ms", found, Threshold::AtMost(most)));
    recovery.criteria.push(judge::nothing_failed(Phase::Recovery, &recovery.figures));
    Ok(())
}

/// Overwrites and deletions at the declared rate, with whatever the jobs of the nodes make of them.
pub async fn background(run: &mut Run<'_>, trace: &mut PhaseTrace) -> anyhow::Result<()> {
    let blueprint = &run.subject.blueprint;
    let churn = engine(run.subject, mix::churn(blueprint, CHURN_KEYS), &run.course, 5).await?;
    let stretch = Stretch::new(trace.phase.name(), run.lasts(Phase::Background), 1.0);
    let began = run.now_ms();
    let view = &mut run.view;
    let report = churn.run(&[stretch], |progress| view.tick(progress)).await?;
    trace.take(&report, began, |_| true);
    trace.figures = judge::figures(only(&report.phases)?, "churning");
    let storage = run.subject.storage().await?;
    let sum = |of: fn(&bulkhead_model::api::cell::NodeStorage) -> u64| storage.iter().map(of).sum::<u64>();
    let (freed, read) = (sum(|node| node.freed_chunks), sum(|node| node.scrub.read));
    trace.figures.insert("freed_chunks".into(), freed);
    trace.figures.insert("scrubbed_chunks".into(), read);
    trace.figures.insert("compacted_extents".into(), sum(|node| node.trash.removed_extents + node.trash.extents));
    let percent = blueprint.certification.degraded_percent;
    trace.criteria.extend(judge::objectives(blueprint, Phase::Background, &trace.figures, percent));
    trace.criteria.push(judge::nothing_failed(Phase::Background, &trace.figures));
    if run.profile == Profile::Full {
        // In seconds there is none: what was deleted is kept for the grace period.
        trace.criteria.push(Criterion::new(Phase::Background, "freed_chunks", freed, Threshold::AtLeast(1)));
    }
    sound(trace, &report);
    run.others.push(churn);
    Ok(())
}

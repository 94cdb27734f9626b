//! One account asks for ten times its limit; what do the others notice?

use super::{
    judge::{self, Figures},
    mix,
    record::PhaseTrace,
    run::{Run, engine_of},
};
use crate::load::Phase as Stretch;
use bulkhead_model::{
    AccountLimits, Blueprint,
    certificate::{Criterion, Threshold},
    certification::Phase,
};

/// An account that was quiet may meet its limit by a burst, and the nodes lend each other parts of it: so many seconds' worth beside the time.
const BURST_SECONDS: f64 = 2.0;
const QUIET: &str = "quiet";
const NOISY: &str = "noisy";

/// The quiet ones alone for half of the time, and then beside the noisy one.
pub async fn run(run: &mut Run<'_>, trace: &mut PhaseTrace) -> anyhow::Result<()> {
    let (workload, limit) = mix::neighbours(&run.subject.blueprint);
    let mut made = Vec::new();
    for group in &workload.groups {
        for _ in 0..group.accounts {
            made.push(run.subject.account(&group.name).await?);
        }
    }
    let engine = engine_of(workload, &made, &run.course, 3).await?;
    if let Some(noisy) = made.last().filter(|_| !run.without_limits) {
        let limits = AccountLimits { write_requests: Some(limit), ..AccountLimits::default() };
        run.subject.limit(noisy, limits).await?;
    }
    let lasts = run.lasts(Phase::Isolation) / 2;
    let stretches = [Stretch::new("alone", lasts, 1.0).only(QUIET), Stretch::new("beside", lasts, 1.0)];
    let began = run.now_ms();
    let view = &mut run.view;
    let report = engine.run(&stretches, |progress| view.tick(progress)).await?;
    trace.take(&report, began, |_| true);
    let noise_ms = began + u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
    trace.events.push(super::record::Event {
        at_ms: noise_ms,
        what: format!("an account that may write {limit} times a second asks for ten times as much"),
    });
    let [calm, noise] = report.phases.as_slice() else { anyhow::bail!("two stretches were asked for") };
    let (alone, beside, noisy) =
        (judge::figures(calm, QUIET), judge::figures(noise, QUIET), judge::figures(noise, NOISY));
    let seconds = lasts.as_secs_f64();
    trace.criteria.extend(judged(&run.subject.blueprint, [&alone, &beside, &noisy], limit, seconds));
    trace.criteria.push(judge::nothing_wrong(Phase::Isolation, judge::wrong(&report)));
    trace.figures = all(&alone, beside, &noisy);
    run.others.push(engine);
    Ok(())
}

/// The quiet ones' p99 may grow by the stated factor, or as far as the objective goes; the noisy one gets what it may have, and no more.
fn judged(blueprint: &Blueprint, [alone, beside, noisy]: [&Figures; 3], limit: u64, seconds: f64) -> Vec<Criterion> {
    let (slo, percent) = (&blueprint.slo, blueprint.certification.neighbour_percent);
    let mut criteria = vec![judge::nothing_failed(Phase::Isolation, beside)];
    for (name, objective) in [("put_p99_us", slo.put_p99_ms), ("get_p99_us", slo.get_p99_ms)] {
        let (Some(before), Some(with)) = (alone.get(name), beside.get(name)) else { continue };
        let most = (before * percent / 100).max(objective * 1_000);
        criteria.push(Criterion::new(Phase::Isolation, format!("quiet_{name}"), *with, Threshold::AtMost(most)));
    }
    let done = noisy.get("done_per_second").copied().unwrap_or(0);
    let most = (limit as f64 * (seconds + BURST_SECONDS) / seconds) as u64;
    criteria.push(Criterion::new(Phase::Isolation, "noisy_done_per_second", done, Threshold::AtMost(most)));
    criteria
}

/// Of the quiet ones beside the noise, and by prefix what they and the noisy one had.
fn all(alone: &Figures, beside: Figures, noisy: &Figures) -> Figures {
    let mut figures = beside;
    let prefixed =
        |prefix: &str, of: &Figures, name: &str| of.get(name).map(|value| (format!("{prefix}_{name}"), *value));
    figures.extend(["put_p99_us", "get_p99_us"].iter().filter_map(|name| prefixed("alone", alone, name)));
    let names = ["offered_per_second", "done_per_second", "refused"];
    figures.extend(names.iter().filter_map(|name| prefixed("noisy", noisy, name)));
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dev() -> Blueprint {
        Blueprint::parse(include_str!("../../../blueprints/dev.toml")).expect("valid")
    }

    #[test]
    fn an_unfair_queue_shows_in_what_the_noisy_account_gets_and_in_what_the_quiet_ones_wait() {
        let dev = dev();
        let figures =
            |pairs: &[(&str, u64)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect::<Figures>();
        let alone = figures(&[("put_p99_us", 5_000)]);
        let failed = |beside: u64, noisy: u64| {
            let beside = figures(&[("put_p99_us", beside)]);
            let noisy = figures(&[("done_per_second", noisy)]);
            let criteria = judged(&dev, [&alone, &beside, &noisy], 15, 2.0);
            criteria
                .iter()
                .filter(|criterion| !criterion.passed)
                .map(|criterion| criterion.what.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(failed(9_000, 30), Vec::<String>::new());
        assert_eq!(failed(dev.slo.put_p99_ms * 1_000 + 1, 30), ["quiet_put_p99_us"]);
        assert_eq!(failed(9_000, 31), ["noisy_done_per_second"]);
    }
}

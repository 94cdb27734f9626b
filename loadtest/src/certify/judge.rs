//! Figures out of what a phase saw, and the criteria that a blueprint puts on them. Pure.

use crate::load::{GroupResult, Kind, KindResult, PhaseResult, Report};
use bulkhead_model::{
    Blueprint,
    certificate::{Criterion, Threshold},
    certification::Phase,
};
use std::collections::BTreeMap;

/// By name, which ends in the unit.
pub type Figures = BTreeMap<String, u64>;

/// Kinds of requests that a blueprint has objectives for.
const KINDS: [(Kind, &str); 3] = [(Kind::Put, "put"), (Kind::Get, "get"), (Kind::List, "list")];

/// What one group saw, of all its kinds.
pub fn figures(result: &PhaseResult, group: &str) -> Figures {
    let Some(seen) = result.groups.get(group) else { return Figures::new() };
    let per_second = |count: u64| (count as f64 / result.seconds.max(f64::MIN_POSITIVE)).round() as u64;
    let mut figures = Figures::from([
        // What the load test had no key for was not offered.
        ("offered_per_second".to_owned(), per_second(seen.offered - seen.total.without_key)),
        ("done_per_second".to_owned(), per_second(seen.total.done)),
        ("bytes_per_second".to_owned(), per_second(seen.total.bytes)),
        ("refused".to_owned(), seen.total.shed),
        ("failed".to_owned(), seen.total.failed()),
    ]);
    for (kind, name) in KINDS {
        let Some(seen) = seen.kinds.get(&kind).filter(|seen| seen.done > 0) else { continue };
        let latency = seen.latency;
        for (what, millis) in
            [("p50", latency.p50_ms), ("p99", latency.p99_ms), ("p999", latency.p999_ms), ("max", latency.max_ms)]
        {
            figures.insert(format!("{name}_{what}_us"), (millis * 1_000.0).round() as u64);
        }
    }
    figures
}

/// The objectives, stretched to so many percent.
pub fn objectives(blueprint: &Blueprint, phase: Phase, figures: &Figures, percent: u64) -> Vec<Criterion> {
    let slo = &blueprint.slo;
    let wanted = [("put", slo.put_p99_ms), ("get", slo.get_p99_ms), ("list", slo.list_p99_ms)];
    let judged = wanted.into_iter().filter_map(|(name, millis)| {
        let figure = format!("{name}_p99_us");
        let found = *figures.get(&figure)?;
        Some(Criterion::new(phase, figure, found, Threshold::AtMost(millis * 1_000 * percent / 100)))
    });
    judged.collect()
}

/// Whether a phase's requests met the objectives, stretched to so many percent, and nearly all of them were done.
pub fn keeps_up(blueprint: &Blueprint, figures: &Figures, percent: u64) -> bool {
    let figure = |name: &str| figures.get(name).copied().unwrap_or(0);
    let met = objectives(blueprint, Phase::Ramp, figures, percent).iter().all(|criterion| criterion.passed);
    met && figure("failed") == 0 && figure("done_per_second") * 100 >= figure("offered_per_second") * NEARLY_ALL_PERCENT
}

/// Of what is offered in a step of the ramp, so much is done at least.
const NEARLY_ALL_PERCENT: u64 = 95;

/// No request failed but by being told to slow down.
pub fn nothing_failed(phase: Phase, figures: &Figures) -> Criterion {
    Criterion::new(phase, "failed", figures.get("failed").copied().unwrap_or(0), Threshold::AtMost(0))
}

/// No answer was one that no correct store gives.
pub fn nothing_wrong(phase: Phase, wrong: usize) -> Criterion {
    Criterion::new(phase, "wrong_answers", wrong as u64, Threshold::AtMost(0))
}

/// After how long of phase `number` the objectives were met for good, by tick. One more than the phase lasted when never. Milliseconds.
pub fn recovered_after_ms(blueprint: &Blueprint, report: &Report, number: usize) -> u64 {
    let slo = &blueprint.slo;
    let most = slo.put_p99_ms.max(slo.get_p99_ms).max(slo.list_p99_ms) as f64;
    let ticks: Vec<_> = report.seconds.iter().filter(|tick| tick.phase == number).collect();
    let Some(first) = ticks.iter().map(|tick| tick.second).min() else { return 1 };
    let bad = |tick: &&&crate::load::SecondResult| tick.p99_ms > most || tick.failed > 0 || tick.shed > 0;
    let last_bad = ticks.iter().filter(bad).map(|tick| tick.second - first + 1).max().unwrap_or(0);
    let after = (f64::from(last_bad) * report.tick_seconds * 1_000.0) as u64;
    if last_bad as usize >= ticks.len() && last_bad > 0 { after + 1 } else { after }
}

/// Answers that no correct store gives, of a run.
pub fn wrong(report: &Report) -> usize {
    report.wrong.len()
}

/// Everything of two stretches of one run together, as far as it can be added up.
pub fn failed_in(result: &PhaseResult) -> u64 {
    result.groups.values().map(|group: &GroupResult| KindResult::failed(&group.total)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{ClientFigures, Quantiles, SecondResult};

    fn dev() -> Blueprint {
        Blueprint::parse(include_str!("../../../blueprints/dev.toml")).expect("valid")
    }

    fn kind(done: u64, p99_ms: f64) -> KindResult {
        KindResult {
            done,
            per_second: 0.0,
            bytes: done * 4_096,
            shed: 3,
            unsent: 0,
            without_key: 0,
            failures: BTreeMap::new(),
            latency: Quantiles { p99_ms, ..Quantiles::default() },
        }
    }

    fn result(put_p99_ms: f64, done: u64) -> PhaseResult {
        let kinds = BTreeMap::from([(Kind::Put, kind(done / 2, put_p99_ms)), (Kind::Get, kind(done / 2, 1.0))]);
        let group = GroupResult { offered: 200, total: kind(done, put_p99_ms), kinds };
        PhaseResult { name: "x".into(), seconds: 2.0, scale: 1.0, groups: BTreeMap::from([("g".into(), group)]) }
    }

    #[test]
    fn a_group_s_figures_have_their_units_and_only_of_what_was_done() {
        let seen = figures(&result(12.5, 200), "g");
        assert_eq!((seen["offered_per_second"], seen["done_per_second"], seen["refused"]), (100, 100, 3));
        assert_eq!((seen["put_p99_us"], seen.get("list_p99_us")), (12_500, None));
        assert!(figures(&result(1.0, 2), "none").is_empty());
    }

    #[test]
    fn an_objective_is_missed_by_one_microsecond_and_stretched_by_percents() {
        let dev = dev();
        let most = dev.slo.put_p99_ms as f64;
        let judged = |p99, percent| {
            let figures = figures(&result(p99, 200), "g");
            objectives(&dev, Phase::Hold, &figures, percent).iter().all(|criterion| criterion.passed)
        };
        assert!(judged(most, 100) && !judged(most + 0.001, 100) && judged(most * 2.0, 200));
        assert!(keeps_up(&dev, &figures(&result(1.0, 190), "g"), 100));
        assert!(!keeps_up(&dev, &figures(&result(1.0, 188), "g"), 100), "too little is done");
    }

    #[test]
    fn recovery_is_when_the_last_bad_tick_is_over_and_never_is_longer_than_the_phase() {
        let dev = dev();
        let report = |bad_until: u32| Report {
            workload: String::new(),
            seed: 1,
            phases: Vec::new(),
            tick_seconds: 0.25,
            seconds: (0..8)
                .map(|second| SecondResult {
                    second,
                    phase: usize::from(second >= 4),
                    p99_ms: if second < 4 + bad_until { 9_000.0 } else { 1.0 },
                    ..SecondResult::default()
                })
                .collect(),
            client: ClientFigures::default(),
            wrong: Vec::new(),
            doubtful_keys: 0,
        };
        assert_eq!(recovered_after_ms(&dev, &report(0), 1), 0);
        assert_eq!(recovered_after_ms(&dev, &report(2), 1), 500);
        assert_eq!(recovered_after_ms(&dev, &report(4), 1), 1_001);
    }
}

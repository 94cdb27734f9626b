//! `overload`: more is offered than a cell can do, by all of its accounts alike. What of it is done, how fast, and how soon all is well again?
//!
//! The most that can be done within the promise is looked for first, by offering more and more. Then 80% of it, 150%, 300%, and 80% again, in an open loop: a
//! latency counts from when a request was due, and a request counts as done in the second in which its answer came. There are connections
//! enough, from several addresses, that hardly a request waits for one: where some do, the run is no measure and fails. On one machine the
//! load test would take from the cell what it needs itself to offer so much, so it can be given cores of its own, and the nodes less of theirs.

use super::{load, peaks::Peaks};
use crate::{
    cpu_share::CpuShare,
    faults::{ListedProcess, Role},
    limits::{OVERLOAD_P99_MS, OVERLOAD_WAITED_MAX},
    load::{Engine, Phase, PhaseResult, Report, View},
    machine,
    settings::{Service, Site},
};
use clap::Args;
use std::{collections::BTreeMap, time::Duration};

#[derive(Debug, Args)]
pub struct Overload {
    #[command(flatten)]
    service: Service,
    /// A workload that comes along (mixed, small, large, neighbours), or a file that describes one
    #[arg(long, default_value = "mixed")]
    workload: String,
    /// Connections of each account
    #[arg(long, default_value_t = 400)]
    connections: u16,
    /// Connections from one address
    #[arg(long, default_value_t = 500)]
    per_source: u32,
    /// Cores that the load test has for itself, and the router with it; the nodes of the cells have the others. 0: all share all
    #[arg(long, default_value_t = 0)]
    own_cores: usize,
    /// Of one core, what the nodes of all cells may use together, in percent: a cell that can do little leaves the load test enough of the
    /// machine to offer three times as much. Needs root. 0: all that there is
    #[arg(long, default_value_t = 0)]
    nodes_cpu: u32,
    /// Seconds at each load
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Requests a second to look for the most from
    #[arg(long, default_value_t = 300.0)]
    from: f64,
    /// The p99 that is promised below the most, in milliseconds; twice as much is allowed above it
    #[arg(long, default_value_t = OVERLOAD_P99_MS)]
    slo_p99_ms: f64,
    /// Of the most, what must be done under overload, in percent
    #[arg(long, default_value_t = 90.0)]
    goodput_percent: f64,
    /// Seconds after which the promise is kept again
    #[arg(long, default_value_t = 10)]
    recovery_seconds: u32,
    /// Only print what is seen, and do not judge it
    #[arg(long)]
    report_only: bool,
}

/// The loads, in percent of the most.
const LOADS: [f64; 4] = [80.0, 150.0, 300.0, 80.0];
/// Loads at which goodput is judged.
const OVER: [usize; 2] = [1, 2];
const AFTER: usize = 3;
/// While the most is looked for: what is offered grows by so much, for so long each time, at most so often.
const STEP: f64 = 1.2;
const STEP_SECONDS: Duration = Duration::from_secs(5);
const STEPS_MAX: usize = 32;
/// Offered and not done: the most lies behind.
const BEHIND: f64 = 0.95;
/// Memory may grow by a half and this much, while queues are full.
const MEMORY_SLACK: u64 = 64 << 20;
/// Files of this program besides its connections.
const FILES: usize = 256;

/// Offers more than can be done.
///
/// # Errors
/// When less is done than must be, or an answer was wrong.
pub async fn run(overload: &Overload) -> anyhow::Result<()> {
    let mut workload = load::read(&overload.workload)?;
    workload.groups.iter_mut().for_each(|group| group.connections = overload.connections);
    let count = |group: &crate::load::Group| group.accounts as usize * usize::from(group.connections);
    machine::raise_open_files(workload.groups.iter().map(count).sum::<usize>() + FILES)?;
    let base: f64 = workload.groups.iter().map(|group| group.rate * f64::from(group.accounts)).sum();
    let site = overload.service.open().await?;
    let accounts = load::accounts(&site, &workload, load::Whose::OfOneCell).await?;
    eprintln!("filling {} accounts", accounts.len());
    let engine = Engine::prepare(workload, accounts, 1).await?.from_sources(overload.per_source);
    if overload.own_cores > 0 {
        part(&site, overload.own_cores).await?;
    }
    let _share = share(&site, overload.nodes_cpu).await?;
    let most = find(&engine, base, overload).await?;
    println!("the most that was done: {most:.0} requests/s");
    let peaks = Peaks::watch(&site.cluster).await?;
    let mut reports = Vec::new();
    let mut memory = Vec::new();
    // Calm first, for the memory it takes; then the overload and what follows it in one run, so that nothing is waited for in between.
    for loads in [&LOADS[..1], &LOADS[1..]] {
        let phases: Vec<Phase> = loads.iter().map(|percent| phase(*percent, most / base, overload.seconds)).collect();
        let before = Used::read(&site).await?;
        let mut view = View::new();
        let report = engine.run(&phases, |progress| view.tick(progress)).await?;
        view.end();
        println!("{}", report.text());
        println!("CPU: {}", Used::read(&site).await?.since(&before));
        reports.push(report);
        memory.push(peaks.take());
    }
    let [_, report] = reports.as_slice() else { anyhow::bail!("two runs were made") };
    let mut complaints = judge(overload, most, report);
    complaints.extend(grown(&memory[0], &memory[1]));
    if overload.report_only {
        return Ok(());
    }
    anyhow::ensure!(complaints.is_empty(), "{}", complaints.join("; "));
    println!("overload passed");
    Ok(())
}

/// Gives this program and the router the first cores of the machine, and the nodes the others.
async fn part(site: &Site, own: usize) -> anyhow::Result<()> {
    let cores = machine::cores();
    anyhow::ensure!(own < cores, "the machine has {cores} cores, and {own} of them leave the cells none");
    machine::run_on(std::process::id(), 0..own)?;
    for ListedProcess { role, pid, .. } in site.cluster.list().await?.into_iter().filter(|row| row.alive) {
        let Some(pid) = pid else { continue };
        match role {
            Role::Router | Role::ControlPlane => machine::run_on(pid, 0..own)?,
            Role::Cell => machine::run_on(pid, own..cores)?,
        }
    }
    Ok(())
}

/// Gives the nodes so much of a core, unless it is 0.
async fn share(site: &Site, percent: u32) -> anyhow::Result<Option<CpuShare>> {
    let nodes = site.cluster.list().await?.into_iter().filter(|row| row.alive && row.role == Role::Cell);
    let pids: Vec<u32> = nodes.filter_map(|row| row.pid).collect();
    (percent > 0).then(|| CpuShare::of(&pids, percent)).transpose()
}

/// CPU time used so far, by who used it.
struct Used(BTreeMap<&'static str, u64>);

impl Used {
    async fn read(site: &Site) -> anyhow::Result<Self> {
        let millis = |pid: u32| machine::process(pid).map_or(0, |process| process.cpu_millis);
        let mut used = BTreeMap::from([("load test", millis(std::process::id()))]);
        for ListedProcess { role, pid, .. } in site.cluster.list().await? {
            let who = match role {
                Role::Router => "router",
                Role::Cell => "nodes",
                Role::ControlPlane => "control plane",
            };
            *used.entry(who).or_default() += pid.map_or(0, millis);
        }
        Ok(Self(used))
    }

    fn since(&self, before: &Self) -> String {
        let used = |who: &str, now: &u64| now.saturating_sub(before.0.get(who).copied().unwrap_or(0)) as f64 / 1_000.0;
        self.0.iter().map(|(who, now)| format!("{who} {:.1} s", used(who, now))).collect::<Vec<_>>().join(", ")
    }
}

fn phase(percent: f64, scale_of_all: f64, seconds: u64) -> Phase {
    Phase::new(format!("{percent:.0}%"), Duration::from_secs(seconds), scale_of_all * percent / 100.0)
}

/// Offers more and more until the promise is not kept. Answers the most that was done within it, in a second.
async fn find(engine: &Engine, base: f64, overload: &Overload) -> anyhow::Result<f64> {
    let (mut most, mut offered) = (0.0_f64, overload.from);
    for _ in 0..STEPS_MAX {
        let step = Phase::new(format!("{offered:.0}/s"), STEP_SECONDS, offered / base);
        let report = engine.run(&[step], |_| {}).await?;
        let Some(seen) = report.phases.first() else { anyhow::bail!("the run had no phase") };
        let (done, p99) = (done(seen), p99_ms(seen));
        println!("  offered {offered:8.0}/s: done {done:8.0}/s, p99 {p99:8.1} ms");
        if done < offered * BEHIND || p99 > overload.slo_p99_ms {
            break;
        }
        if let Some(why) = no_measure(overload, &report) {
            anyhow::bail!("no measure of the service: {why}");
        }
        most = most.max(done);
        offered *= STEP;
    }
    anyhow::ensure!(most > 0.0, "not even {:.0}/s were done within a p99 of {} ms", overload.from, overload.slo_p99_ms);
    Ok(most)
}

fn done(phase: &PhaseResult) -> f64 {
    phase.groups.values().map(|group| group.total.per_second).sum()
}

fn p99_ms(phase: &PhaseResult) -> f64 {
    phase.groups.values().map(|group| group.total.latency.p99_ms).fold(0.0, f64::max)
}

/// Why the figures are those of the load test, if they are: requests waited in it, by more than a twentieth of what is promised. A latency
/// counts from when a request was due, so that it is never too short.
fn no_measure(overload: &Overload, report: &Report) -> Option<String> {
    let waited = report.client.waited;
    let waits =
        (waited > OVERLOAD_WAITED_MAX).then(|| format!("{:.1}% of requests waited for a connection", waited * 100.0));
    waits.or_else(|| report.client.bottleneck_beyond(overload.slo_p99_ms / 20.0))
}

/// Requests whose answers came while a phase lasted, in a second.
fn goodput(report: &Report, phase: usize) -> f64 {
    let seconds: Vec<_> = report.seconds.iter().filter(|second| second.phase == phase).collect();
    seconds.iter().map(|second| second.answered).sum::<u64>() as f64 / seconds.len().max(1) as f64
}

/// What is not as it must be. Pure. The report's phases are [`LOADS`] without the first.
fn judge(overload: &Overload, most: f64, report: &Report) -> Vec<String> {
    let mut complaints: Vec<String> = report.wrong.iter().map(|what| format!("wrong: {what}")).collect();
    complaints.extend(no_measure(overload, report));
    for number in OVER {
        let Some(phase) = report.phases.get(number - 1) else { continue };
        let (done, least) = (goodput(report, number - 1), most * overload.goodput_percent / 100.0);
        println!(
            "at {}: {done:.0}/s, {:.0}% of the most; p99 {:.0} ms",
            phase.name,
            done * 100.0 / most,
            p99_ms(phase)
        );
        if done < least {
            complaints.push(format!("at {} {done:.0}/s were done, {least:.0}/s must be", phase.name));
        }
        let (p99, allowed) = (p99_ms(phase), overload.slo_p99_ms * 2.0);
        if p99 > allowed {
            complaints.push(format!("at {} p99 was {p99:.0} ms, {allowed:.0} ms are allowed", phase.name));
        }
        for (what, count) in phase.groups.values().flat_map(|group| &group.total.failures) {
            complaints.push(format!("at {} {count} requests failed other than by a refusal: {what}", phase.name));
        }
    }
    complaints.extend(late(overload, report));
    complaints
}

/// The last second that did not keep the promise, if it comes too late after the load fell.
fn late(overload: &Overload, report: &Report) -> Option<String> {
    let after = || report.seconds.iter().filter(|second| second.phase == AFTER - 1);
    let begins = after().map(|second| second.second).min()?;
    let bad = after().filter(|second| second.p99_ms > overload.slo_p99_ms || second.shed + second.failed > 0);
    let took = bad.map(|second| second.second + 1 - begins).max().unwrap_or(0);
    println!("the promise is kept {took} s after the load fell");
    (took > overload.recovery_seconds)
        .then(|| format!("it took {took} s until all was well, {} are allowed", overload.recovery_seconds))
}

/// Processes whose memory grew beyond what queues take.
fn grown(before: &BTreeMap<String, u64>, during: &BTreeMap<String, u64>) -> Vec<String> {
    let mib = |bytes: u64| bytes >> 20;
    for (name, bytes) in before {
        let most = during.get(name).copied().unwrap_or_default();
        println!("memory of {name}: {} MiB, under overload {} MiB", mib(*bytes), mib(most));
    }
    let over = before.iter().filter_map(|(name, bytes)| {
        let (allowed, most) = (bytes * 3 / 2 + MEMORY_SLACK, during.get(name).copied().unwrap_or_default());
        (most > allowed).then(|| format!("{name} grew to {} MiB, {} are allowed", mib(most), mib(allowed)))
    });
    over.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{ClientFigures, GroupResult, KindResult, Quantiles, SecondResult};

    fn overload() -> Overload {
        #[derive(clap::Parser)]
        struct Program {
            #[command(flatten)]
            overload: Overload,
        }
        <Program as clap::Parser>::parse_from(["overload"]).overload
    }

    fn seen(name: &str, per_second: f64, p99_ms: f64, failures: &[(&str, u64)]) -> PhaseResult {
        let total = KindResult {
            done: 1,
            per_second,
            bytes: 0,
            shed: 9,
            unsent: 0,
            without_key: 0,
            failures: failures.iter().map(|(what, count)| ((*what).to_owned(), *count)).collect(),
            latency: Quantiles { p99_ms, ..Quantiles::default() },
        };
        let group = GroupResult { offered: 1, total, kinds: BTreeMap::new() };
        PhaseResult { name: name.into(), seconds: 20.0, scale: 1.0, groups: BTreeMap::from([("g".into(), group)]) }
    }

    /// In each second of a phase so many answers came; after it all is slow for a while.
    fn report(phases: Vec<PhaseResult>, answered: [u64; 3], slow_after: u32) -> Report {
        let second = |second: u32| SecondResult {
            second,
            phase: second as usize / 20,
            answered: answered[second as usize / 20],
            p99_ms: if second < 40 + slow_after { 900.0 } else { 20.0 },
            ..SecondResult::default()
        };
        Report {
            workload: "mixed".into(),
            seed: 1,
            phases,
            tick_seconds: 1.0,
            seconds: (0..60).map(second).collect(),
            client: ClientFigures::default(),
            wrong: Vec::new(),
            doubtful_keys: 0,
        }
    }

    #[test]
    fn less_goodput_slow_answers_failures_and_a_late_recovery_are_found() {
        let (good, after) = (|name| seen(name, 950.0, 400.0, &[]), || seen("80%", 800.0, 20.0, &[]));
        let complaints = |phases, answered, slow| judge(&overload(), 1_000.0, &report(phases, answered, slow));
        let enough = [950, 950, 800];
        assert_eq!(complaints(vec![good("150%"), good("300%"), after()], enough, 10), Vec::<String>::new());
        assert_eq!(complaints(vec![good("150%"), good("300%"), after()], [950, 899, 851], 0).len(), 1, "counted late");
        assert_eq!(complaints(vec![seen("150%", 950.0, 501.0, &[]), good("300%"), after()], enough, 0).len(), 1);
        let failed = seen("300%", 950.0, 400.0, &[("500 InternalError", 1)]);
        assert_eq!(complaints(vec![good("150%"), failed, after()], enough, 0).len(), 1);
        assert_eq!(complaints(vec![good("150%"), good("300%"), after()], enough, 11).len(), 1);
    }

    #[test]
    fn a_run_in_which_requests_waited_for_the_load_test_is_no_measure() {
        let mut report = report(Vec::new(), [0; 3], 0);
        assert_eq!(no_measure(&overload(), &report), None);
        report.client.waited = OVERLOAD_WAITED_MAX * 2.0;
        assert!(no_measure(&overload(), &report).is_some());
        report.client = ClientFigures { late_p99_ms: 50.0, ..ClientFigures::default() };
        assert!(no_measure(&overload(), &report).is_some());
    }

    #[test]
    fn memory_that_grows_with_the_queues_is_found() {
        let of = |mib: u64| BTreeMap::from([("router".to_owned(), mib << 20)]);
        assert!(grown(&of(100), &of(214)).is_empty());
        assert_eq!(grown(&of(100), &of(215)).len(), 1);
    }
}

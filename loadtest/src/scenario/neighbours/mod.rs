//! `neighbours`: one account asks for ten times its limit, of one kind of work after the other; what do its quiet neighbours notice?
//!
//! All send at their own times, whatever became of what they sent before: the noisy one with many clients, each of the quiet ones a few times
//! a second. A latency counts from when a request was due, so that a service that stands still cannot hide it.
//!
//! The machine is not the same from one minute to the next, so windows without noise and with it take turns: what is seen with noise is
//! compared with the two windows right before and after it, and of several such rounds the median is judged. Isolation is the gate and the
//! limit: without it there is neither, and the same is asked for.

mod noise;
mod quiet;
mod tenants;

use crate::{
    driver::{Pace, Sample},
    faults::Ground,
    settings::{Service, Site},
};
use clap::Args;
use noise::{Kind, Plan};
use quiet::{Ask, Seen};
use std::{fmt, time::Duration};
use tenants::Tenant;

#[derive(Debug, Args)]
pub struct Neighbours {
    #[command(flatten)]
    service: Service,
    /// Quiet accounts
    #[arg(long, default_value_t = 20)]
    quiet: usize,
    /// Requests a second of each quiet account: half PUTs and half GETs of 4 KiB
    #[arg(long, default_value_t = 5)]
    rate: u32,
    /// Clients of the noisy account at a time
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// Measured seconds of each window: one without noise, one with it, and so on
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Windows with each kind of noise
    #[arg(long, default_value_t = 4)]
    rounds: u64,
    /// Kinds of work of the noisy account
    #[arg(long, value_delimiter = ',', value_enum, default_value = "small-puts,large-puts,listings,deletes")]
    kinds: Vec<Kind>,
    /// Switch isolation off in the private cluster, to see what it is worth
    #[arg(long)]
    without_isolation: bool,
    /// Run with isolation, which must pass, and without, which must fail
    #[arg(long, conflicts_with = "without_isolation")]
    both: bool,
    /// The quiet accounts' p99 may become so many times what it is without the noisy one
    #[arg(long, default_value_t = 1.25)]
    p99_factor: f64,
    /// Only print what is seen, and do not judge it
    #[arg(long)]
    report_only: bool,
}

/// Of what the noisy account is to ask for it must ask at least so much, when nothing is done for it beyond its limit.
const OFFERED_SHARE_MIN: f64 = 0.9;
/// Between two windows, for what the last one left behind.
const REST: Duration = Duration::from_secs(1);

/// Runs the scenario and prints its tables.
///
/// # Errors
/// When the quiet accounts noticed more than they may, or nothing where they must, or the service cannot be reached.
pub async fn run(options: &Neighbours) -> anyhow::Result<()> {
    anyhow::ensure!(options.rounds > 0 && options.seconds > 0, "at least one window of one second is measured");
    let broken = once(options, !options.without_isolation).await?;
    let noticed = if options.both { once(options, false).await? } else { vec!["not asked".to_owned()] };
    if options.report_only {
        return Ok(());
    }
    anyhow::ensure!(broken.is_empty(), "{}", broken.join("; "));
    anyhow::ensure!(!noticed.is_empty(), "nobody noticed that isolation is off: the load is too small to say anything");
    Ok(())
}

/// With isolation or without: what the quiet accounts noticed and must not have.
async fn once(options: &Neighbours, isolated: bool) -> anyhow::Result<Vec<String>> {
    let site = if isolated && !options.both {
        options.service.open().await?
    } else {
        options.service.open_on(Ground { without_isolation: !isolated, ..Ground::default() }).await?
    };
    let noisy = tenants::noisy(&site).await?;
    let quiet = tenants::quiet(options.quiet, &noisy, &site).await?;
    println!("{} isolation:", if isolated { "with" } else { "without" });
    println!("{HEADINGS}");
    let run = Run { options, site: &site, noisy: &noisy.0, quiet: &quiet };
    let mut broken = Vec::new();
    for &kind in &options.kinds {
        broken.extend(run.beside(kind, isolated).await?);
    }
    Ok(broken)
}

/// What all that is measured on one ground has in common.
struct Run<'r> {
    options: &'r Neighbours,
    site: &'r Site,
    noisy: &'r Tenant,
    quiet: &'r [Tenant],
}

/// A window with noise, and the quiet accounts in those before and after it.
struct Round {
    alone: Seen,
    beside: Seen,
    noise: Sample,
}

impl Round {
    /// Of the quiet accounts' p99: so many times what it is without noise.
    fn factor(&self) -> f64 {
        self.beside.milliseconds(P99) / self.alone.milliseconds(P99)
    }
}

const P99: f64 = 0.99;

impl Run<'_> {
    /// The quiet accounts beside the noisy one, which is kept to its limit or is not: what they noticed.
    async fn beside(&self, kind: Kind, limited: bool) -> anyhow::Result<Vec<String>> {
        let options = self.options;
        // From the ramp-up to the end is half as long again as is measured; some more, for the burst and for what is late.
        let done = if limited { kind.allowed() } else { kind.offered() };
        let keys = (done * options.seconds as f64 * 2.0 / options.clients.max(1) as f64).ceil() as u64;
        tenants::prepare(kind, self.noisy, options.clients, keys * options.rounds).await?;
        if limited {
            self.set_limit(kind, &kind.limit().1.to_string()).await?;
        }
        let rounds = self.rounds(Plan { kind, clients: options.clients, keys, round: 0 }).await;
        if limited {
            self.set_limit(kind, "default").await?;
        }
        let rounds = rounds?;
        for round in &rounds {
            println!("{}", Line { kind, limit: limited.then(|| kind.allowed()), round });
            round.complain();
        }
        let mut noticed = judge(options.p99_factor, kind, &rounds);
        let offered = rounds.iter().map(|round| offered(&round.noise)).fold(f64::INFINITY, f64::min);
        let least = kind.offered() * OFFERED_SHARE_MIN;
        if limited && offered < least {
            let (kind, wanted) = (kind.name(), kind.offered());
            noticed.push(format!("{kind}: only {offered:.0} a second were offered, {wanted:.0} were to be"));
        }
        Ok(noticed)
    }

    /// Windows without noise and with it, in turn.
    async fn rounds(&self, plan: Plan) -> anyhow::Result<Vec<Round>> {
        let (rate, window) = (self.options.rate, Duration::from_secs(self.options.seconds));
        // It begins before the quiet ones are measured, and ends after.
        let pace = Pace { ramp_up: window / 4, window: window + window / 4 };
        let mut rounds = Vec::new();
        let mut before = quiet::listen(self.quiet, rate, window).await?;
        for round in 0..self.options.rounds {
            let plan = Plan { round, ..plan };
            let beside = async {
                tokio::time::sleep(pace.ramp_up).await;
                quiet::listen(self.quiet, rate, window).await
            };
            let (noise, beside) = tokio::join!(noise::make(self.noisy, plan, pace), beside);
            tokio::time::sleep(REST).await;
            let after = quiet::listen(self.quiet, rate, window).await?;
            rounds.push(Round { alone: before.with(&after), beside: beside?, noise: noise? });
            before = after;
        }
        Ok(rounds)
    }

    async fn set_limit(&self, kind: Kind, to: &str) -> anyhow::Result<()> {
        self.site.cluster.limit_account(self.noisy.account, &[kind.limit().0, to]).await
    }
}

/// What was asked for in a second, whatever became of it.
fn offered(sample: &Sample) -> f64 {
    let failed: u64 = sample.errors.values().sum();
    if sample.seconds > 0.0 { (sample.operations + failed) as f64 / sample.seconds } else { 0.0 }
}

/// A line of the table.
struct Line<'r> {
    kind: Kind,
    limit: Option<f64>,
    round: &'r Round,
}

const HEADINGS: &str = "noisy does    limit/s offered/s   done/s  its 503 | alone p50      p99 (put / get) | beside p50      p99 \
                        (put / get)  factor refused";

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Round { alone, beside, noise } = self.round;
        let limit = self.limit.map_or_else(|| "-".to_owned(), |limit| format!("{limit:.1}"));
        let throttled: u64 =
            noise.errors.iter().filter(|(error, _)| error.starts_with("503")).map(|(_, count)| count).sum();
        let (offered, done) = (offered(noise), noise.per_second());
        write!(f, "{:12} {limit:>8} {offered:>9.1} {done:>8.1} {throttled:>8} |", self.kind.name())?;
        for seen in [alone, beside] {
            let (p50, p99) = (seen.milliseconds(0.5), seen.milliseconds(P99));
            let [put, get] = [Ask::Write, Ask::Read].map(|ask| seen.of(ask, P99));
            write!(f, " {p50:>8.1} {p99:>8.1} ({put:.1} / {get:.1}) |")?;
        }
        write!(f, " {:>6.2} {:>7}", self.round.factor(), beside.refused)
    }
}

impl Round {
    /// Tells what failed, other than by the noisy account's limit.
    fn complain(&self) {
        let quiet = [&self.alone, &self.beside].into_iter().flat_map(|seen| &seen.errors);
        quiet.for_each(|(error, count)| eprintln!("  quiet: {count} times {error}"));
        let noisy = self.noise.errors.iter().filter(|(error, _)| !error.starts_with("503"));
        noisy.for_each(|(error, count)| eprintln!("  noisy: {count} times {error}"));
    }
}

/// What the quiet accounts noticed and must not have. Prints what it judges by.
fn judge(p99_factor: f64, kind: Kind, rounds: &[Round]) -> Vec<String> {
    let kind = kind.name();
    let (errors, refused) = rounds.iter().fold((0, 0), |(errors, refused), round| {
        (errors + round.beside.errors.values().sum::<u64>(), refused + round.beside.refused)
    });
    let mut factors: Vec<f64> = rounds.iter().map(Round::factor).collect();
    factors.sort_unstable_by(f64::total_cmp);
    let median = median(&factors);
    let (least, most) = (factors.first().copied().unwrap_or(median), factors.last().copied().unwrap_or(median));
    let all = |of: fn(&Round) -> &Seen| rounds.iter().fold(Seen::new(), |all, round| all.with(of(round)));
    let (alone, beside) = (all(|round| &round.alone), all(|round| &round.beside));
    println!(
        "{kind}: p99 {median:.2} times what it is without, the median of {} rounds between {least:.2} and {most:.2}; all rounds together {:.1} ms \
         beside {:.1} ms, of {} requests",
        rounds.len(),
        beside.milliseconds(P99),
        alone.milliseconds(P99),
        beside.count(),
    );
    let mut noticed = Vec::new();
    if errors > 0 {
        noticed.push(format!("{kind}: {errors} requests of quiet accounts failed, {refused} of them refused"));
    }
    if median > p99_factor {
        noticed.push(format!(
            "{kind}: the quiet accounts' p99 is {median:.2} times what it was, {p99_factor} are allowed"
        ));
    }
    noticed
}

/// Of sorted figures; of an even number the mean of the two in the middle.
fn median(sorted: &[f64]) -> f64 {
    let at = |at: usize| sorted.get(at).copied().unwrap_or(f64::NAN);
    let half = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { (at(half.wrapping_sub(1)) + at(half)) / 2.0 } else { at(half) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn seen(milliseconds: u64) -> Seen {
        let mut seen = Seen::new();
        seen.record(Ask::Read, Duration::from_millis(milliseconds));
        seen
    }

    fn round(alone: u64, beside: u64) -> Round {
        let latency = hdrhistogram::Histogram::new(3).expect("three digits are possible");
        let noise = Sample { operations: 1, bytes: 0, seconds: 1.0, latency, errors: BTreeMap::new() };
        Round { alone: seen(alone), beside: seen(beside), noise }
    }

    #[test]
    fn a_higher_p99_a_failure_and_a_refusal_are_noticed() {
        let verdict = |rounds: &[Round]| judge(1.25, Kind::SmallPuts, rounds);
        assert_eq!(verdict(&[round(100, 120)]), Vec::<String>::new());
        assert!(verdict(&[round(100, 130)])[0].contains("p99"));
        let mut refused = round(100, 100);
        refused.beside.errors.insert("503 SlowDown".to_owned(), 1);
        assert!(verdict(&[refused])[0].contains("failed"));
    }

    #[test]
    fn one_bad_round_of_several_is_the_machine_s_and_most_of_them_are_not() {
        let verdict = |rounds: &[Round]| judge(1.25, Kind::SmallPuts, rounds);
        assert!(verdict(&[round(10, 11), round(10, 40), round(20, 22)]).is_empty());
        assert_eq!(verdict(&[round(10, 11), round(10, 14), round(10, 13)]).len(), 1);
        assert!((median(&[1.0, 2.0, 4.0, 9.0]) - 3.0).abs() < 1e-9);
        assert!(median(&[]).is_nan());
    }
}

//! `neighbours`: one account does ten times its fair share, of one kind of work after the other, then ten times its limit; what do its quiet
//! neighbours notice?
//!
//! The quiet ones are an open loop: each sends at its own times, whatever became of what it sent before, and a latency counts from when
//! a request was due, so that a service that stands still cannot hide it. The noisy one is a closed loop of many clients. Before the first noise
//! the quiet ones are measured alone, and with that all is compared. Isolation is the gate and the limit: without it there is neither.

use crate::{
    client::{Condition, ListQuery, Lost, Outcome, PayloadHash, Put, Session, Target},
    clock,
    driver::{Done, Pace, Sample, Worker, closed_loop},
    faults::Ground,
    limits::{FILL_TRIES, LATENCY_MAX_MICROS, POLL},
    settings::{NewAccount, Service, Site},
    workload::Content,
};
use anyhow::Context as _;
use bulkhead_model::AccountId;
use clap::Args;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

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
    /// Measured seconds without noise, and with each kind of it
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Keys that are there to be deleted by an account without a limit
    #[arg(long, default_value_t = 100_000)]
    deleted_keys: u64,
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
    /// So many milliseconds more are good whatever it was: less is the machine's own noise
    #[arg(long, default_value_t = 2)]
    p99_slack_ms: u64,
    /// Only print what is seen, and do not judge it
    #[arg(long)]
    report_only: bool,
}

/// What the noisy account does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// PUTs of 4 KiB.
    SmallPuts,
    /// PUTs of 8 MiB.
    LargePuts,
    /// Whole pages of a bucket.
    Listings,
    /// Deletes of single keys.
    Deletes,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::SmallPuts => "small PUTs",
            Self::LargePuts => "large PUTs",
            Self::Listings => "listings",
            Self::Deletes => "deletes",
        }
    }

    /// The option of `bulkhead account limits` by which an account gets less of it.
    fn limit(self) -> &'static str {
        match self {
            Self::SmallPuts | Self::LargePuts => "--write-requests",
            Self::Listings => "--list-requests",
            Self::Deletes => "--delete-requests",
        }
    }
}

/// What quiet accounts read.
const KEY: &str = "quiet/read";
const QUIET_BYTES: u64 = 4 << 10;
const LARGE_BYTES: u64 = 8 << 20;
/// Keys of the bucket that is listed.
const LISTED_KEYS: u64 = 2_000;
/// Clients that prepare buckets.
const FILLERS: u64 = 64;
/// So many times its limit the noisy account must ask for.
const OVER_THE_LIMIT: u64 = 10;

/// What the quiet accounts saw.
struct Seen {
    /// Microseconds, from when a request was due.
    latency: Histogram<u64>,
    refused: u64,
    errors: BTreeMap<String, u64>,
}

impl Seen {
    fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_MAX_MICROS, 3).expect("the bounds are constants that fit");
        Self { latency, refused: 0, errors: BTreeMap::new() }
    }

    fn add(&mut self, other: &Self) {
        self.latency.add(&other.latency).expect("both histograms have the same bounds");
        self.refused += other.refused;
        for (error, count) in &other.errors {
            *self.errors.entry(error.clone()).or_default() += count;
        }
    }

    fn take<T>(&mut self, outcome: Outcome<T>, due: Instant) {
        let failed = match outcome {
            Outcome::Ok(_) => None,
            Outcome::Refused(refusal) => {
                self.refused += u64::from(refusal.status == 503);
                Some(format!("{} {}", refusal.status, refusal.code))
            }
            Outcome::Unsent(why) => Some(why),
            Outcome::Unknown(lost) => Some(lost.to_string()),
        };
        // What failed counts with its time as well: it is not better than what was slow.
        let micros = u64::try_from((clock::now() - due).as_micros()).unwrap_or(u64::MAX).max(1);
        self.latency.saturating_record(micros);
        if let Some(error) = failed {
            *self.errors.entry(error).or_default() += 1;
        }
    }

    fn milliseconds(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

/// Runs the scenario and prints its tables.
///
/// # Errors
/// When the quiet accounts noticed more than they may, or nothing where they must, or the service cannot be reached.
pub async fn run(options: &Neighbours) -> anyhow::Result<()> {
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
    let (noisy, quiet) = tenants(options, &site).await?;
    println!("{} isolation:", if isolated { "with" } else { "without" });
    println!(
        "{:12} {:>8} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "noisy does", "limit/s", "offered/s", "done/s", "its 503", "p50 ms", "p99 ms", "refused"
    );
    let (alone, _) = measure(options, &quiet, None).await?;
    show("nothing", None, None, &alone);
    let run = Run { options, site: &site, noisy: &noisy, quiet: &quiet, alone: &alone };
    let mut broken = Vec::new();
    for &kind in &options.kinds {
        let (done, noticed) = run.beside(kind, None).await?;
        broken.extend(noticed);
        if isolated {
            // What is done for it when nothing but the gate holds it back is ten times what it may do from now on.
            let limit = (done as u64 / OVER_THE_LIMIT).max(1);
            broken.extend(run.beside(kind, Some(limit)).await?.1);
        }
    }
    Ok(broken)
}

/// What all that is measured on one ground has in common.
struct Run<'r> {
    options: &'r Neighbours,
    site: &'r Site,
    noisy: &'r Tenant,
    quiet: &'r [Tenant],
    /// The quiet accounts before there was any noise.
    alone: &'r Seen,
}

impl Run<'_> {
    /// The quiet accounts beside the noisy one, which is kept to a limit or is not: what was done for it in a second, and what they noticed.
    async fn beside(&self, kind: Kind, limit: Option<u64>) -> anyhow::Result<(f64, Vec<String>)> {
        let options = self.options;
        // Under a limit, twice what it lets through.
        let keys = limit.map_or(options.deleted_keys, |limit| limit * options.seconds.max(1) * 4);
        let keys_each = keys / options.clients.max(1) as u64 + 1;
        prepare(kind, self.noisy, options.clients, keys_each).await?;
        if let Some(limit) = limit {
            self.set_limit(kind, &limit.to_string()).await?;
        }
        let measured = measure(options, self.quiet, Some((kind, self.noisy, keys_each))).await;
        if limit.is_some() {
            self.set_limit(kind, "default").await?;
        }
        let (beside, sample) = measured?;
        let sample = sample.context("the noisy account was at work")?;
        show(kind.name(), limit, Some(&sample), &beside);
        let mut noticed: Vec<_> = judge(options, kind, self.alone, &beside).into_iter().collect();
        let offered = offered(&sample);
        if let Some(limit) = limit
            && offered < (limit * OVER_THE_LIMIT) as f64
        {
            noticed.push(format!(
                "{}: {offered:.0} a second were offered, not {OVER_THE_LIMIT} times the limit of {limit}",
                kind.name()
            ));
        }
        Ok((sample.per_second(), noticed))
    }

    async fn set_limit(&self, kind: Kind, to: &str) -> anyhow::Result<()> {
        self.site.cluster.limit_account(self.noisy.account, &[kind.limit(), to]).await
    }
}

/// What was asked for in a second, whatever became of it.
fn offered(sample: &Sample) -> f64 {
    let failed: u64 = sample.errors.values().sum();
    if sample.seconds > 0.0 { (sample.operations + failed) as f64 / sample.seconds } else { 0.0 }
}

/// A line of the table, and what failed.
fn show(what: &str, limit: Option<u64>, noise: Option<&Sample>, quiet: &Seen) {
    let figure = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.0}"));
    let throttled = |sample: &Sample| -> u64 {
        sample.errors.iter().filter(|(error, _)| error.starts_with("503")).map(|(_, count)| count).sum()
    };
    println!(
        "{what:12} {:>8} {:>10} {:>8} {:>8} {:>8.1} {:>8.1} {:>8}",
        figure(limit.map(|limit| limit as f64)),
        figure(noise.map(offered)),
        figure(noise.map(Sample::per_second)),
        figure(noise.map(|sample| throttled(sample) as f64)),
        quiet.milliseconds(0.5),
        quiet.milliseconds(0.99),
        quiet.refused,
    );
    quiet.errors.iter().for_each(|(error, count)| eprintln!("  quiet: {count} times {error}"));
    let other = noise.into_iter().flat_map(|sample| &sample.errors).filter(|(error, _)| !error.starts_with("503"));
    other.for_each(|(error, count)| eprintln!("  noisy: {count} times {error}"));
}

/// What the quiet accounts noticed and must not have.
fn judge(options: &Neighbours, kind: Kind, alone: &Seen, beside: &Seen) -> Option<String> {
    let (before, after) = (alone.milliseconds(0.99), beside.milliseconds(0.99));
    let bound = (before * options.p99_factor).max(before + options.p99_slack_ms as f64);
    let errors: u64 = beside.errors.values().sum();
    if errors > 0 {
        return Some(format!(
            "{}: {errors} requests of quiet accounts failed, {} of them refused",
            kind.name(),
            beside.refused
        ));
    }
    (after > bound).then(|| {
        format!(
            "{}: the quiet accounts' p99 is {after:.1} ms; it was {before:.1} ms and may be {bound:.1} ms",
            kind.name()
        )
    })
}

/// An account and its bucket.
#[derive(Clone)]
struct Tenant {
    account: AccountId,
    target: Arc<Target>,
    bucket: Arc<str>,
}

impl Tenant {
    async fn new(account: NewAccount, name: &str) -> anyhow::Result<Self> {
        let NewAccount { id, target, .. } = account;
        let bucket = format!("{name}-{}", clock::stamp());
        super::first_bucket(&target, &bucket).await?;
        Ok(Self { account: id, target, bucket: bucket.into() })
    }

    fn session(&self) -> Session {
        Session::new(self.target.clone(), PayloadHash::Unsigned)
    }

    async fn put(&self, session: &mut Session, key: &str, bytes: u64) -> Outcome<()> {
        let content = Content::of(key, 1, bytes);
        let put = Put { bucket: &self.bucket, key, version: 1, content, condition: Condition::Always };
        session.put(&put).await.map(drop)
    }

    async fn get(&self, session: &mut Session, key: &str) -> Outcome<()> {
        let expected = Content::of(key, 1, QUIET_BYTES);
        let read = session.get(&self.bucket, key).await;
        let verified = read.and_then(async |download| download.verify(expected, 0).await).await;
        match verified {
            Outcome::Ok(Ok(_)) => Outcome::Ok(()),
            Outcome::Ok(Err(mismatch)) => Outcome::Unknown(Lost::Malformed(format!("wrong bytes: {mismatch}"))),
            Outcome::Refused(refusal) => Outcome::Refused(refusal),
            Outcome::Unsent(why) => Outcome::Unsent(why),
            Outcome::Unknown(lost) => Outcome::Unknown(lost),
        }
    }
}

/// The noisy account and the quiet ones, all of one cell.
async fn tenants(options: &Neighbours, site: &Site) -> anyhow::Result<(Tenant, Vec<Tenant>)> {
    let noisy = site.account("noisy").await?;
    let cell = noisy.cell.clone();
    let noisy = Tenant::new(noisy, "noisy").await?;
    let mut quiet = Vec::new();
    for made in 0..options.quiet * 4 {
        if quiet.len() == options.quiet {
            break;
        }
        let account = site.account(&format!("quiet-{made}")).await?;
        if account.cell == cell {
            let tenant = Tenant::new(account, &format!("quiet-{made}")).await?;
            tenant.put(&mut tenant.session(), KEY, QUIET_BYTES).await.required("the object that is read")?;
            quiet.push(tenant);
        }
    }
    anyhow::ensure!(quiet.len() == options.quiet, "only {} accounts came to {cell}", quiet.len());
    Ok((noisy, quiet))
}

/// Makes what is to be listed or deleted: `keys_each` keys for each client that deletes.
async fn prepare(kind: Kind, noisy: &Tenant, clients: usize, keys_each: u64) -> anyhow::Result<()> {
    let keys = match kind {
        Kind::SmallPuts | Kind::LargePuts => return Ok(()),
        Kind::Listings => LISTED_KEYS,
        Kind::Deletes => keys_each * clients as u64,
    };
    let mut tasks = JoinSet::new();
    for filler in 0..FILLERS {
        let noisy = noisy.clone();
        tasks.spawn(async move {
            let mut session = noisy.session();
            for at in (filler..keys).step_by(FILLERS as usize) {
                let key = if kind == Kind::Deletes {
                    deleted(at / keys_each, at % keys_each)
                } else {
                    format!("listed/{at}")
                };
                let mut tries = 1;
                while let Err(error) = noisy.put(&mut session, &key, 16).await.required("a key to list or delete") {
                    anyhow::ensure!(tries < FILL_TRIES, "{error:#}");
                    tokio::time::sleep(POLL).await;
                    tries += 1;
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(filled) = tasks.join_next().await {
        filled.context("a client broke")??;
    }
    Ok(())
}

/// One of the keys that a client deletes.
fn deleted(client: u64, at: u64) -> String {
    format!("deleted/{client}/{at}")
}

/// The quiet accounts for a while, beside the noisy one or alone.
async fn measure(
    options: &Neighbours,
    quiet: &[Tenant],
    noisy: Option<(Kind, &Tenant, u64)>,
) -> anyhow::Result<(Seen, Option<Sample>)> {
    let window = Duration::from_secs(options.seconds.max(1));
    let ramp_up = window / 4;
    let noise = async {
        let (kind, tenant, keys) = noisy?;
        let client =
            |client| Noise { tenant: tenant.clone(), session: tenant.session(), kind, client, turn: 0, keys, gone: 0 };
        let clients = (0..options.clients).map(client).collect();
        // It begins before the quiet ones are measured, and ends after.
        let pace = Pace { ramp_up, window: window + ramp_up };
        Some(closed_loop(clients, pace, || ()).await)
    };
    let quiet = async {
        tokio::time::sleep(ramp_up).await;
        let end = clock::now() + window;
        let every = Duration::from_secs(1) / options.rate.max(1);
        let mut tasks = JoinSet::new();
        for (at, tenant) in quiet.iter().enumerate() {
            // Not all at the same moment.
            let first = clock::now() + every * u32::try_from(at).unwrap_or(0) / u32::try_from(quiet.len()).unwrap_or(1);
            tasks.spawn(arrivals(tenant.clone(), first, every, end));
        }
        let mut seen = Seen::new();
        while let Some(one) = tasks.join_next().await {
            seen.add(&one.context("a quiet account broke")?);
        }
        anyhow::Ok(seen)
    };
    let (sample, seen) = tokio::join!(noise, quiet);
    Ok((seen?, sample))
}

/// One quiet account: a request whenever one is due.
async fn arrivals(tenant: Tenant, first: Instant, every: Duration, end: Instant) -> Seen {
    let (mut seen, mut due, mut turn) = (Seen::new(), first, 0_u64);
    let idle: Arc<Mutex<Vec<Session>>> = Arc::default();
    let mut tasks = JoinSet::new();
    while due < end {
        tokio::time::sleep_until(due.into()).await;
        let (tenant, idle) = (tenant.clone(), Arc::clone(&idle));
        let (at, is_read) = (due, turn % 2 == 1);
        tasks.spawn(async move {
            let mut session = idle.lock().pop().unwrap_or_else(|| tenant.session());
            let outcome = if is_read {
                tenant.get(&mut session, KEY).await
            } else {
                tenant.put(&mut session, &format!("quiet/{}", turn % 8), QUIET_BYTES).await
            };
            let mut one = Seen::new();
            one.take(outcome, at);
            idle.lock().push(session);
            one
        });
        (due, turn) = (due + every, turn + 1);
    }
    while let Some(one) = tasks.join_next().await {
        seen.add(&one.expect("a request does not panic and is not aborted"));
    }
    seen
}

/// A client of the noisy account.
struct Noise {
    tenant: Tenant,
    session: Session,
    kind: Kind,
    client: usize,
    turn: u64,
    /// Of its own, that it may delete, and how many of them are gone.
    keys: u64,
    gone: u64,
}

impl Worker for Noise {
    async fn step(&mut self) -> Done {
        self.turn += 1;
        let (bucket, session) = (self.tenant.bucket.clone(), &mut self.session);
        let key = format!("noise/{}/{}", self.client, self.turn % 4);
        let outcome = match self.kind {
            Kind::SmallPuts => self.tenant.put(session, &key, QUIET_BYTES).await,
            Kind::LargePuts => self.tenant.put(session, &format!("noise/{}", self.client), LARGE_BYTES).await,
            Kind::Listings => {
                let query = ListQuery { bucket: &bucket, prefix: "listed/", ..ListQuery::default() };
                session.list_page(&query, None).await.map(drop)
            }
            Kind::Deletes if self.gone == self.keys => {
                tokio::time::sleep(POLL).await;
                return Done { bytes: 0, error: Some("no key is left to be deleted: give it more".to_owned()) };
            }
            Kind::Deletes => {
                let outcome = session.delete(&bucket, &deleted(self.client as u64, self.gone)).await;
                self.gone += u64::from(matches!(outcome, Outcome::Ok(())));
                outcome
            }
        };
        let error = match outcome {
            Outcome::Ok(()) => None,
            Outcome::Refused(refusal) => Some(format!("{} {}", refusal.status, refusal.code)),
            Outcome::Unsent(why) => Some(why),
            Outcome::Unknown(lost) => Some(lost.to_string()),
        };
        Done { bytes: 0, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Neighbours {
        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            of: Neighbours,
        }
        <Line as clap::Parser>::parse_from(["neighbours"]).of
    }

    fn seen(milliseconds: u64) -> Seen {
        let mut seen = Seen::new();
        seen.latency.record(milliseconds * 1_000).expect("within the bounds");
        seen
    }

    #[test]
    fn a_higher_p99_a_failure_and_a_refusal_are_noticed() {
        let verdict = |before, after: &Seen| judge(&options(), Kind::SmallPuts, &seen(before), after);
        assert_eq!(verdict(100, &seen(120)), None);
        assert_eq!(verdict(1, &seen(2)), None, "a millisecond is nothing");
        assert!(verdict(1, &seen(4)).is_some());
        assert!(verdict(100, &seen(130)).expect("noticed").contains("p99"));
        let mut refused = seen(1);
        refused.errors.insert("503 SlowDown".to_owned(), 1);
        assert!(verdict(100, &refused).expect("noticed").contains("failed"));
    }
}

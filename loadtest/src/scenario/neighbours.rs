//! `neighbours`: one account asks for ten times its limit, of one kind of work after the other; what do its quiet neighbours notice?
//!
//! Its limit is about what each of the accounts could have if all did the same. All send at their own times, whatever became of what they sent
//! before: the noisy one with many clients, each of the quiet ones a few times a second. A latency counts from when a request was due, so that
//! a service that stands still cannot hide it. Before the first noise the quiet ones are measured alone, and with that all is compared. Isolation is the
//! gate and the limit: without it there is neither, and the same is asked for.

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

    /// What holds it to its limit: the option of `bulkhead account limits`, and its value.
    fn limit(self) -> (&'static str, u64) {
        match self {
            Self::SmallPuts => ("--write-requests", 200),
            Self::LargePuts => ("--bytes-in", 4 << 20),
            Self::Listings => ("--list-requests", 40),
            Self::Deletes => ("--delete-requests", 200),
        }
    }

    /// What of it the noisy account may do in a second, in requests.
    fn allowed(self) -> f64 {
        match self {
            Self::LargePuts => self.limit().1 as f64 / LARGE_BYTES as f64,
            Self::SmallPuts | Self::Listings | Self::Deletes => self.limit().1 as f64,
        }
    }

    /// What of it the noisy account asks for in a second, in requests.
    fn offered(self) -> f64 {
        self.allowed() * OVER_THE_LIMIT
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
/// So many times its limit the noisy account asks for, and of that at least so much when nothing is done for it beyond its limit, in percent.
const OVER_THE_LIMIT: f64 = 10.0;
const OFFERED_SHARE_MIN: f64 = 0.9;

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
    /// The quiet accounts before there was any noise.
    alone: &'r Seen,
}

impl Run<'_> {
    /// The quiet accounts beside the noisy one, which is kept to its limit or is not: what they noticed.
    async fn beside(&self, kind: Kind, limited: bool) -> anyhow::Result<Vec<String>> {
        let options = self.options;
        // From the ramp-up to the end is half as long again as is measured; some more, for the burst and for what is late.
        let done = if limited { kind.allowed() } else { kind.offered() };
        let keys_each = (done * options.seconds.max(1) as f64 * 3.5 / options.clients.max(1) as f64).ceil() as u64;
        prepare(kind, self.noisy, options.clients, keys_each).await?;
        if limited {
            self.set_limit(kind, &kind.limit().1.to_string()).await?;
        }
        let measured = measure(options, self.quiet, Some((kind, self.noisy, keys_each))).await;
        if limited {
            self.set_limit(kind, "default").await?;
        }
        let (beside, sample) = measured?;
        let sample = sample.context("the noisy account was at work")?;
        show(kind.name(), limited.then(|| kind.allowed()), Some(&sample), &beside);
        let mut noticed: Vec<_> = judge(options, kind, self.alone, &beside).into_iter().collect();
        let (offered, least) = (offered(&sample), kind.offered() * OFFERED_SHARE_MIN);
        if limited && offered < least {
            noticed.push(format!(
                "{}: only {offered:.0} a second were offered, {:.0} were to be",
                kind.name(),
                kind.offered()
            ));
        }
        Ok(noticed)
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

/// A line of the table, and what failed.
fn show(what: &str, limit: Option<f64>, noise: Option<&Sample>, quiet: &Seen) {
    let figure = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.1}"));
    let throttled = |sample: &Sample| -> u64 {
        sample.errors.iter().filter(|(error, _)| error.starts_with("503")).map(|(_, count)| count).sum()
    };
    println!(
        "{what:12} {:>8} {:>10} {:>8} {:>8} {:>8.1} {:>8.1} {:>8}",
        figure(limit),
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
        // Spread over the first round.
        let now = clock::now();
        let begin = |client: usize| now + Duration::from_secs_f64(client as f64 / kind.offered());
        let every = Duration::from_secs_f64(options.clients as f64 / kind.offered());
        let client = |client| Noise {
            tenant: tenant.clone(),
            session: tenant.session(),
            kind,
            client,
            turn: 0,
            keys,
            gone: 0,
            due: begin(client),
            every,
        };
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
    /// When its next request is due, and how long after that the one behind it.
    due: Instant,
    every: Duration,
}

impl Worker for Noise {
    async fn step(&mut self) -> Done {
        self.turn += 1;
        tokio::time::sleep_until(self.due.into()).await;
        // What could not be sent in time is not sent later on top: that many clients are all it has.
        self.due = (self.due + self.every).max(clock::now());
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

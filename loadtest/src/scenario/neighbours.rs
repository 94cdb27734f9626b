//! `neighbours`: one account does ten times its fair share, of one kind of work after the other; what do its quiet neighbours notice?
//!
//! The quiet ones are an open loop: each sends at its own times, whatever became of what it sent before, and a latency counts from when
//! a request was due, so that a service that stands still cannot hide it. The noisy one is a closed loop of many clients. Before each kind, the
//! quiet ones are measured alone.

use crate::{
    client::{Condition, ListQuery, Lost, Outcome, PayloadHash, Put, Session, Target},
    clock,
    driver::{Done, Pace, Sample, Worker, closed_loop},
    faults::Ground,
    limits::LATENCY_MAX_MICROS,
    settings::{Service, Site},
    workload::Content,
};
use anyhow::Context as _;
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
    /// Measured seconds for each kind of work, and as many before it without
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Kinds of work of the noisy account
    #[arg(long, value_delimiter = ',', value_enum, default_value = "small-puts,large-puts,listings,deletes")]
    kinds: Vec<Kind>,
    /// Switch isolation off in the private cluster, to see what it is worth
    #[arg(long)]
    without_isolation: bool,
    /// The quiet accounts' p99 may become so many times what it is without the noisy one
    #[arg(long, default_value_t = 1.25)]
    p99_factor: f64,
    /// Below so many milliseconds a p99 is good whatever it was before
    #[arg(long, default_value_t = 20)]
    p99_floor_ms: u64,
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
}

/// What quiet accounts read.
const KEY: &str = "quiet/read";
const QUIET_BYTES: u64 = 4 << 10;
const LARGE_BYTES: u64 = 8 << 20;
/// Keys of the bucket that is listed.
const LISTED_KEYS: u64 = 2_000;
/// Clients that fill it.
const FILLERS: u64 = 16;

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

/// Runs the scenario and prints its table.
///
/// # Errors
/// When the quiet accounts noticed more than they may, or the service cannot be reached.
pub async fn run(options: &Neighbours) -> anyhow::Result<()> {
    let site = if options.without_isolation {
        options.service.open_on(Ground { without_isolation: true, ..Ground::default() }).await?
    } else {
        options.service.open().await?
    };
    let (noisy, quiet) = tenants(options, &site).await?;
    println!(
        "{:12} {:>9} {:>9} {:>9} {:>9} {:>7} {:>9} {:>9}",
        "noisy does", "p50 ms", "with", "p99 ms", "with", "refused", "noisy/s", "its 503"
    );
    let mut broken = Vec::new();
    for &kind in &options.kinds {
        prepare(kind, &noisy).await?;
        let (alone, _) = measure(options, &quiet, None).await?;
        let (beside, sample) = measure(options, &quiet, Some((kind, &noisy))).await?;
        let sample = sample.context("the noisy account was at work")?;
        let throttled: u64 = sample.errors.iter().filter(|(error, _)| error.starts_with("503")).map(|(_, n)| n).sum();
        println!(
            "{:12} {:>9.1} {:>9.1} {:>9.1} {:>9.1} {:>7} {:>9.0} {:>9}",
            kind.name(),
            alone.milliseconds(0.5),
            beside.milliseconds(0.5),
            alone.milliseconds(0.99),
            beside.milliseconds(0.99),
            beside.refused,
            sample.per_second(),
            throttled,
        );
        for (who, seen) in [("alone", &alone.errors), ("beside the noisy one", &beside.errors)] {
            seen.iter().for_each(|(error, count)| eprintln!("  quiet, {who}: {count} times {error}"));
        }
        broken.extend(judge(options, kind, &alone, &beside));
    }
    anyhow::ensure!(broken.is_empty() || options.report_only, "{}", broken.join("; "));
    Ok(())
}

/// What the quiet accounts noticed and must not have.
fn judge(options: &Neighbours, kind: Kind, alone: &Seen, beside: &Seen) -> Option<String> {
    let (before, after) = (alone.milliseconds(0.99), beside.milliseconds(0.99));
    let bound = (before * options.p99_factor).max(options.p99_floor_ms as f64);
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
    target: Arc<Target>,
    bucket: Arc<str>,
}

impl Tenant {
    async fn new(target: Arc<Target>, name: &str) -> anyhow::Result<Self> {
        let bucket = format!("{name}-{}", clock::stamp());
        super::first_bucket(&target, &bucket).await?;
        Ok(Self { target, bucket: bucket.into() })
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
    let (noisy, cell) = site.new_account("noisy").await?;
    let noisy = Tenant::new(noisy, "noisy").await?;
    let mut quiet = Vec::new();
    for made in 0..options.quiet * 4 {
        if quiet.len() == options.quiet {
            break;
        }
        let (account, home) = site.new_account(&format!("quiet-{made}")).await?;
        if home == cell {
            let tenant = Tenant::new(account, &format!("quiet-{made}")).await?;
            tenant.put(&mut tenant.session(), KEY, QUIET_BYTES).await.required("the object that is read")?;
            quiet.push(tenant);
        }
    }
    anyhow::ensure!(quiet.len() == options.quiet, "only {} accounts came to {cell}", quiet.len());
    Ok((noisy, quiet))
}

/// Fills the bucket that is to be listed.
async fn prepare(kind: Kind, noisy: &Tenant) -> anyhow::Result<()> {
    if kind != Kind::Listings {
        return Ok(());
    }
    let mut tasks = JoinSet::new();
    for filler in 0..FILLERS {
        let noisy = noisy.clone();
        tasks.spawn(async move {
            let mut session = noisy.session();
            for key in (filler..LISTED_KEYS).step_by(FILLERS as usize) {
                noisy.put(&mut session, &format!("listed/{key}"), 16).await.required("a key to list")?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(filled) = tasks.join_next().await {
        filled.context("a client broke")??;
    }
    Ok(())
}

/// The quiet accounts for a while, beside the noisy one or alone.
async fn measure(
    options: &Neighbours,
    quiet: &[Tenant],
    noisy: Option<(Kind, &Tenant)>,
) -> anyhow::Result<(Seen, Option<Sample>)> {
    let window = Duration::from_secs(options.seconds.max(1));
    let ramp_up = window / 4;
    let noise = async {
        let (kind, tenant) = noisy?;
        let client = |at| Noise { tenant: tenant.clone(), session: tenant.session(), kind, client: at, turn: 0 };
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
            Kind::Deletes => session.delete(&bucket, &key).await,
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
        assert_eq!(verdict(1, &seen(19)), None, "below the floor");
        assert!(verdict(100, &seen(130)).expect("noticed").contains("p99"));
        let mut refused = seen(1);
        refused.errors.insert("503 SlowDown".to_owned(), 1);
        assert!(verdict(100, &refused).expect("noticed").contains("failed"));
    }
}

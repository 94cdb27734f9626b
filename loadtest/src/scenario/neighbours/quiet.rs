//! The quiet accounts: a few small requests a second each, at their own times, and what they see.

use super::tenants::{KEY, QUIET_BYTES, Tenant};
use crate::{
    client::{Outcome, Session},
    clock,
    limits::LATENCY_MAX_MICROS,
};
use anyhow::Context as _;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// What the quiet accounts saw. Latencies are in microseconds, from when a request was due.
#[derive(Clone)]
pub struct Seen {
    reads: Histogram<u64>,
    writes: Histogram<u64>,
    pub refused: u64,
    pub errors: BTreeMap<String, u64>,
}

/// What a quiet account asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    Read,
    Write,
}

impl Seen {
    pub fn new() -> Self {
        let empty = || Histogram::new_with_bounds(1, LATENCY_MAX_MICROS, 3).expect("the bounds are constants that fit");
        Self { reads: empty(), writes: empty(), refused: 0, errors: BTreeMap::new() }
    }

    pub fn add(&mut self, other: &Self) {
        self.reads.add(&other.reads).expect("both histograms have the same bounds");
        self.writes.add(&other.writes).expect("both histograms have the same bounds");
        self.refused += other.refused;
        for (error, count) in &other.errors {
            *self.errors.entry(error.clone()).or_default() += count;
        }
    }

    /// Both together.
    pub fn with(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.add(other);
        both
    }

    fn take<T>(&mut self, ask: Ask, outcome: Outcome<T>, due: Instant) {
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
        self.record(ask, clock::now() - due);
        if let Some(error) = failed {
            *self.errors.entry(error).or_default() += 1;
        }
    }

    pub fn record(&mut self, ask: Ask, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        match ask {
            Ask::Read => &mut self.reads,
            Ask::Write => &mut self.writes,
        }
        .saturating_record(micros);
    }

    /// Of one kind of request, milliseconds.
    pub fn of(&self, ask: Ask, quantile: f64) -> f64 {
        let latency = match ask {
            Ask::Read => &self.reads,
            Ask::Write => &self.writes,
        };
        latency.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// Of all requests, milliseconds.
    pub fn milliseconds(&self, quantile: f64) -> f64 {
        let mut all = self.reads.clone();
        all.add(&self.writes).expect("both histograms have the same bounds");
        all.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// Requests.
    pub fn count(&self) -> u64 {
        self.reads.len() + self.writes.len()
    }
}

/// All of them for a while, each with `rate` requests a second.
///
/// # Errors
/// When a client breaks.
pub async fn listen(quiet: &[Tenant], rate: u32, window: Duration) -> anyhow::Result<Seen> {
    let end = clock::now() + window;
    let every = Duration::from_secs(1) / rate.max(1);
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
    Ok(seen)
}

/// One quiet account: a request whenever one is due.
async fn arrivals(tenant: Tenant, first: Instant, every: Duration, end: Instant) -> Seen {
    let (mut seen, mut due, mut turn) = (Seen::new(), first, 0_u64);
    let idle: Arc<Mutex<Vec<Session>>> = Arc::default();
    let mut tasks = JoinSet::new();
    while due < end {
        tokio::time::sleep_until(due.into()).await;
        let (tenant, idle) = (tenant.clone(), Arc::clone(&idle));
        let (at, ask) = (due, if turn % 2 == 1 { Ask::Read } else { Ask::Write });
        tasks.spawn(async move {
            let mut session = idle.lock().pop().unwrap_or_else(|| tenant.session());
            let outcome = match ask {
                Ask::Read => tenant.get(&mut session, KEY).await,
                Ask::Write => tenant.put(&mut session, &format!("quiet/{}", turn % 8), QUIET_BYTES).await,
            };
            let mut one = Seen::new();
            one.take(ask, outcome, at);
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

//! Puts a run together: accounts, their connections, the thread that hands out requests, and what is made of the answers.

use super::{
    client::Client,
    clockwork::{Clockwork, Lateness, Queue},
    fill,
    keys::Keys,
    recorder::{End, Recorder},
    results::{ClientFigures, PhaseResult, Report, SecondResult},
    workload::{Group, Workload},
};
use crate::{client::Target, clock, limits::REQUEST_TIMEOUT, machine};
use anyhow::Context as _;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    ops::RangeBounds,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::timeout};

/// A stretch of a run at one rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    pub name: String,
    pub lasts: Duration,
    /// Times the workload's rate. Zero is silence.
    pub scale: f64,
    /// The only group that asks, where not all do.
    pub only: Option<String>,
}

impl Phase {
    /// All groups ask.
    pub fn new(name: impl Into<String>, lasts: Duration, scale: f64) -> Self {
        Self { name: name.into(), lasts, scale, only: None }
    }

    /// Of all groups, only this one asks.
    pub fn only(self, group: &str) -> Self {
        Self { only: Some(group.into()), ..self }
    }

    /// Times the rate of a group.
    pub fn scale_of(&self, group: &str) -> f64 {
        match &self.only {
            Some(only) if only != group => 0.0,
            Some(_) | None => self.scale,
        }
    }
}

/// Who asks, and where.
#[derive(Debug, Clone)]
pub struct Account {
    pub target: Arc<Target>,
    /// Exists, and is this run's alone.
    pub bucket: String,
}

/// An account in its group.
pub(super) struct Tenant {
    pub group: Arc<Group>,
    number: usize,
    pub target: Arc<Target>,
    pub bucket: String,
    pub keys: Keys,
}

/// A workload on its accounts. What is known of their keys is kept from run to run.
pub struct Engine {
    workload: Workload,
    seed: u64,
    tenants: Vec<Arc<Tenant>>,
    tick: Duration,
    /// Connections that come from one address, if they come from chosen ones.
    per_source: Option<u32>,
}

/// Tells the thread to stop when the run is given up.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Engine {
    /// Fills the accounts, of which there must be as many as the groups have in sum, and in their order.
    ///
    /// # Errors
    /// When their number is another, or a key cannot be written.
    pub async fn prepare(workload: Workload, accounts: Vec<Account>, seed: u64) -> anyhow::Result<Self> {
        let groups: Vec<Arc<Group>> = workload.groups.iter().cloned().map(Arc::new).collect();
        let places =
            groups.iter().enumerate().flat_map(|(number, group)| (0..group.accounts).map(move |_| (number, group)));
        let wanted: usize = groups.iter().map(|group| group.accounts as usize).sum();
        anyhow::ensure!(
            accounts.len() == wanted,
            "the workload has {wanted} accounts, and {} are given",
            accounts.len()
        );
        let tenants: Vec<Arc<Tenant>> = places
            .zip(accounts)
            .map(|((number, group), Account { target, bucket })| {
                Arc::new(Tenant { group: group.clone(), number, target, bucket, keys: Keys::new(group.keys) })
            })
            .collect();
        for tenant in &tenants {
            fill::fill(tenant).await?;
        }
        Ok(Self { workload, seed, tenants, tick: Duration::from_secs(1), per_source: None })
    }

    /// Connections come from addresses of their own on this machine, 127.0.0.2 and up, so many from each: a router gives one source a share.
    pub fn from_sources(self, per_source: u32) -> Self {
        Self { per_source: Some(per_source), ..self }
    }

    /// Where the connection of this number goes, and from where.
    fn target(&self, tenant: &Tenant, number: u32) -> Arc<Target> {
        match self.per_source {
            Some(per_source) => Arc::new(tenant.target.from_source(source(number / per_source.max(1)))),
            None => tenant.target.clone(),
        }
    }

    /// Counts in stretches of this length instead of in seconds.
    pub fn ticking(self, tick: Duration) -> Self {
        Self { tick, ..self }
    }

    /// Requests per second at scale 1, of all groups together.
    pub fn rate(&self) -> f64 {
        self.workload.groups.iter().map(|group| group.rate * f64::from(group.accounts)).sum()
    }

    /// Keys that exist before the run begins, of all accounts together.
    pub fn keys(&self) -> u64 {
        self.tenants.iter().map(|tenant| u64::from(tenant.keys.count())).sum()
    }

    /// Accounts and what is known of their keys.
    pub(super) fn tenants(&self) -> &[Arc<Tenant>] {
        &self.tenants
    }

    /// Runs the phases one after the other. `each_second` sees the counts so far.
    ///
    /// # Errors
    /// When a client panics.
    pub async fn run(&self, phases: &[Phase], each_second: impl FnMut(&Progress<'_>)) -> anyhow::Result<Report> {
        self.crowded(0, phases, each_second).await
    }

    /// As [`Self::run`], with at least so many connections of each account: an overload must reach the service, and not wait here.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn crowded(
        &self,
        connections: u16,
        phases: &[Phase],
        mut each_second: impl FnMut(&Progress<'_>),
    ) -> anyhow::Result<Report> {
        let recorders: Vec<Arc<Recorder>> = self.workload.groups.iter().map(|_| Arc::default()).collect();
        let queues: Vec<Arc<Queue>> = self.tenants.iter().map(|_| Arc::new(Queue::new())).collect();
        let mut clients = JoinSet::new();
        let mut numbers = 0_u32..;
        for (tenant, queue) in self.tenants.iter().zip(&queues) {
            let connections = tenant.group.connections.max(connections);
            for number in numbers.by_ref().take(connections.into()) {
                let target = self.target(tenant, number);
                let client = Client::new(tenant.clone(), target, recorders[tenant.number].clone());
                clients.spawn(client.run(queue.clone()));
            }
        }
        let stop = StopOnDrop(Arc::default());
        let (begin, cpu) = (clock::now(), own_cpu());
        let mut handing = self.hand_out(phases, &queues, begin, &stop);
        let mut ticks = tokio::time::interval(self.tick);
        let found = loop {
            tokio::select! {
                found = &mut handing => break found?,
                _ = ticks.tick() => each_second(&Progress { phases, recorders: &recorders, elapsed: begin.elapsed(), tick: self.tick }),
            }
        };
        let elapsed = begin.elapsed();
        let cpu_share = (own_cpu() - cpu) as f64 / (elapsed.as_secs_f64() * 1_000.0 * machine::cores() as f64);
        // What waits for a connection longer than a request may take is never sent; what is under way then ends within its own limits.
        let ended = timeout(REQUEST_TIMEOUT, all_end(&mut clients)).await;
        if let Ok(ended) = ended {
            ended?;
        } else {
            for (tenant, queue) in self.tenants.iter().zip(&queues) {
                for due in queue.drain() {
                    recorders[tenant.number].record(due.when, due.kind, End::Unsent, Duration::ZERO);
                }
            }
            timeout(REQUEST_TIMEOUT * 2, all_end(&mut clients)).await.context("requests do not end")??;
        }
        for (when, group, kind) in &found.overflowed {
            recorders[*group].record(*when, *kind, End::Unsent, Duration::ZERO);
        }
        Ok(self.report(phases, &recorders, &found, cpu_share))
    }

    fn hand_out(
        &self,
        phases: &[Phase],
        queues: &[Arc<Queue>],
        begin: Instant,
        stop: &StopOnDrop,
    ) -> tokio::task::JoinHandle<Lateness> {
        let (groups, phases, stop) = (self.workload.groups.clone(), phases.to_vec(), stop.0.clone());
        let accounts: Vec<_> =
            self.tenants.iter().zip(queues).map(|(tenant, queue)| (tenant.number, queue.clone())).collect();
        let (seed, tick) = (self.seed, self.tick);
        tokio::task::spawn_blocking(move || {
            Clockwork::new(&groups, &phases, accounts.into_iter(), seed, tick).run(begin, &stop)
        })
    }

    fn report(&self, phases: &[Phase], recorders: &[Arc<Recorder>], found: &Lateness, cpu_share: f64) -> Report {
        let named = self.workload.groups.iter().map(|group| group.name.clone());
        let results: Vec<PhaseResult> = phases
            .iter()
            .enumerate()
            .map(|(number, phase)| PhaseResult {
                name: phase.name.clone(),
                seconds: phase.lasts.as_secs_f64(),
                scale: phase.scale,
                groups: named
                    .clone()
                    .zip(recorders)
                    .enumerate()
                    .map(|(group, (name, recorder))| {
                        (name, recorder.phase(number, phase.lasts, found.offered[number][group]))
                    })
                    .collect(),
            })
            .collect();
        let without_key: u64 =
            results.iter().flat_map(|phase| phase.groups.values()).map(|group| group.total.without_key).sum();
        let late = |micros: u64| micros as f64 / 1_000.0;
        let offered: u64 = found.offered.iter().flatten().sum();
        Report {
            workload: self.workload.name.clone(),
            seed: self.seed,
            phases: results,
            tick_seconds: self.tick.as_secs_f64(),
            seconds: seconds(recorders, &(..)),
            client: ClientFigures {
                cpu_share,
                late_p99_ms: late(found.late.value_at_quantile(0.99)),
                late_max_ms: late(found.late.max()),
                waited: found.waited as f64 / offered.max(1) as f64,
                without_key: without_key as f64 / offered.max(1) as f64,
            },
            wrong: recorders.iter().flat_map(|recorder| recorder.wrong()).collect(),
            doubtful_keys: self.tenants.iter().map(|tenant| tenant.keys.doubtful()).sum(),
        }
    }
}

/// The address of this number, of which 127.0.0.0/8 has many.
fn source(number: u32) -> IpAddr {
    const FIRST: u32 = 0x7F00_0002;
    const LAST: u32 = 0x7FFF_FFFE;
    Ipv4Addr::from_bits(FIRST + number % (LAST - FIRST)).into()
}

fn own_cpu() -> u64 {
    machine::process(std::process::id()).map_or(0, |process| process.cpu_millis)
}

async fn all_end(clients: &mut JoinSet<()>) -> anyhow::Result<()> {
    while let Some(ended) = clients.join_next().await {
        ended?;
    }
    Ok(())
}

fn seconds(recorders: &[Arc<Recorder>], which: &impl RangeBounds<u32>) -> Vec<SecondResult> {
    let (mut rows, mut merged) = (BTreeMap::new(), BTreeMap::new());
    recorders.iter().for_each(|recorder| recorder.seconds(which, &mut rows, &mut merged));
    for (second, latency) in merged {
        if let Some(row) = rows.get_mut(&second) {
            row.p50_ms = latency.value_at_quantile(0.5) as f64 / 1_000.0;
            row.p99_ms = latency.value_at_quantile(0.99) as f64 / 1_000.0;
        }
    }
    rows.into_values().collect()
}

/// A run under way.
pub struct Progress<'a> {
    phases: &'a [Phase],
    recorders: &'a [Arc<Recorder>],
    pub elapsed: Duration,
    tick: Duration,
}

impl Progress<'_> {
    /// The tick that ended last and is mostly answered.
    pub fn last_second(&self) -> Option<SecondResult> {
        let wanted = u32::try_from(self.elapsed.as_nanos() / self.tick.as_nanos().max(1)).ok()?.checked_sub(1)?;
        seconds(self.recorders, &(wanted..=wanted)).pop()
    }

    /// How long what is shown is.
    pub fn tick(&self) -> Duration {
        self.tick
    }

    /// The phase's name, and how long the run still takes.
    pub fn phase(&self) -> (&str, Duration) {
        let (mut end, mut name) = (Duration::ZERO, "");
        for phase in self.phases {
            if self.elapsed >= end {
                name = &phase.name;
            }
            end += phase.lasts;
        }
        (name, end.saturating_sub(self.elapsed))
    }
}

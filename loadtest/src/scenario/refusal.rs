//! `refusal`: what it costs a cell to refuse a request, and what to serve it, in CPU time of its nodes.
//!
//! Straight to a node, in two ways that are measured apart. A PUT whose deadline has passed is read, its signature verified, and it is turned
//! away at the gate as under overload; the account's limits are out of the way. A PUT of an account that is over its limit is turned away before.
//! When either costs more than a tenth of what the same PUT costs when it is served, the run fails.

use super::{
    bench::{local_processes, serving_node},
    meter::Meter,
};
use crate::{
    client::{Call, Outcome, Payload, PayloadHash, Session, Target},
    clock,
    driver::{Done, Pace, Worker, closed_loop},
    limits::VERIFY_PATIENCE,
    report::parse_size,
    settings::{NewAccount, Service},
    workload::Content,
};
use anyhow::Context as _;
use bulkhead_model::headers;
use clap::Args;
use http::Method;
use std::{sync::Arc, time::Duration};

/// Refusing may cost this share of serving.
const SHARE_MAX: f64 = 0.1;
/// Writes a second of which no cell does more, and of which every client asks for more.
const NO_LIMIT: &str = "1000000";
const LOW_LIMIT: &str = "1";
/// What a refusal says whose reason is the account's limit.
const OVER_LIMIT: &str = "over its limit";

/// What becomes of a PUT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Served,
    RefusedByGate,
    RefusedByLimit,
}

impl Fate {
    const ALL: [Self; 3] = [Self::Served, Self::RefusedByGate, Self::RefusedByLimit];

    fn name(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::RefusedByGate => "refused by the gate",
            Self::RefusedByLimit => "refused by a limit",
        }
    }

    /// The writes a second that the account may do meanwhile.
    fn limit(self) -> &'static str {
        match self {
            Self::Served | Self::RefusedByGate => NO_LIMIT,
            Self::RefusedByLimit => LOW_LIMIT,
        }
    }
}

#[derive(Debug, Args)]
pub struct Refusal {
    #[command(flatten)]
    service: Service,
    /// Size of the PUTs
    #[arg(long, value_parser = parse_size, default_value = "4KiB")]
    size: u64,
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// Measured seconds of each kind
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Only print what is seen, and do not judge it
    #[arg(long)]
    report_only: bool,
}

/// Serves and refuses, and compares.
///
/// # Errors
/// When refusing costs too much, or the service is not on this machine.
pub async fn run(options: &Refusal) -> anyhow::Result<()> {
    let site = options.service.open().await?;
    let NewAccount { id, target, .. } = site.account("refusal").await?;
    let bucket = format!("refusal-{}", clock::stamp());
    super::first_bucket(&target, &bucket).await?;
    let processes = local_processes(&site).await;
    let node = serving_node(&target, &bucket, &processes).await.context("no node of the cell is on this machine")?;
    let meter = Meter::new(&processes, site.cluster.data());
    let mut costs = Vec::new();
    for fate in Fate::ALL {
        site.cluster.limit_account(id, &["--write-requests", fate.limit()]).await?;
        let client = |at| Client::new(&node, &bucket, options.size, at, fate);
        let mut first = client(0);
        let in_force = clock::wait_until(VERIFY_PATIENCE, async || first.step().await.error.is_none()).await;
        anyhow::ensure!(in_force, "no PUT was {}", fate.name());
        let workers = (0..options.clients).map(client).collect();
        let window = Duration::from_secs(options.seconds.max(1));
        let mut readings = Vec::with_capacity(2);
        let sample = closed_loop(workers, Pace { ramp_up: window / 4, window }, || readings.push(meter.read())).await;
        sample.errors.iter().for_each(|(error, count)| eprintln!("{count} times {error}"));
        let [before, after] = readings.as_slice() else { anyhow::bail!("the window was not measured") };
        let cost = after.since(before, &sample).server_cpu_ms_per_operation.context("the servers' CPU is not known")?;
        println!("{:20} {:>9.0} a second {cost:>8.3} ms of CPU each", fate.name(), sample.per_second());
        costs.push(cost);
    }
    let shares = [(Fate::RefusedByGate, costs[1] / costs[0]), (Fate::RefusedByLimit, costs[2] / costs[0])];
    for (fate, share) in shares {
        println!("to be {} costs {:.1}% of being served", fate.name(), share * 100.0);
    }
    let most = shares.iter().map(|(_, share)| *share).fold(0.0, f64::max);
    anyhow::ensure!(most <= SHARE_MAX || options.report_only, "it may cost {:.0}%", SHARE_MAX * 100.0);
    Ok(())
}

struct Client {
    session: Session,
    bucket: String,
    key: String,
    bytes: u64,
    fate: Fate,
}

impl Client {
    fn new(node: &Arc<Target>, bucket: &str, bytes: u64, at: usize, fate: Fate) -> Self {
        let session = Session::new(node.clone(), PayloadHash::Unsigned);
        Self { session, bucket: bucket.to_owned(), key: format!("key/{at}"), bytes, fate }
    }
}

impl Worker for Client {
    async fn step(&mut self) -> Done {
        let payload = Payload::whole(Content::of(&self.key, 1, self.bytes));
        let mut call = Call::new(Method::PUT, &self.bucket, &self.key).payload(payload);
        if self.fate == Fate::RefusedByGate {
            call = call.header(headers::DEADLINE, "0");
        }
        let outcome = self.session.call(call).await;
        Done { bytes: self.bytes, error: unlike(self.fate, outcome.map(drop)) }
    }
}

/// What is wrong with an outcome that is to be this one.
fn unlike(fate: Fate, outcome: Outcome<()>) -> Option<String> {
    match outcome {
        Outcome::Ok(()) => (fate != Fate::Served).then(|| "it was not refused".to_owned()),
        Outcome::Refused(refusal) => {
            let met = match fate {
                Fate::Served => false,
                Fate::RefusedByGate => refusal.status == 503 && !refusal.message.contains(OVER_LIMIT),
                Fate::RefusedByLimit => refusal.status == 503 && refusal.message.contains(OVER_LIMIT),
            };
            (!met).then(|| refusal.to_string())
        }
        Outcome::Unsent(why) => Some(why),
        Outcome::Unknown(lost) => Some(lost.to_string()),
    }
}

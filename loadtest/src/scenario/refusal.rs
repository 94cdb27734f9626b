//! `refusal`: what it costs a cell to refuse a request, and what to serve it, in CPU time of its nodes.
//!
//! Straight to a node. What is refused is a PUT whose deadline has passed: it is read, its signature verified, and it is turned away at the
//! gate as under overload. Above a tenth of what the same PUT costs when it is served, the run fails.

use super::{
    bench::{local_processes, serving_node},
    meter::Meter,
};
use crate::{
    client::{Call, Outcome, Payload, PayloadHash, Session, Target},
    clock,
    driver::{Done, Pace, Worker, closed_loop},
    report::parse_size,
    settings::Service,
    workload::Content,
};
use anyhow::Context as _;
use bulkhead_model::headers;
use clap::Args;
use http::Method;
use std::{sync::Arc, time::Duration};

/// Refusing may cost this share of serving.
const SHARE_MAX: f64 = 0.1;

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
    let bucket = format!("refusal-{}", clock::stamp());
    super::first_bucket(&site.target, &bucket).await?;
    let processes = local_processes(&site).await;
    let node =
        serving_node(&site.target, &bucket, &processes).await.context("no node of the cell is on this machine")?;
    let meter = Meter::new(&processes, site.cluster.data());
    let mut costs = Vec::new();
    for refused in [false, true] {
        let client = |at| Client::new(&node, &bucket, options.size, at, refused);
        let workers = (0..options.clients).map(client).collect();
        let window = Duration::from_secs(options.seconds.max(1));
        let mut readings = Vec::with_capacity(2);
        let sample = closed_loop(workers, Pace { ramp_up: window / 4, window }, || readings.push(meter.read())).await;
        sample.errors.iter().for_each(|(error, count)| eprintln!("{count} times {error}"));
        let [before, after] = readings.as_slice() else { anyhow::bail!("the window was not measured") };
        let cost = after.since(before, &sample).server_cpu_ms_per_operation.context("the servers' CPU is not known")?;
        let what = if refused { "refused" } else { "served" };
        println!("{what:8} {:>9.0} a second {cost:>8.3} ms of CPU each", sample.per_second());
        costs.push(cost);
    }
    let share = costs[1] / costs[0];
    println!("refusing costs {:.1}% of serving", share * 100.0);
    anyhow::ensure!(share <= SHARE_MAX || options.report_only, "it may cost {:.0}%", SHARE_MAX * 100.0);
    Ok(())
}

struct Client {
    session: Session,
    bucket: String,
    key: String,
    bytes: u64,
    refused: bool,
}

impl Client {
    fn new(node: &Arc<Target>, bucket: &str, bytes: u64, at: usize, refused: bool) -> Self {
        let session = Session::new(node.clone(), PayloadHash::Unsigned);
        Self { session, bucket: bucket.to_owned(), key: format!("key/{at}"), bytes, refused }
    }
}

impl Worker for Client {
    async fn step(&mut self) -> Done {
        let payload = Payload::whole(Content::of(&self.key, 1, self.bytes));
        let mut call = Call::new(Method::PUT, &self.bucket, &self.key).payload(payload);
        if self.refused {
            call = call.header(headers::DEADLINE, "0");
        }
        let error = match (self.session.call(call).await, self.refused) {
            (Outcome::Ok(_), false) => None,
            (Outcome::Refused(refusal), true) if refusal.status == 503 => None,
            (Outcome::Ok(_), true) => Some("it was not refused".to_owned()),
            (Outcome::Refused(refusal), _) => Some(refusal.to_string()),
            (Outcome::Unsent(why), _) => Some(why),
            (Outcome::Unknown(lost), _) => Some(lost.to_string()),
        };
        Done { bytes: self.bytes, error }
    }
}

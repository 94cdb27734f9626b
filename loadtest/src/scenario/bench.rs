//! `bench`: PUT and GET per second, and their latency, for sizes and numbers of clients, through the router and straight
//! to a node.
//!
//! A closed loop for comparing one build with another; it makes no claim about an open system. Every GET is checked byte
//! for byte.

use super::meter::Meter;
use crate::{
    client::{Condition, Outcome, PayloadHash, Put, Session, Target},
    clock,
    driver::{Done, Pace, Worker, closed_loop},
    faults::{ListedProcess, Role},
    report::{Point, parse_size},
    settings::{Service, Site},
    workload::{Content, content::Mismatch},
};
use anyhow::Context;
use clap::Args;
use std::{path::PathBuf, sync::Arc, time::Duration};

/// Objects each client writes in turn, over and over.
const KEYS_PER_CLIENT: u64 = 4;
const WRONG_BYTES: &str = "wrong bytes";

#[derive(Debug, Args)]
pub struct Bench {
    #[command(flatten)]
    service: Service,
    /// Object sizes
    #[arg(long, value_delimiter = ',', value_parser = parse_size, default_value = "4KiB,1MiB,16MiB")]
    sizes: Vec<u64>,
    /// Numbers of clients
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    clients: Vec<usize>,
    /// Measured seconds per point; a fourth of it goes ahead as ramp-up
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Measure only straight to a node, past the router
    #[arg(long, conflicts_with = "router_only")]
    direct: bool,
    /// Measure only through the router
    #[arg(long)]
    router_only: bool,
    /// How the name of the benchmark's own bucket begins
    #[arg(long, default_value = "bench")]
    bucket_prefix: String,
    /// Also write the figures here, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Where a point is measured.
struct Route {
    name: &'static str,
    target: Arc<Target>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Put,
    Get,
}

/// Runs the benchmark and prints its table.
///
/// # Errors
/// When the service cannot be reached, the bucket cannot be made, or a read returned wrong bytes. Other failing operations
/// are counted.
pub async fn run(bench: &Bench) -> anyhow::Result<()> {
    let site = bench.service.open().await?;
    let target = site.target.clone();
    let bucket = format!("{}-{}", bench.bucket_prefix, clock::stamp());
    super::first_bucket(&target, &bucket).await?;
    let processes = local_processes(&site).await;
    let routes = routes(bench, &target, &bucket, &processes).await?;
    let meter = Meter::new(&processes, site.cluster.data());
    println!("{}", Point::head());
    let mut points = Vec::new();
    for &object_bytes in &bench.sizes {
        for &clients in &bench.clients {
            for route in &routes {
                // The reads come after the writes: they read what those have left.
                for operation in [Operation::Put, Operation::Get] {
                    let point = measure(bench, &bucket, route, operation, object_bytes, clients, &meter).await?;
                    println!("{}", point.line());
                    points.push(point);
                }
            }
        }
    }
    if let Some(path) = &bench.json {
        std::fs::write(path, serde_json::to_vec_pretty(&points)?)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    report_errors(&points)
}

/// The processes of a local cluster; none when there is no local cluster to ask, which costs only the cost columns.
pub(super) async fn local_processes(site: &Site) -> Vec<ListedProcess> {
    match site.cluster.list().await {
        Ok(processes) => processes,
        Err(error) => {
            eprintln!("no figures of the servers' cost: {error:#}");
            Vec::new()
        }
    }
}

async fn routes(
    bench: &Bench,
    target: &Arc<Target>,
    bucket: &str,
    processes: &[ListedProcess],
) -> anyhow::Result<Vec<Route>> {
    let mut routes = Vec::new();
    if !bench.direct {
        routes.push(Route { name: "router", target: target.clone() });
    }
    if bench.router_only {
        return Ok(routes);
    }
    match serving_node(target, bucket, processes).await {
        Some(node) => routes.push(Route { name: "direct", target: node }),
        None if bench.direct => anyhow::bail!("no node of the local cluster serves the bucket; is DATA the right one?"),
        None => eprintln!("no node of the account's cell is on this machine: measuring through the router only"),
    }
    Ok(routes)
}

/// A node that serves the account: the only ones that know its bucket are those of its cell.
pub(super) async fn serving_node(
    target: &Arc<Target>,
    bucket: &str,
    processes: &[ListedProcess],
) -> Option<Arc<Target>> {
    for row in processes.iter().filter(|row| row.role == Role::Cell && row.alive) {
        let node = Arc::new(target.at(row.address("s3").ok()?).over(row.tls().ok()?));
        let mut session = Session::new(node.clone(), PayloadHash::Unsigned);
        let query = crate::client::ListQuery { bucket, ..Default::default() };
        if let Outcome::Ok(_) = session.list_page(&query, None).await {
            return Some(node);
        }
    }
    None
}

async fn measure(
    bench: &Bench,
    bucket: &str,
    route: &Route,
    operation: Operation,
    object_bytes: u64,
    clients: usize,
    meter: &Meter,
) -> anyhow::Result<Point> {
    let window = Duration::from_secs(bench.seconds.max(1));
    let pace = Pace { ramp_up: window / 4, window };
    let mut workers: Vec<Client> =
        (0..clients).map(|index| Client::new(route, operation, bucket, object_bytes, clients, index)).collect();
    if operation == Operation::Get {
        for worker in &mut workers {
            worker.prepare().await?;
        }
    }
    let mut readings = Vec::with_capacity(2);
    let sample = closed_loop(workers, pace, || readings.push(meter.read())).await;
    let cost = match readings.as_slice() {
        [before, after] => after.since(before, &sample),
        _ => Default::default(),
    };
    let name = match operation {
        Operation::Put => "PUT",
        Operation::Get => "GET",
    };
    Ok(Point::new(name, route.name, object_bytes, clients, &sample, cost))
}

/// One client of the benchmark: a connection and a few keys of its own.
struct Client {
    session: Session,
    operation: Operation,
    bucket: String,
    prefix: String,
    object_bytes: u64,
    turn: u64,
}

impl Client {
    fn new(route: &Route, operation: Operation, bucket: &str, object_bytes: u64, clients: usize, index: usize) -> Self {
        Self {
            session: Session::new(route.target.clone(), PayloadHash::Unsigned),
            operation,
            bucket: bucket.to_owned(),
            prefix: format!("{}/{object_bytes}/{clients}/{index}", route.name),
            object_bytes,
            turn: 0,
        }
    }

    fn key(&self, turn: u64) -> String {
        format!("{}/{}", self.prefix, turn % KEYS_PER_CLIENT)
    }

    /// Writes what the writes before have not come to write.
    async fn prepare(&mut self) -> anyhow::Result<()> {
        for turn in 0..KEYS_PER_CLIENT {
            let key = self.key(turn);
            if !matches!(self.session.head(&self.bucket, &key).await, Outcome::Ok(_)) {
                self.put(&key).await.required("preparing the objects to read")?;
            }
        }
        Ok(())
    }

    async fn put(&mut self, key: &str) -> Outcome<u64> {
        let content = Content::of(key, 1, self.object_bytes);
        let put = Put { bucket: &self.bucket, key, version: 1, content, condition: Condition::Always };
        self.session.put(&put).await.map(|_| self.object_bytes)
    }

    async fn get(&mut self, key: &str) -> Outcome<Result<u64, Mismatch>> {
        let expected = Content::of(key, 1, self.object_bytes);
        let read = self.session.get(&self.bucket, key).await;
        read.and_then(async |download| download.verify(expected, 0).await).await
    }
}

impl Worker for Client {
    async fn step(&mut self) -> Done {
        let key = self.key(self.turn);
        self.turn += 1;
        let outcome = match self.operation {
            Operation::Put => self.put(&key).await.map(Ok),
            Operation::Get => self.get(&key).await,
        };
        match outcome {
            Outcome::Ok(Ok(bytes)) => Done { bytes, error: None },
            Outcome::Ok(Err(mismatch)) => Done { bytes: 0, error: Some(format!("{WRONG_BYTES}: {mismatch}")) },
            Outcome::Refused(refusal) => Done { bytes: 0, error: Some(format!("{} {}", refusal.status, refusal.code)) },
            Outcome::Unsent(why) => Done { bytes: 0, error: Some(why) },
            Outcome::Unknown(lost) => Done { bytes: 0, error: Some(lost.to_string()) },
        }
    }
}

fn report_errors(points: &[Point]) -> anyhow::Result<()> {
    let mut wrong = 0;
    for point in points {
        for (error, count) in &point.errors {
            eprintln!("{} {} {}: {count} times {error}", point.operation, point.through, point.clients);
            wrong += if error.starts_with(WRONG_BYTES) { *count } else { 0 };
        }
    }
    anyhow::ensure!(wrong == 0, "{wrong} reads returned wrong bytes");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, Sin};

    async fn wrong_bytes(sin: Sin) -> u64 {
        let fake = Fake::start(sin).await;
        let route = Route { name: "fake", target: fake.target.clone() };
        let mut reader = Client::new(&route, Operation::Get, "b", 4096, 1, 0);
        reader.prepare().await.expect("the fake stores");
        let mut wrong = 0;
        for _ in 0..100 {
            wrong += u64::from(reader.step().await.error.is_some());
        }
        wrong
    }

    #[tokio::test]
    async fn a_read_of_wrong_bytes_is_an_error_and_not_an_operation() {
        assert_eq!(wrong_bytes(Sin::None).await, 0);
        assert!(wrong_bytes(Sin::Corrupt).await > 0);
    }
}

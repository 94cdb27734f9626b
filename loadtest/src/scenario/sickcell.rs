//! `sickcell`: one cell is stopped, hung and garbled, one after the other, while the tenants of another work. What they see before,
//! during and after is printed, and how fast requests come to the sick cell when it returns.

use super::pulse::{Figures, Pulse};
use crate::{
    client::Target,
    clock,
    faults::{Cluster, ListedProcess, Listener, Role, Victim},
    limits::{ACCOUNTS_TRIED, RESTART_PATIENCE, VERIFY_PATIENCE},
    settings::{Service, Site},
};
use anyhow::Context;
use bulkhead_model::CellId;
use clap::Args;
use futures::future::join_all;
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

/// Requests that come to a cell are counted over so long.
const SLICE: Duration = Duration::from_millis(500);
/// What may come to a cell that returns, in a second, beside what came before: that many times as much, and so many more.
const STORM_FACTOR: f64 = 2.0;
const STORM_MORE: f64 = 50.0;

#[derive(Debug, Args)]
pub struct SickCell {
    #[command(flatten)]
    service: Service,
    /// Clients of the cell that stays well, each with fifty requests a second
    #[arg(long, default_value_t = 8)]
    clients: u64,
    /// Clients of the cell that falls sick, each with a hundred
    #[arg(long, default_value_t = 32)]
    sick_clients: u64,
    /// Seconds before, and after
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Seconds that the cell is sick
    #[arg(long, default_value_t = 15)]
    sick_seconds: u64,
    /// How much p99 of the well cell's tenants may grow, in percent, and by more than 20 ms
    #[arg(long, default_value_t = 50)]
    tolerance_percent: u32,
}

/// What happens to the cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sickness {
    Stopped,
    Hung,
    Garbled,
}

impl fmt::Display for Sickness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "stopped",
            Self::Hung => "hung",
            Self::Garbled => "garbled",
        })
    }
}

/// A cell's tenants.
struct Tenants {
    cell: CellId,
    pulse: Pulse,
}

/// Makes a cell sick in every way.
///
/// # Errors
/// When the tenants of the other cell see errors or a higher p99, or the sick cell does not come back, or is stormed when it does.
pub async fn run(sick: &SickCell) -> anyhow::Result<()> {
    let site = sick.service.open().await?;
    let (well, ill) = two_cells(&site).await?;
    println!("cell {} stays well, cell {} falls sick", well.1, ill.1);
    let well = tenants(well, sick.clients, Duration::from_millis(20)).await?;
    let ill = tenants(ill, sick.sick_clients, Duration::from_millis(10)).await?;
    let mut complaints = Vec::new();
    for sickness in [Sickness::Stopped, Sickness::Hung, Sickness::Garbled] {
        tokio::time::sleep(Duration::from_secs(3)).await;
        complaints.extend(round(sick, &site.cluster, &well, &ill, sickness).await?);
    }
    well.pulse.stop().await?;
    ill.pulse.stop().await?;
    anyhow::ensure!(complaints.is_empty(), "{}", complaints.join("; "));
    println!("sickcell passed");
    Ok(())
}

/// Two accounts in different cells.
async fn two_cells(site: &Site) -> anyhow::Result<((Arc<Target>, CellId), (Arc<Target>, CellId))> {
    let first = site.new_account("well").await?;
    for number in 0..ACCOUNTS_TRIED {
        let second = site.new_account(&format!("sick-{number}")).await?;
        if second.1 != first.1 {
            return Ok((first, second));
        }
    }
    anyhow::bail!("{ACCOUNTS_TRIED} accounts were all placed in cell {}", first.1)
}

async fn tenants((target, cell): (Arc<Target>, CellId), clients: u64, every: Duration) -> anyhow::Result<Tenants> {
    let bucket = format!("sickcell-{cell}-{}", clock::stamp());
    super::first_bucket(&target, &bucket).await?;
    let pulse = Pulse::start(&target, &bucket, clients, every);
    Ok(Tenants { cell, pulse })
}

async fn round(
    sick: &SickCell,
    cluster: &Cluster,
    well: &Tenants,
    ill: &Tenants,
    sickness: Sickness,
) -> anyhow::Result<Vec<String>> {
    let span = Duration::from_secs(sick.seconds);
    let before = watch(well, ill, &format!("before {sickness}"), span).await;
    let nodes: Vec<ListedProcess> = cluster.of(Role::Cell, Some(&ill.cell)).await?;
    let mut served = Served::of(&nodes).await?;
    let usual = served.rate(Duration::from_secs(1)).await;
    let ailment = Ailment::begin(cluster, &nodes, sickness).await?;
    let during = watch(well, ill, &sickness.to_string(), Duration::from_secs(sick.sick_seconds)).await;
    let (name, mut peak) = (format!("after {sickness}"), 0.0);
    let returning = async {
        ailment.end(cluster).await?;
        anyhow::Ok(watch(well, ill, &name, span).await)
    };
    let after = tokio::select! {
        after = returning => after?,
        () = served.peak(&mut peak) => anyhow::bail!("counting ended before the cell was back"),
    };
    println!("  requests at cell {}: {usual:.0}/s before, at most {peak:.0}/s when it came back", ill.cell);
    let back = clock::wait_until(VERIFY_PATIENCE, async || {
        let from = clock::now();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let figures = ill.pulse.between(from, clock::now());
        figures.requests > 0 && figures.failed() == 0
    })
    .await;
    anyhow::ensure!(back, "cell {} did not come back after it was {sickness}", ill.cell);
    let allowed =
        before.p99.mul_f64(1.0 + f64::from(sick.tolerance_percent) / 100.0).max(before.p99 + Duration::from_millis(20));
    let mut complaints = Vec::new();
    if peak > usual * STORM_FACTOR + STORM_MORE {
        complaints
            .push(format!("{sickness}: {peak:.0} requests/s came to the cell when it was back, {usual:.0} before"));
    }
    for (when, figures) in [("during", &during), ("after", &after)] {
        if figures.failed() > 0 {
            complaints.push(format!("{sickness}: {} requests to the other cell failed {when}", figures.failed()));
        }
        if figures.p99 > allowed {
            complaints.push(format!(
                "{sickness}: p99 of the other cell was {:?} {when}, {:?} before",
                figures.p99, before.p99
            ));
        }
    }
    Ok(complaints)
}

async fn watch(well: &Tenants, ill: &Tenants, name: &str, time: Duration) -> Figures {
    let begun = clock::now();
    tokio::time::sleep(time).await;
    let (of_well, of_ill) = (well.pulse.between(begun, clock::now()), ill.pulse.between(begun, clock::now()));
    println!("  {name:16} well: {of_well}\n  {:16} sick: {of_ill}", "");
    of_well
}

/// The S3 requests that the nodes of a cell have served, as far as each has said.
struct Served {
    admins: Vec<Listener>,
    /// By each node's last word.
    known: Vec<f64>,
}

impl Served {
    async fn of(nodes: &[ListedProcess]) -> anyhow::Result<Self> {
        let admins = nodes.iter().map(|row| row.listener("admin")).collect::<anyhow::Result<Vec<Listener>>>()?;
        let mut served = Self { known: vec![0.0; admins.len()], admins };
        served.more().await;
        Ok(served)
    }

    /// Requests since each node was last heard.
    async fn more(&mut self) -> f64 {
        let now = join_all(self.admins.iter().map(served)).await;
        let mut more = 0.0;
        for (known, now) in self.known.iter_mut().zip(now) {
            // Who is not heard is counted when it is again.
            let Some(now) = now else { continue };
            // A node that has just been started counts from nothing.
            more += if now < *known { now } else { now - *known };
            *known = now;
        }
        more
    }

    /// Requests per second, over some time from when they were last counted.
    async fn rate(&mut self, time: Duration) -> f64 {
        let begun = clock::now();
        tokio::time::sleep(time).await;
        let more = self.more().await;
        more / (clock::now() - begun).as_secs_f64()
    }

    /// Keeps the most of any half second, for as long as it is let.
    async fn peak(&mut self, most: &mut f64) {
        loop {
            *most = f64::max(*most, self.rate(SLICE).await);
        }
    }
}

/// What one node says, if it does.
async fn served(admin: &Listener) -> Option<f64> {
    let text = timeout(SLICE / 2, admin.get("/metrics")).await.ok()??;
    let counts = text.lines().filter(|line| line.starts_with("s3_requests_total"));
    Some(counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

/// A cell that is sick, until it is dropped.
struct Ailment {
    sickness: Sickness,
    paused: Vec<Victim>,
    killed: Vec<String>,
    babblers: JoinSet<()>,
}

impl Ailment {
    async fn begin(cluster: &Cluster, nodes: &[ListedProcess], sickness: Sickness) -> anyhow::Result<Self> {
        let mut ailment = Self { sickness, paused: Vec::new(), killed: Vec::new(), babblers: JoinSet::new() };
        let names: Vec<&str> = nodes.iter().map(|row| row.name.as_str()).collect();
        match sickness {
            Sickness::Hung => {
                for row in nodes {
                    let victim = Victim::identify(row)?;
                    victim.pause()?;
                    ailment.paused.push(victim);
                }
            }
            Sickness::Stopped | Sickness::Garbled => {
                ailment.killed = names.iter().map(|name| (*name).to_owned()).collect();
                cluster.kill(&names).await?;
            }
        }
        if sickness == Sickness::Garbled {
            for row in nodes {
                let address = row.address("s3")?;
                let mut listener = None;
                // A process that was killed lets go of its port when its memory is gone.
                clock::wait_until(RESTART_PATIENCE, async || {
                    listener = TcpListener::bind(address).await.ok();
                    listener.is_some()
                })
                .await;
                ailment.babblers.spawn(babble(listener.with_context(|| format!("{address} stays in use"))?));
            }
        }
        Ok(ailment)
    }

    async fn end(mut self, cluster: &Cluster) -> anyhow::Result<()> {
        self.babblers.shutdown().await;
        for victim in std::mem::take(&mut self.paused) {
            victim.resume()?;
        }
        let killed: Vec<&str> = self.killed.iter().map(String::as_str).collect();
        if !killed.is_empty() {
            cluster.start_all(&killed).await?;
        }
        let missing = cluster.missing_after(RESTART_PATIENCE).await?;
        anyhow::ensure!(missing.is_empty(), "not ready after being {}: {}", self.sickness, missing.join(", "));
        Ok(())
    }
}

impl Drop for Ailment {
    fn drop(&mut self) {
        for victim in &self.paused {
            if let Err(error) = victim.resume() {
                eprintln!("{} could not be resumed: {error}", victim.name);
            }
        }
    }
}

/// Answers everything with what is not HTTP.
async fn babble(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(garble(stream));
        while connections.try_join_next().is_some() {}
    }
}

async fn garble(mut stream: TcpStream) {
    let mut request = [0; 4096];
    // Whatever becomes of it: it is garbage.
    if stream.read(&mut request).await.is_ok() {
        let _ = stream.write_all(b"\x16\x03\x01\x02\x00 this is not HTTP\r\n\r\n").await;
    }
}

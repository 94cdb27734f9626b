//! `sickcell`: one cell is stopped, hung and garbled, one after the other, while the tenants of another work. What they see before,
//! during and after is printed, and how fast requests come to the sick cell when it returns.

use super::pulse::{Figures, Pulse};
use crate::{
    client::Target,
    clock,
    faults::{Cluster, ListedProcess, Role, Victim, http_get},
    limits::{ACCOUNTS_TRIED, RESTART_PATIENCE, VERIFY_PATIENCE},
    settings::{Service, Site},
};
use anyhow::Context;
use bulkhead_model::CellId;
use clap::Args;
use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

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
/// When the tenants of the other cell see errors or a higher p99, or the sick cell does not come back.
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
    let usual_rate = rate(cluster, &ill.cell).await?;
    let nodes: Vec<ListedProcess> = cluster.of(Role::Cell, Some(&ill.cell)).await?;
    let (during, after) = {
        let ailment = Ailment::begin(cluster, &nodes, sickness).await?;
        let during = watch(well, ill, &sickness.to_string(), Duration::from_secs(sick.sick_seconds)).await;
        ailment.end(cluster).await?;
        let peak = peak_rate(cluster, &ill.cell, span);
        let name = format!("after {sickness}");
        let after = watch(well, ill, &name, span);
        let (after, peak) = tokio::join!(after, peak);
        println!("  requests at cell {}: {usual_rate:.0}/s before, at most {peak:.0}/s when it came back", ill.cell);
        (during, after)
    };
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

/// Requests that reach the nodes of a cell, per second.
async fn rate(cluster: &Cluster, cell: &CellId) -> anyhow::Result<f64> {
    let admins = admins(cluster, cell).await?;
    let before = served(&admins).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(served(&admins).await - before)
}

/// The most of any half second within `time`, per second.
async fn peak_rate(cluster: &Cluster, cell: &CellId, time: Duration) -> f64 {
    const SLICE: Duration = Duration::from_millis(500);
    let Ok(admins) = admins(cluster, cell).await else { return 0.0 };
    let (until, mut peak) = (clock::now() + time, 0.0_f64);
    let mut last = (clock::now(), served(&admins).await);
    while clock::now() < until {
        tokio::time::sleep(SLICE).await;
        let now = (clock::now(), served(&admins).await);
        // A node that has just been started counts from nothing.
        let more = (now.1 - last.1).max(0.0);
        peak = peak.max(more / (now.0 - last.0).as_secs_f64());
        last = now;
    }
    peak
}

async fn admins(cluster: &Cluster, cell: &CellId) -> anyhow::Result<Vec<SocketAddr>> {
    cluster.of(Role::Cell, Some(cell)).await?.iter().map(|row| row.address("admin")).collect()
}

/// S3 requests that nodes say they have served.
async fn served(admins: &[SocketAddr]) -> f64 {
    let mut sum = 0.0;
    for admin in admins {
        let text = http_get(*admin, "/metrics").await.unwrap_or_default();
        sum += text
            .lines()
            .filter(|line| line.starts_with("s3_requests_total"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum::<f64>();
    }
    sum
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
                let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
                ailment.babblers.spawn(babble(listener));
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

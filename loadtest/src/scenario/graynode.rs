//! `graynode`: one node of a cell is paused for a while, then slowed down; first a follower, then the leader. What its clients see
//! is printed second by second.
//!
//! A paused process keeps its connections, so that nothing but its silence says that it is away. A slowed one runs for a part of
//! the time.

use super::pulse::{Figures, Pulse};
use crate::{
    clock,
    faults::{Cluster, Role, Victim},
    limits::VERIFY_PATIENCE,
    settings::Service,
};
use anyhow::Context;
use bulkhead_model::CellId;
use clap::Args;
use std::time::{Duration, Instant};

/// Requests must be as fast as before this soon after the node was found out, which takes a second and a probe.
const RECOVERY_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub struct GrayNode {
    #[command(flatten)]
    service: Service,
    /// Clients, each with fifty requests a second
    #[arg(long, default_value_t = 8)]
    clients: u64,
    /// Seconds that the node is paused
    #[arg(long, default_value_t = 20)]
    pause_seconds: u64,
    /// Seconds that it is slowed
    #[arg(long, default_value_t = 15)]
    slow_seconds: u64,
    /// Of each 100 ms, how many it is stopped while it is slowed
    #[arg(long, default_value_t = 90)]
    slow_percent: u64,
    /// Print the figures and fail for errors only, not for latency
    #[arg(long)]
    lenient: bool,
}

/// Resumes a process when it is dropped, whatever happened.
struct Resumed<'a>(&'a Victim);

impl Drop for Resumed<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.resume() {
            eprintln!("{} could not be resumed: {error}", self.0.name);
        }
    }
}

/// Pauses and slows.
///
/// # Errors
/// When a request failed, or latency did not come back in time.
pub async fn run(gray: &GrayNode) -> anyhow::Result<()> {
    let site = gray.service.open().await?;
    let (target, cell) = site.new_account("graynode").await?;
    let bucket = format!("graynode-{}", clock::stamp());
    super::first_bucket(&target, &bucket).await?;
    let pulse = Pulse::start(&target, &bucket, gray.clients, Duration::from_millis(20));
    let mut complaints = Vec::new();
    for leads in [false, true] {
        anyhow::ensure!(calm(&pulse).await, "the clients' requests did not become steady within {VERIFY_PATIENCE:?}");
        let begun = clock::now();
        let before = phase(&pulse, "before", Duration::from_secs(6)).await;
        let node = choose(&site.cluster, &cell, leads).await?;
        println!("the {} is {}", if leads { "leader" } else { "follower" }, node.name);
        let resumed = Resumed(&node);
        let paused = node.pause()?;
        phase(&pulse, "paused", Duration::from_secs(gray.pause_seconds)).await;
        complaints.extend(late(&pulse, paused, gray.pause_seconds, &before));
        drop(resumed);
        phase(&pulse, "back", Duration::from_secs(8)).await;
        let slowed = clock::now();
        slow(gray, &pulse, &node).await?;
        complaints.extend(late(&pulse, slowed, gray.slow_seconds, &before));
        phase(&pulse, "well", Duration::from_secs(6)).await;
        let all = pulse.between(begun, clock::now());
        println!("in all: {all}");
        if all.failed() > 0 {
            complaints.push(format!("{} of {} requests failed", all.failed(), all.requests));
        }
    }
    pulse.stop().await?;
    if gray.lenient {
        complaints.retain(|complaint| complaint.contains("failed"));
    }
    anyhow::ensure!(complaints.is_empty(), "{}", complaints.join("; "));
    println!("graynode passed");
    Ok(())
}

/// Waits until the service has nothing left to recover from: in the last second all clients kept their pace, and none of their requests failed
/// or took long. Says whether it came to that.
async fn calm(pulse: &Pulse) -> bool {
    const LOOKS_BACK: Duration = Duration::from_secs(1);
    // Clients that send fifty a second each may be late with a tenth of them.
    let enough = pulse.clients() * 45;
    clock::wait_until(VERIFY_PATIENCE, async || {
        let now = clock::now();
        let Some(from) = now.checked_sub(LOOKS_BACK) else { return false };
        let last = pulse.between(from, now);
        last.requests as u64 >= enough && last.failed() == 0 && last.max < LOOKS_BACK / 2
    })
    .await
}

async fn choose(cluster: &Cluster, cell: &CellId, leads: bool) -> anyhow::Result<Victim> {
    let mut leader = None;
    clock::wait_until(VERIFY_PATIENCE, async || {
        leader = cluster.leader(cell).await.ok().flatten();
        leader.is_some()
    })
    .await;
    let leader = leader.with_context(|| format!("cell {cell} has no leader"))?;
    let rows = cluster.of(Role::Cell, Some(cell)).await?;
    let row = rows.into_iter().find(|row| row.alive && (row.name == leader.name) == leads);
    Ok(Victim::identify(&row.with_context(|| format!("cell {cell} has no such node"))?)?)
}

/// Lets `time` pass, and prints what each second saw. Answers the whole.
async fn phase(pulse: &Pulse, name: &str, time: Duration) -> Figures {
    let begun = clock::now();
    let mut second = begun;
    while second < begun + time {
        let next = second + Duration::from_secs(1);
        tokio::time::sleep_until(next.into()).await;
        println!("  {name:7} {:3} s: {}", (next - begun).as_secs(), pulse.between(second, next));
        second = next;
    }
    pulse.between(begun, second)
}

/// Lets the node run for a part of the time, for as long as said.
async fn slow(gray: &GrayNode, pulse: &Pulse, node: &Victim) -> anyhow::Result<()> {
    let _resumed = Resumed(node);
    let stopped = Duration::from_millis(gray.slow_percent.min(99));
    tokio::select! {
        _ = phase(pulse, "slowed", Duration::from_secs(gray.slow_seconds)) => Ok(()),
        Err(error) = limp(node, stopped) => Err(error),
    }
}

/// Stops and resumes the node again and again.
async fn limp(node: &Victim, stopped: Duration) -> anyhow::Result<()> {
    loop {
        node.pause()?;
        tokio::time::sleep(stopped).await;
        node.resume()?;
        tokio::time::sleep(Duration::from_millis(100).saturating_sub(stopped)).await;
    }
}

/// The first second from which on all are as fast as before, if it comes too late.
fn late(pulse: &Pulse, begun: Instant, seconds: u64, before: &Figures) -> Option<String> {
    let usual = (before.p99 * 3).max(Duration::from_millis(50));
    let slow = (0..seconds).rev().find(|second| {
        let from = begun + Duration::from_secs(*second);
        pulse.between(from, from + Duration::from_secs(1)).p99 > usual
    });
    let back = slow.map_or(0, |second| second + 1);
    println!("  p99 within {:.0} ms again after {back} s", usual.as_secs_f64() * 1000.0);
    let is_late = Duration::from_secs(back) > RECOVERY_MAX;
    is_late.then(|| format!("p99 was above {} ms for {back} s", usual.as_millis()))
}

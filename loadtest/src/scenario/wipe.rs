//! `wipe`: under load a node is stopped and its data removed; one command replaces it, and the cell becomes whole again.
//!
//! Printed are the time that takes, and what clients notice before, during and after.

use super::{
    objects::{self, Objects},
    stage::{Since, Stage, said},
    traffic::{Sizes, Traffic, verify},
};
use crate::{
    clock,
    faults::{Ground, ListedProcess},
    limits::{LOOK, RESTART_PATIENCE, VERIFY_PATIENCE, WHOLE_PATIENCE},
    report::parse_size,
    settings::Service,
};
use anyhow::Context;
use bulkhead_model::{NodeId, api::control_plane::ReplaceStep};
use clap::{Args, ValueEnum};
use futures::future::try_join;
use std::{
    fmt,
    time::{Duration, Instant},
};

const LENGTHS: std::ops::RangeInclusive<u64> = 4 << 10..=16 << 20;

#[derive(Debug, Args)]
pub struct Wipe {
    #[command(flatten)]
    service: Service,
    /// Who is wiped
    #[arg(long, value_enum, default_value_t = Who::Leader)]
    who: Who,
    /// Bytes of objects that are written first and must all be copied to the new node
    #[arg(long, value_parser = parse_size, default_value = "512MiB")]
    size: u64,
    /// Clients that write, read, delete and list meanwhile
    #[arg(long, default_value_t = 4)]
    clients: u64,
    /// Seconds of load before and after
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Seed of lengths and clients' choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Who {
    Leader,
    Follower,
}

/// How long after the node was stopped.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// The data was gone and the command given.
    commanded: Duration,
    /// Three voters again.
    voters: Duration,
    /// The command said that the cell is whole.
    replaced: Duration,
    /// No copy missing anywhere, as every node says after comparing everything anew.
    whole: Duration,
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commanded, voters, replaced, whole } = self;
        write!(
            f,
            "  data gone after {:.1} s; three voters after {:.1} s; `node replace` done after {:.1} s; no copy missing on any node, \
             everything compared anew, after {:.1} s",
            commanded.as_secs_f64(),
            voters.as_secs_f64(),
            replaced.as_secs_f64(),
            whole.as_secs_f64()
        )
    }
}

/// Runs the scenario.
///
/// # Errors
/// When anything acknowledged is lost or damaged, or the cell does not become whole.
pub async fn run(options: &Wipe) -> anyhow::Result<()> {
    let ground = Ground { small: true, brisk: true, ..Ground::default() };
    let room = options.size * 8 + (6 << 30);
    let mut stage = Stage::open(&options.service, ground, "wipe", options.seed, room).await?;
    stage.play(async |stage| scene(stage, options).await).await
}

async fn scene(stage: &mut Stage, options: &Wipe) -> anyhow::Result<()> {
    let lengths = objects::lengths(LENGTHS, options.size, &mut stage.dice);
    let mut held = Objects::default();
    let written = held.write(stage.place(), "still", &lengths).await?;
    println!("written: {written}");
    stage.until_whole(Since { scrubbed: false, ..Since::now() }, |_| {}).await?;
    let traffic = Traffic::start(&stage.target, &stage.bucket, options.clients, options.seed, Sizes::Served);
    let window = Duration::from_secs(options.seconds);
    traffic.expect_flow(VERIFY_PATIENCE).await?;
    traffic.pulse.take();
    tokio::time::sleep(window).await;
    let before = traffic.pulse.take();

    let victim = choose(stage, options.who).await?;
    traffic.acks.mark(clock::now());
    let times = wipe(stage, &victim).await?;
    let silence = traffic.acks.longest_silence(clock::now());
    let during = traffic.pulse.take();
    traffic.check()?;

    traffic.acks.mark(clock::now());
    tokio::time::sleep(window).await;
    let silence_after = traffic.acks.longest_silence(clock::now());
    let after = traffic.pulse.take();
    let moving = verify::all(&traffic, &stage.target, &stage.bucket).await?;
    let summary = traffic.stop().await?;
    let still = held.read(stage.place()).await?;
    println!("wipe passed: {} ({:?}) wiped under load, seed {}\n{times}", victim.name, options.who, options.seed);
    for (name, phase) in [("before", &before), ("during", &during), ("after", &after)] {
        println!("{}", phase.lines(name));
    }
    println!(
        "  longest pause of writes during it {:.2} s, in {} s after it {:.2} s",
        silence.as_secs_f64(),
        options.seconds,
        silence_after.as_secs_f64()
    );
    println!(
        "  acknowledged: {} puts, {} deletes; unknown: {}; refused or never sent: {}; {} reads and {} listings checked meanwhile",
        summary.puts_acknowledged,
        summary.deletes_acknowledged,
        summary.writes_unknown,
        summary.writes_refused,
        summary.reads_checked,
        summary.listings_checked
    );
    let (objects, mib) = (moving.objects, moving.bytes >> 20);
    println!("  verified: of the clients {objects} objects ({mib} MiB); of those written first {still}");
    Ok(())
}

async fn choose(stage: &Stage, who: Who) -> anyhow::Result<ListedProcess> {
    let mut leader = None;
    let found = clock::wait_until(RESTART_PATIENCE, async || {
        leader = stage.cluster.leader(&stage.cell).await.ok().flatten();
        leader.is_some()
    });
    anyhow::ensure!(found.await, "cell {} has no leader", stage.cell);
    let leader = leader.context("a leader was found")?;
    match who {
        Who::Leader => Ok(leader),
        Who::Follower => {
            let others = stage.nodes().await?.into_iter().find(|row| row.name != leader.name);
            others.context("the cell has no follower")
        }
    }
}

/// Stops the node, removes what it held, replaces it.
async fn wipe(stage: &Stage, victim: &ListedProcess) -> anyhow::Result<Times> {
    let number = victim.node.context("the node has no number")?;
    let data = victim.data()?;
    let begun = clock::now();
    stage.cluster.stop(&victim.name).await?;
    std::fs::remove_dir_all(&data).with_context(|| format!("removing {}", data.display()))?;
    let commanded = since(begun);
    let replace = async {
        stage.cluster.replace(&stage.cell, number, WHOLE_PATIENCE).await?;
        anyhow::Ok(since(begun))
    };
    let (replaced, voters) = try_join(replace, until_voters(stage, number, begun)).await?;
    let (storage, _) = stage.until_whole(Since { scrubbed: false, ..Since::now() }, |_| {}).await?;
    let whole = since(begun);
    let copies: u64 = said(&storage).map(|node| node.repaired_copies).sum();
    let mib: u64 = said(&storage).map(|node| node.repaired_bytes >> 20).sum();
    println!("{}: {copies} copies ({mib} MiB) made anew", victim.name);
    Ok(Times { commanded, voters, replaced, whole })
}

/// Waits until the new node votes in the place of `old`.
async fn until_voters(stage: &Stage, old: NodeId, begun: Instant) -> anyhow::Result<Duration> {
    let mut seen = false;
    loop {
        let cell = stage.cluster.show(&stage.cell).await.map(|shown| shown.cell);
        if let Ok(cell) = cell {
            let left = !cell.nodes.iter().any(|node| node.node == old);
            match cell.replacement.map(|replacement| replacement.step) {
                Some(ReplaceStep::Joining | ReplaceStep::Swapping) => seen = true,
                Some(ReplaceStep::Repairing) => return Ok(since(begun)),
                None if seen || left => return Ok(since(begun)),
                None => {}
            }
        }
        let waited = since(begun);
        anyhow::ensure!(waited < WHOLE_PATIENCE, "there are not three voters after {waited:?}");
        tokio::time::sleep(LOOK).await;
    }
}

fn since(begun: Instant) -> Duration {
    clock::now().saturating_duration_since(begun)
}

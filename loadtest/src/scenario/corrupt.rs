//! `corrupt`: bits of a node's files turn over while another node is away; every object must read back whole, and the cell must
//! find the damage and mend it.
//!
//! Three parts: chunk extents while their node runs, chunk extents while it is stopped, and the state of its index. A node
//! whose index is damaged may stop, or serve what is right; it must never answer what is wrong, and it is replaced in the end.

use super::{
    objects::{self, Objects, Place},
    stage::{Since, Stage, said},
};
use crate::{
    client::{Outcome, PayloadHash, Session},
    clock,
    faults::{Ground, ListedProcess, flip},
    limits::{DAMAGED_WATCH, OBJECT_CLIENTS, POLL, RESTART_PATIENCE, WHOLE_PATIENCE},
    report::parse_size,
    settings::Service,
    workload::Content,
};
use anyhow::Context;
use bulkhead_model::{
    NodeId,
    api::{cell::NodeStorage, control_plane::CellStorage},
};
use clap::Args;
use rand::seq::SliceRandom as _;
use std::{collections::BTreeMap, path::Path, sync::Arc};

const LENGTHS: std::ops::RangeInclusive<u64> = 1..=16 << 20;

#[derive(Debug, Args)]
pub struct Corrupt {
    #[command(flatten)]
    service: Service,
    /// Bits that turn over in each part
    #[arg(long, default_value_t = 1_000)]
    bits: u64,
    /// Bytes of objects that are written first
    #[arg(long, value_parser = parse_size, default_value = "256MiB")]
    size: u64,
    /// Seed of lengths, places and nodes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the first part, with little data, and without waiting for a scrub of everything
    #[arg(long)]
    short: bool,
}

/// When the bits of extents turn over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Running,
    Stopped,
}

/// What the cell has noticed of the damage, at one look or in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Noticed {
    /// Most damaged chunks known at a time.
    corrupt: u64,
    /// Damaged chunks that scrub has found.
    scrubbed: u64,
    /// Copies made.
    repaired: u64,
}

/// The nodes of a part.
struct Cast {
    /// Stopped before the damage, and started when everything was read.
    absent: ListedProcess,
    /// Whose bits turn over.
    victim: ListedProcess,
}

/// Runs the parts.
///
/// # Errors
/// When an object is lost or damaged, the damage is not noticed, or the cell does not become whole again.
pub async fn run(options: &Corrupt) -> anyhow::Result<()> {
    let ground = Ground { small: true, brisk: true, ..Ground::default() };
    let data = if options.short { 24 << 20 } else { options.size };
    let mut stage = Stage::open(&options.service, ground, "corrupt", options.seed, data * 12).await?;
    stage.play(async |stage| parts(stage, options, data).await).await?;
    println!("corrupt passed: {} bits in each part, seed {}", options.bits, options.seed);
    Ok(())
}

async fn parts(stage: &mut Stage, options: &Corrupt, data: u64) -> anyhow::Result<()> {
    let lengths = objects::lengths(LENGTHS, data, &mut stage.dice);
    let mut held = Objects::default();
    let (target, bucket) = (stage.target.clone(), stage.bucket.clone());
    let written = held.write(Place { target: &target, bucket: &bucket }, "object", &lengths).await?;
    println!("written: {written}");
    extents(stage, options, &held, When::Running).await.context("extents of a running node")?;
    if options.short {
        return Ok(());
    }
    extents(stage, options, &held, When::Stopped).await.context("extents of a stopped node")?;
    index(stage, options, &held).await.context("the index of a node")
}

/// Any two nodes of the cell.
async fn cast(stage: &mut Stage) -> anyhow::Result<Cast> {
    let mut nodes = stage.nodes().await?;
    nodes.shuffle(&mut stage.dice);
    let mut next = || nodes.pop().context("the cell has too few nodes");
    Ok(Cast { absent: next()?, victim: next()? })
}

async fn extents(stage: &mut Stage, options: &Corrupt, held: &Objects, when: When) -> anyhow::Result<()> {
    // All three copies must be there before two of them are taken away.
    let since = Since { scrubbed: false, ..Since::now() };
    stage.until_whole(since, |_| {}).await.context("before the damage")?;
    let Cast { absent, victim } = cast(stage).await?;
    let number = victim.node.context("the victim has no number")?;
    stage.cluster.stop(&absent.name).await?;
    if when == When::Stopped {
        stage.cluster.stop(&victim.name).await?;
    }
    let chunks = victim.data()?.join("chunks");
    let is_extent = |path: &Path| path.extension().is_some_and(|extension| extension == "extent");
    let flipped = flip(&chunks, is_extent, options.bits, &mut stage.dice)?;
    let since = Since { scrubbed: !options.short, compared: !options.short, ..Since::now() };
    if when == When::Stopped {
        start(stage, &victim, &[&absent.name]).await?;
    }
    let mut noticed = Noticed::default();
    let through_router = held.read(stage.place()).await.context("one node down, another damaged")?;
    // The victim reads its own copies first, and so finds what is wrong with them.
    let own = Arc::new(stage.target.at(victim.address("s3")?).over(victim.tls()?));
    let through_victim =
        held.read(Place { target: &own, bucket: &stage.bucket }).await.context("at the damaged node")?;
    noticed.look(&stage.cluster.show(&stage.cell).await?.storage, number);
    stage.cluster.start(&absent.name).await?;
    let (whole, took) = stage.until_whole(since, |storage| noticed.look(storage, number)).await?;
    noticed.look(&whole, number);
    let again = held.read(stage.place()).await.context("after the repair")?;
    println!(
        "{}: {} bits of {} files ({} MiB) turned over, {} stopped\n  read meanwhile through the router: {through_router}\n  \
         read meanwhile at the damaged node: {through_victim}\n  whole {:.0} s after the stopped node was started: {noticed}\n  \
         missing 0, corrupt 0 on {} nodes; read again: {again}",
        victim.name,
        flipped.bits,
        flipped.files,
        flipped.of_bytes >> 20,
        absent.name,
        took.as_secs_f64(),
        said(&whole).count(),
    );
    noticed.enough(when)
}

/// Starts a node and waits until all but `without` are ready.
async fn start(stage: &Stage, node: &ListedProcess, without: &[&str]) -> anyhow::Result<()> {
    stage.cluster.start(&node.name).await?;
    let mut missing = Vec::new();
    let ready = clock::wait_until(RESTART_PATIENCE, async || match stage.cluster.missing_after(POLL).await {
        Ok(rows) => {
            missing = rows;
            missing.iter().all(|name| without.contains(&name.as_str()))
        }
        Err(_) => false,
    });
    anyhow::ensure!(ready.await, "not ready {RESTART_PATIENCE:?} after the start: {}", missing.join(", "));
    Ok(())
}

async fn index(stage: &mut Stage, options: &Corrupt, held: &Objects) -> anyhow::Result<()> {
    let since = Since { scrubbed: false, ..Since::now() };
    stage.until_whole(since, |_| {}).await.context("before the damage")?;
    let victim = cast(stage).await?.victim;
    let number = victim.node.context("the victim has no number")?;
    stage.cluster.stop(&victim.name).await?;
    let state = victim.data()?.join("index/state");
    let flipped = flip(&state, |_| true, options.bits, &mut stage.dice)?;
    stage.cluster.start(&victim.name).await?;
    let watched = watch(stage, &victim, held).await?;
    println!(
        "{}: {} bits of {} files ({} KiB) of its index's state turned over\n  {watched}",
        victim.name,
        flipped.bits,
        flipped.files,
        flipped.of_bytes >> 10
    );
    let meanwhile = held.read(stage.place()).await.context("with a damaged index")?;
    let begun = clock::now();
    stage.cluster.replace(&stage.cell, number, WHOLE_PATIENCE).await?;
    let took = clock::now() - begun;
    stage.until_whole(Since { scrubbed: false, ..Since::now() }, |_| {}).await?;
    let again = held.read(stage.place()).await.context("after the replacement")?;
    println!(
        "  read meanwhile through the router: {meanwhile}\n  replaced by one command in {:.0} s; read again: {again}",
        took.as_secs_f64()
    );
    Ok(())
}

/// What a node with a damaged index did.
#[derive(Debug, Default)]
struct Watched {
    /// Looks at it, and how often it was up.
    looks: u64,
    up: u64,
    right: u64,
    /// By what it was refused.
    refused: BTreeMap<String, u64>,
}

impl std::fmt::Display for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { looks, up, right, refused } = self;
        write!(
            f,
            "watched for {DAMAGED_WATCH:?}: up at {up} of {looks} looks; asked itself: {right} right answers, none wrong"
        )?;
        refused.iter().try_for_each(|(why, count)| write!(f, "; {count} times {why}"))
    }
}

/// Asks a node for every object, again and again, whatever state it is in.
async fn watch(stage: &Stage, node: &ListedProcess, held: &Objects) -> anyhow::Result<Watched> {
    let own = Arc::new(stage.target.at(node.address("s3")?).over(node.tls()?));
    let mut watched = Watched::default();
    let end = clock::now() + DAMAGED_WATCH;
    let mut session = Session::new(own, PayloadHash::Unsigned);
    let mut objects = held.held.iter().cycle();
    while clock::now() < end {
        for (key, length) in objects.by_ref().take(OBJECT_CLIENTS) {
            watched.ask(&mut session, &stage.bucket, key, *length).await?;
        }
        let rows = stage.nodes().await?;
        watched.looks += 1;
        watched.up += u64::from(rows.iter().any(|row| row.name == node.name && row.alive));
        tokio::time::sleep(POLL).await;
    }
    Ok(watched)
}

impl Watched {
    /// Reads one object. A refusal is fair; a wrong answer is not.
    async fn ask(&mut self, session: &mut Session, bucket: &str, key: &str, length: u64) -> anyhow::Result<()> {
        let read = session.get(bucket, key).await;
        let read = read.and_then(async |download| download.verify(Content::of(key, 1, length), 0).await).await;
        let why = match read {
            Outcome::Ok(Ok(_)) => {
                self.right += 1;
                return Ok(());
            }
            Outcome::Ok(Err(mismatch)) => anyhow::bail!("a node with a damaged index gave {key} wrongly: {mismatch}"),
            Outcome::Refused(refusal) if refusal.certain() => {
                anyhow::bail!("a node with a damaged index said of {key}, which is there: {refusal}")
            }
            Outcome::Refused(refusal) => format!("{} {}", refusal.status, refusal.code),
            Outcome::Unsent(_) => "not reached".into(),
            Outcome::Unknown(lost) => lost.to_string(),
        };
        *self.refused.entry(why).or_default() += 1;
        Ok(())
    }
}

impl Noticed {
    fn look(&mut self, storage: &CellStorage, victim: NodeId) {
        if let Some(NodeStorage { corrupt, scrub, repaired_copies, .. }) =
            said(storage).find(|node| node.node == victim)
        {
            self.corrupt = self.corrupt.max(*corrupt);
            self.scrubbed = self.scrubbed.max(scrub.damaged);
            self.repaired = self.repaired.max(*repaired_copies);
        }
    }

    /// Bits that turned over and that nobody noticed are not mended, whatever the figures say.
    fn enough(&self, when: When) -> anyhow::Result<()> {
        let found = match when {
            // Damage is met by whoever reads, or by scrub.
            When::Running => self.corrupt + self.scrubbed,
            // An extent whose footer is damaged is read anew at the start, and its damaged records are then not there at all.
            When::Stopped => self.corrupt + self.scrubbed + self.repaired,
        };
        anyhow::ensure!(found > 0 && self.repaired > 0, "the damage was not noticed: {self:?}");
        Ok(())
    }
}

impl std::fmt::Display for Noticed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { corrupt, scrubbed, repaired } = self;
        write!(f, "up to {corrupt} damaged chunks known at a time, {scrubbed} found by scrub, {repaired} copies made")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_that_nobody_noticed_is_a_failure() {
        let noticed = |corrupt, scrubbed, repaired| Noticed { corrupt, scrubbed, repaired };
        assert!(noticed(0, 0, 0).enough(When::Running).is_err());
        assert!(noticed(0, 0, 7).enough(When::Running).is_err());
        assert!(noticed(0, 3, 0).enough(When::Running).is_err(), "found and not mended");
        assert!(noticed(2, 0, 7).enough(When::Running).is_ok());
        assert!(noticed(0, 0, 7).enough(When::Stopped).is_ok());
    }
}

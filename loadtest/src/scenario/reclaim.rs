//! `reclaim`: most of what was written is deleted; the space must come back, what is left be untouched, and the counts of those
//! who freed and those who removed agree.

use super::{
    objects::{self, Objects},
    stage::{Since, Stage, said},
};
use crate::{
    clock,
    faults::{Ground, ListedProcess},
    limits::{LOOK, PROGRESS, SMALL_EXTENT_BYTES, SPACE_PATIENCE},
    machine,
    report::parse_size,
    settings::Service,
};
use anyhow::Context;
use bulkhead_model::{
    Blueprint, NodeId,
    api::{cell::NodeStorage, control_plane::CellStorage},
};
use clap::Args;
use std::{collections::BTreeMap, time::Duration};

const LENGTHS: std::ops::RangeInclusive<u64> = 4 << 10..=16 << 20;
const DELETED_PERCENT: u32 = 90;
/// What is deleted 90% of in full: this run is a part of it.
const WHOLE_SCALE: u64 = 50 << 30;
/// The share of an extent that is alive, below which it is compacted.
const COMPACTED_BELOW_PERCENT: u64 = 70;
/// What an open extent may hold of dead bytes before it is sealed.
const OPEN_EXTENT_DEAD_FRACTION: u64 = 8;
const MIB: u64 = 1 << 20;

#[derive(Debug, Args)]
pub struct Reclaim {
    #[command(flatten)]
    service: Service,
    /// Bytes of objects that are written; three times as much on disk
    #[arg(long, value_parser = parse_size, default_value = "2GiB")]
    size: u64,
    /// Seed of lengths and of what is deleted
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A node's files and figures at one moment.
#[derive(Debug, Clone)]
struct Look {
    chunks: u64,
    live: u64,
    dead: u64,
    /// Of its data directory.
    disk_bytes: u64,
    said: NodeStorage,
}

/// Runs the scenario.
///
/// # Errors
/// When space does not come back, an object is lost, or the counts do not agree.
pub async fn run(options: &Reclaim) -> anyhow::Result<()> {
    let ground = Ground { small: true, brisk: true, ..Ground::default() };
    let mut stage = Stage::open(&options.service, ground, "reclaim", options.seed, options.size * 5).await?;
    stage.play(async |stage| scene(stage, options).await).await
}

async fn scene(stage: &mut Stage, options: &Reclaim) -> anyhow::Result<()> {
    let blueprint = std::fs::read_to_string(stage.cluster.data().join("blueprints/dev.toml"))?;
    let blueprint = Blueprint::parse(&blueprint)?;
    let lengths = objects::lengths(LENGTHS, options.size, &mut stage.dice);
    let mut held = Objects::default();
    let written = held.write(stage.place(), "object", &lengths).await?;
    let scale = WHOLE_SCALE as f64 / options.size as f64;
    println!("written: {written}; this is 1/{scale:.0} of 50 GiB");
    stage.until_whole(Since { scrubbed: false, ..Since::now() }, |_| {}).await?;
    let before = look(stage).await?;
    let expected = chunks(&held, &blueprint);
    tell("before", &before);
    anyhow::ensure!(before.values().all(|node| node.chunks >= expected), "a node has fewer than {expected} chunks");

    let gone = held.some(DELETED_PERCENT, &mut stage.dice);
    let deleted = held.delete(stage.place(), &gone).await?;
    println!("deleted: {deleted}");
    let left = chunks(&held, &blueprint);
    let took = until_back(stage, left).await?;
    let after = look(stage).await?;
    tell("after", &after);
    println!("space is back {:.0} s after the deletion; {left} of {expected} chunks are left", took.as_secs_f64());
    for (number, node) in &after {
        agree(node, before.get(number).context("the nodes are still the same")?)
            .with_context(|| format!("node {number}"))?;
    }
    let read = held.read(stage.place()).await?;
    println!("reclaim passed: the rest is whole: {read}");
    Ok(())
}

/// Chunks of all objects, on each node of a cell of three.
fn chunks(held: &Objects, blueprint: &Blueprint) -> u64 {
    let sizes = &blueprint.sizes;
    let stored = held.held.values().filter(|length| **length > u64::from(sizes.inline_bytes_max));
    stored.map(|length| length.div_ceil(u64::from(sizes.chunk_bytes))).sum()
}

async fn look(stage: &Stage) -> anyhow::Result<BTreeMap<NodeId, Look>> {
    let storage = stage.cluster.show(&stage.cell).await?.storage;
    let rows = stage.nodes().await?;
    let one = |node: &NodeStorage| {
        let row = rows.iter().find(|row| row.node == Some(node.node)).context("a node that is not listed")?;
        let (live, dead) = node.live_and_dead();
        let disk_bytes = machine::disk_bytes(&ListedProcess::data(row)?);
        anyhow::Ok((node.node, Look { chunks: node.chunks, live, dead, disk_bytes, said: node.clone() }))
    };
    said(&storage).map(one).collect()
}

fn tell(when: &str, nodes: &BTreeMap<NodeId, Look>) {
    for (number, Look { chunks, live, dead, disk_bytes, said }) in nodes {
        let trash = &said.trash;
        println!(
            "  {when}, node {number}: du {} MiB; {chunks} chunks, live {} MiB, dead {} MiB; freed {} chunks ({} MiB); removed {} \
             extents ({} MiB): {} records dead, {} moved, {} rescued",
            disk_bytes / MIB,
            live / MIB,
            dead / MIB,
            said.freed_chunks,
            said.freed_bytes / MIB,
            trash.removed_extents,
            trash.removed_bytes / MIB,
            trash.dead,
            trash.moved,
            trash.rescued
        );
    }
}

/// Waits until every node holds just what is left, and compaction has nothing more to do.
async fn until_back(stage: &Stage, left: u64) -> anyhow::Result<Duration> {
    let begun = clock::now();
    let mut told = begun;
    loop {
        let not_yet = match stage.cluster.show(&stage.cell).await {
            Ok(shown) => match unsettled(&shown.storage, left) {
                None => return Ok(clock::now() - begun),
                Some(why) => why,
            },
            Err(error) => format!("{error:#}"),
        };
        let now = clock::now();
        anyhow::ensure!(now - begun < SPACE_PATIENCE, "the space is not back after {:?}: {not_yet}", now - begun);
        if now - told >= PROGRESS {
            println!("  after {:.0} s: {not_yet}", (now - begun).as_secs_f64());
            told = now;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Why there is still something to be freed, if there is.
fn unsettled(storage: &CellStorage, left: u64) -> Option<String> {
    if storage.nodes.iter().any(|node| node.storage.is_none()) {
        return Some("a node does not answer".into());
    }
    said(storage).find_map(|node| {
        if node.chunks != left {
            return Some(format!("node {} holds {} chunks, and {left} are needed", node.node, node.chunks));
        }
        if node.trash.extents > 0 {
            return Some(format!("node {} has {} extents in trash", node.node, node.trash.extents));
        }
        let busy = node.extents.iter().find(|extent| is_to_be_compacted(&extent.state, extent.live, extent.dead))?;
        Some(format!("extent {} of node {} has {} MiB to give back", busy.extent, node.node, busy.dead / MIB))
    })
}

fn is_to_be_compacted(state: &str, live: u64, dead: u64) -> bool {
    let mostly_dead = live * 100 < (live + dead) * COMPACTED_BELOW_PERCENT;
    mostly_dead && (state != "open" || dead >= SMALL_EXTENT_BYTES / OPEN_EXTENT_DEAD_FRACTION)
}

/// What the index called garbage is what the inspector of the trash saw die and what still lies dead in the extents, to the
/// byte; and the chunks that are gone are those.
fn agree(after: &Look, before: &Look) -> anyhow::Result<()> {
    let NodeStorage { trash, freed_chunks, freed_bytes, .. } = &after.said;
    anyhow::ensure!(trash.rescued == 0, "{} records in trash were needed after all", trash.rescued);
    let seen_dead = trash.dead_bytes + after.dead;
    anyhow::ensure!(
        *freed_bytes == seen_dead,
        "{freed_bytes} bytes were freed, but {} were removed as dead and {} lie dead in extents",
        trash.dead_bytes,
        after.dead
    );
    let freed = freed_chunks - before.said.freed_chunks;
    let went = before.chunks - after.chunks;
    anyhow::ensure!(freed == went, "{freed} chunks were freed since, and {went} are gone");
    let rest = freed_chunks.checked_sub(trash.dead);
    let rest =
        rest.with_context(|| format!("{} records were removed as dead, and {freed_chunks} freed", trash.dead))?;
    anyhow::ensure!((rest == 0) == (after.dead == 0), "{rest} dead records take {} bytes", after.dead);
    let disk = after.disk_bytes;
    let allowed = after.live * 100 / COMPACTED_BELOW_PERCENT + 3 * SMALL_EXTENT_BYTES;
    anyhow::ensure!(disk < allowed + before.disk_bytes / 10, "{} MiB are still taken on the disk", disk / MIB);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extent_is_settled_when_compaction_leaves_it_alone() {
        assert!(is_to_be_compacted("sealed", 69, 31));
        assert!(!is_to_be_compacted("sealed", 70, 30));
        assert!(!is_to_be_compacted("open", 0, SMALL_EXTENT_BYTES / 8 - 1));
        assert!(is_to_be_compacted("open", 0, SMALL_EXTENT_BYTES / 8));
    }
}

//! Disks are filled to their reserve: writes are told so, everything else goes on, and when most was deleted writes go on
//! without anybody's help.

use super::{Refusals, one, until_full};
use crate::{
    client::{Outcome, PayloadHash, Refusal, Session},
    clock,
    limits::{LOOK, REFUSALS_IN_A_ROW, SPACE_PATIENCE},
    scenario::{
        objects::{Objects, put},
        stage::{Stage, said},
    },
};
use anyhow::Context;
use bulkhead_model::api::control_plane::CellStorage;
use std::{collections::BTreeMap, time::Duration};

const MIB: u64 = 1 << 20;
/// They ride in the index, and must leave it its share of the reserve.
const INLINE_BYTES: u64 = 12 << 10;
const DELETED_PERCENT: u32 = 90;

fn says_full(refusal: &Refusal) -> bool {
    refusal.status == 503 && refusal.code == "SlowDown" && refusal.message.contains("full")
}

pub async fn scene(stage: &mut Stage) -> anyhow::Result<()> {
    let pids = pids(stage).await?;
    let (mut held, refusals) = until_full(stage.place(), "large", large, says_full).await?;
    let bytes: u64 = held.held.values().sum();
    println!("disk: {} objects ({} MiB) acknowledged, then refused:{refusals}", held.held.len(), bytes / MIB);
    let storage = stage.cluster.show(&stage.cell).await?.storage;
    println!("  {}", tell(&storage));
    anyhow::ensure!(said(&storage).any(|node| node.disk.full), "no node says that its disk is full");
    small_objects_stop_too(stage, &mut held).await?;

    let read = held.read(stage.place()).await.context("on full disks")?;
    println!("  read meanwhile: {read}");
    let gone = held.some(DELETED_PERCENT, &mut stage.dice);
    let deleted = held.delete(stage.place(), &gone).await.context("on full disks")?;
    println!("  deleted: {deleted}");
    let took = until_writes(stage, &mut held).await?;
    let storage = stage.cluster.show(&stage.cell).await?.storage;
    println!("  writes went on by themselves {:.0} s after the deletion\n  {}", took.as_secs_f64(), tell(&storage));
    let again = held.read(stage.place()).await.context("after the disks were full")?;
    anyhow::ensure!(pids == self::pids(stage).await?, "a node was restarted meanwhile");
    println!("fill passed: disks filled to their reserve; in the end {again}; no process was restarted");
    Ok(())
}

/// From 256 KiB to 4 MiB.
fn large(number: u64) -> u64 {
    MIB / 4 + number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (4 * MIB - MIB / 4)
}

/// Objects that ride in the index are refused before they take what it needs for itself.
async fn small_objects_stop_too(stage: &Stage, held: &mut Objects) -> anyhow::Result<()> {
    let place = stage.place();
    let mut session = Session::new(place.target.clone(), PayloadHash::Unsigned);
    let (mut taken, mut refusals) = (0_u64, Refusals::default());
    loop {
        let key = format!("small/{taken:06}");
        if !one(&mut session, place.bucket, (&key, INLINE_BYTES), says_full, &mut refusals).await? {
            break;
        }
        held.held.insert(key, INLINE_BYTES);
        taken += 1;
        if taken.is_multiple_of(1_000) {
            let storage = stage.cluster.show(&stage.cell).await?.storage;
            let all_below = said(&storage).all(|node| {
                node.disk.free_bytes.is_some_and(|free| free < node.disk.reserve_bytes - node.disk.reserve_bytes / 8)
            });
            anyhow::ensure!(!all_below, "{taken} small objects were taken out of the reserve: {}", tell(&storage));
        }
    }
    println!("  {taken} objects of {INLINE_BYTES} bytes more, then refused:{refusals}");
    Ok(())
}

/// Tries to write until several writes in a row are taken. Answers how long that took.
async fn until_writes(stage: &Stage, held: &mut Objects) -> anyhow::Result<Duration> {
    let begun = clock::now();
    let mut session = Session::new(stage.target.clone(), PayloadHash::Unsigned);
    let (mut in_a_row, mut number, mut first) = (0, 0, None);
    while in_a_row < REFUSALS_IN_A_ROW {
        let key = format!("after/{number:06}");
        number += 1;
        match put(&mut session, &stage.bucket, &key, MIB).await {
            Outcome::Ok(()) => {
                held.held.insert(key, MIB);
                first.get_or_insert_with(clock::now);
                in_a_row += 1;
            }
            Outcome::Refused(refusal) => {
                anyhow::ensure!(!refusal.certain(), "{key}: refused with {refusal}");
                in_a_row = 0;
            }
            Outcome::Unsent(_) | Outcome::Unknown(_) => in_a_row = 0,
        }
        if in_a_row == 0 {
            first = None;
            anyhow::ensure!(clock::now() - begun < SPACE_PATIENCE, "writes did not go on within {SPACE_PATIENCE:?}");
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(first.unwrap_or(begun) - begun)
}

async fn pids(stage: &Stage) -> anyhow::Result<BTreeMap<String, Option<u32>>> {
    Ok(stage.nodes().await?.into_iter().map(|row| (row.name, row.pid)).collect())
}

fn tell(storage: &CellStorage) -> String {
    let of = |node: &bulkhead_model::api::cell::NodeStorage| {
        let free = node.disk.free_bytes.map_or_else(|| "?".to_owned(), |free| (free / MIB).to_string());
        let full = if node.disk.full { "full" } else { "not full" };
        format!("node {}: {full}, {free} MiB free, reserve {} MiB", node.node, node.disk.reserve_bytes / MIB)
    };
    said(storage).map(of).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_must_say_that_the_disk_is_full() {
        let refusal = |message: &str| Refusal {
            status: 503,
            code: "SlowDown".into(),
            message: message.into(),
            retry_after: None,
            not_executed: false,
        };
        assert!(says_full(&refusal("The cell's disks are full.")));
        assert!(!says_full(&refusal("Please reduce your request rate.")));
    }

    #[test]
    fn lengths_are_those_of_chunks() {
        assert!((0..1_000).map(large).all(|length| (MIB / 4..4 * MIB).contains(&length)));
    }
}

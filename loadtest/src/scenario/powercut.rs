//! `powercut`: the power of nodes is cut under load; what they had not synced is gone or torn; every acknowledged object must
//! still be there.
//!
//! Each process has a volume of its own (see [`crate::powercut`]). One node, two, all nodes of the cell, or every process
//! of the fleet lose their power at one moment.

use super::rounds::{Arena, Options, Tally, Who};
use crate::{
    faults::Ground,
    powercut::{self, Losses},
};
use anyhow::Context;
use std::ops::RangeInclusive;

/// Cuts the power again and again.
///
/// # Errors
/// When anything acknowledged is lost, stale or damaged, or a node does not come back.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    powercut::works_here().context("power cuts need /dev/fuse and the right to mount")?;
    let (mut total, mut tally) = (Losses::default(), Tally::default());
    for (numbers, seed) in options.clusters() {
        let ground = Ground { power: Some(seed), small: true, ..Ground::default() };
        let mut arena = Arena::open(options, seed, ground, "powercut").await?;
        let played = rounds(&mut arena, numbers, &mut total).await;
        if played.is_err() {
            arena.explain();
            return played;
        }
        tally += arena.close().await?;
    }
    println!("powercut passed: {} rounds, seed {}\n{tally}\n  {}", options.rounds, options.seed, tell(&total));
    Ok(())
}

async fn rounds(arena: &mut Arena, numbers: RangeInclusive<u32>, total: &mut Losses) -> anyhow::Result<()> {
    for round in numbers {
        let who = Who::draw(&mut arena.dice);
        let names = arena.choose(who).await?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let what = format!("round {round}: power of {} cut", names.join(", "));
        let one = async {
            let moment = arena.work().await?;
            arena.cluster.kill(&names).await?;
            let power =
                arena.site().private().and_then(|private| private.power()).context("there is no power to cut")?;
            let losses = power.cut(&names).await?;
            let after = arena.recover(&names).await?;
            println!("{what} after {} ms: {}; {after}", moment.as_millis(), tell(&losses));
            anyhow::Ok(losses)
        };
        *total += one.await.with_context(|| what.clone())?;
    }
    Ok(())
}

fn tell(losses: &Losses) -> String {
    format!(
        "{} files not synced, {} of {} unsynced KiB and {} of {} unsynced names lost",
        losses.dirty_files,
        losses.lost_bytes >> 10,
        losses.unsynced_bytes >> 10,
        losses.lost_names,
        losses.unsynced_names
    )
}

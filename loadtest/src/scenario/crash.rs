//! `crash`: nodes are killed under load again and again, at random moments and at named points of their code; every key is
//! verified after each.

use super::rounds::{Arena, Options, Tally, Who};
use crate::{
    clock,
    faults::{Ground, KillError, Victim},
    limits::{ENTRIES_TO_LAG, FAIL_POINT_PATIENCE, RESTART_PATIENCE},
};
use anyhow::Context;
use rand::RngExt as _;
use std::{collections::BTreeMap, ops::RangeInclusive};

/// A point at which a node aborts.
#[derive(Debug, Clone, Copy)]
struct Point {
    /// As the servers call it; they refuse a name they do not know.
    name: &'static str,
    /// Up to this passing: where it is passed often, not always at the first.
    passing_max: u64,
    /// It is passed only by a node that was away for long enough to need a checkpoint.
    lagging: bool,
}

const POINTS: [Point; 10] = [
    Point::often("log-appended"),
    Point::often("log-synced"),
    Point::often("state-written"),
    Point::often("chunk-written"),
    Point::often("chunk-synced"),
    Point::once("checkpoint-made"),
    Point::once("log-purged"),
    Point::lagging("checkpoint-received"),
    Point::lagging("generation-linked"),
    Point::lagging("generation-switched"),
];
/// Every so many rounds a node dies at a point instead of at a random moment.
const POINT_EVERY: u32 = 3;

/// How often a point was reached in time, and how often not.
type Reached = BTreeMap<&'static str, (u32, u32)>;

impl Point {
    const fn often(name: &'static str) -> Self {
        Self { name, passing_max: 60, lagging: false }
    }

    const fn once(name: &'static str) -> Self {
        Self { name, passing_max: 1, lagging: false }
    }

    const fn lagging(name: &'static str) -> Self {
        Self { name, passing_max: 1, lagging: true }
    }
}

/// Kills again and again.
///
/// # Errors
/// When anything acknowledged is lost, stale or damaged, or a node does not come back.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let (mut reached, mut tally) = (Reached::new(), Tally::default());
    for (numbers, seed) in options.clusters() {
        let ground = Ground { small: true, ..Ground::default() };
        let mut arena = Arena::open(options, seed, ground, "crash").await?;
        let played = rounds(&mut arena, numbers, &mut reached).await;
        if played.is_err() {
            arena.explain();
            return played;
        }
        tally += arena.close().await?;
    }
    println!("crash passed: {} rounds, seed {}\n{tally}", options.rounds, options.seed);
    for (name, (in_time, not)) in reached {
        println!("  {name}: {in_time} times, and {not} times not reached");
    }
    Ok(())
}

async fn rounds(arena: &mut Arena, numbers: RangeInclusive<u32>, reached: &mut Reached) -> anyhow::Result<()> {
    for round in numbers {
        let done = if round % POINT_EVERY == 0 {
            let point = POINTS[(round / POINT_EVERY) as usize % POINTS.len()];
            at_point(arena, round, point, reached).await
        } else {
            at_random(arena, round).await
        };
        done.with_context(|| format!("round {round}"))?;
    }
    Ok(())
}

async fn at_random(arena: &mut Arena, round: u32) -> anyhow::Result<()> {
    let who = Who::draw(&mut arena.dice);
    let names = arena.choose(who).await?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let moment = arena.work().await?;
    arena.cluster.kill(&names).await?;
    let after = arena.recover(&names).await?;
    println!("round {round}: kill -9 {} after {} ms; {after}", names.join(", "), moment.as_millis());
    Ok(())
}

async fn at_point(arena: &mut Arena, round: u32, point: Point, reached: &mut Reached) -> anyhow::Result<()> {
    let names = arena.choose(Who::OneNode).await?;
    let name = names.first().context("a node was chosen")?;
    arena.work().await?;
    arena.cluster.kill(&[name]).await?;
    if point.lagging {
        arena.traffic.acks.mark(clock::now());
        let patience = FAIL_POINT_PATIENCE * 3;
        clock::wait_until(patience, async || arena.traffic.acks.since_mark() > ENTRIES_TO_LAG).await;
    }
    let passing = arena.dice.random_range(1..=point.passing_max);
    arena.cluster.start_to_fail(name, point.name, passing).await?;
    let died = died(arena, name).await?;
    let counts = reached.entry(point.name).or_default();
    if died {
        counts.0 += 1
    } else {
        counts.1 += 1
    }
    // From here on nobody starts it but this round, and without a point to fail at.
    arena.cluster.kill(&[name]).await?;
    let after = arena.recover(&[name]).await?;
    let how = if died { "aborted at" } else { "did not reach" };
    println!("round {round}: {name} {how} {} (passing {passing}); {after}", point.name);
    Ok(())
}

/// Waits for the node's death. `false` when it still lives.
async fn died(arena: &Arena, name: &str) -> anyhow::Result<bool> {
    let rows = arena.cluster.list().await?;
    let row = rows.iter().find(|row| row.name == name).with_context(|| format!("{name} is not listed"))?;
    let victim = match Victim::identify(row) {
        Ok(victim) => victim,
        Err(KillError::NotRunning(_)) => return Ok(true),
        Err(error @ (KillError::Another { .. } | KillError::Kill { .. } | KillError::Lives(_))) => {
            return Err(error.into());
        }
    };
    match victim.gone(FAIL_POINT_PATIENCE.min(RESTART_PATIENCE)).await {
        Ok(()) => Ok(true),
        Err(KillError::Lives(_)) => Ok(false),
        Err(error @ (KillError::Another { .. } | KillError::Kill { .. } | KillError::NotRunning(_))) => {
            Err(error.into())
        }
    }
}

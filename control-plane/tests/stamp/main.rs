//! `kill -9` of the control plane at every journalled step of a stamp: each resumes to the same end, with no orphan and no duplicate.
//!
//! The control plane is the real program, and really dies: a fail point aborts it before and after each step is written down. Nodes and
//! load test are this program under other names, so that a stamp takes seconds and a certificate none.

mod fleet;
mod load_test;
mod node;

use bulkhead_model::api::control_plane::CellState;
use fleet::{End, Fleet};

const STAMP: &str = "a_stamp_that_is_killed_at_any_step_comes_to_the_same_end";
const REMOVAL: &str = "a_removal_that_is_killed_at_any_step_leaves_nothing_behind";
/// Before a step is written down, and after.
const POINTS: [&str; 2] = ["cell-step-taken", "cell-step-recorded"];
/// A stamp has fewer steps than this; the walk ends when one comes to its end without meeting its point.
const STEPS_MAX: u64 = 20;
/// And at least so many: plan, provision, form, certify, begin the certification, judge it.
const STEPS_MIN: u64 = 6;

fn main() -> anyhow::Result<()> {
    let called = std::env::args().next().unwrap_or_default();
    let name = called.rsplit('/').next().unwrap_or_default().to_owned();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match name.as_str() {
        "bulkhead-cell" => runtime.block_on(node::run()),
        "bulkhead-loadtest" => load_test::run(),
        _ => runtime.block_on(walk()),
    }
}

/// Both points at once, each on a fleet of its own: they wait mostly for elections.
async fn walk() -> anyhow::Result<()> {
    let [before, after] = POINTS;
    let (before, after) = futures::future::try_join(walk_of(0, before), walk_of(1, after)).await?;
    let steps = before.min(after);
    anyhow::ensure!(steps >= STEPS_MIN, "only {steps} steps were met: the walk does not see all of them");
    println!("test {STAMP} ... ok ({steps} steps, before and after each is written down)");
    println!("test {REMOVAL} ... ok");
    Ok(())
}

/// Every passing of one point. Answers how many there are.
async fn walk_of(number: u16, point: &str) -> anyhow::Result<u64> {
    let mut fleet = Fleet::new(number)?;
    let mut steps = 0;
    while stamp(&mut fleet, &format!("w{steps}"), point, steps + 1).await? {
        steps += 1;
        anyhow::ensure!(steps < STEPS_MAX, "a stamp has no end");
    }
    remove(&mut fleet, "r", point).await?;
    Ok(steps)
}

/// Stamps a cell with a control plane that dies at the `count`th passing of a point, and has another go on. Says whether it died.
async fn stamp(fleet: &mut Fleet, cell: &str, point: &str, count: u64) -> anyhow::Result<bool> {
    fleet.start(Some(&format!("{point}:{count}"))).await?;
    fleet.request(cell).await?;
    let died = match fleet.end_or(cell, |state| *state == CellState::Active).await? {
        End::Died => {
            fleet.start(None).await?;
            fleet.wait(cell, |state| *state == CellState::Active).await?;
            true
        }
        End::There => false,
    };
    fleet.check_whole(cell)?;
    let (_, steps) = fleet.operation(cell).await?;
    anyhow::ensure!(steps.last().is_some_and(|step| step.starts_with("certified")), "{cell}: {steps:?}");
    if !died {
        fleet.kill()?;
        fleet.start(None).await?;
    }
    fleet.call(cell, "drain").await?;
    fleet.call(cell, "retire").await?;
    fleet.wait(cell, |state| *state == CellState::Retired).await?;
    fleet.check_nothing(cell)?;
    fleet.kill()?;
    println!("killed at {point}:{count}: {}", if died { "resumed to the same end" } else { "there is no such step" });
    Ok(died)
}

/// Fails a cell, and tears it down with a control plane that dies on the way.
async fn remove(fleet: &mut Fleet, cell: &str, point: &str) -> anyhow::Result<()> {
    fleet.refuse_certificates(true)?;
    fleet.start(None).await?;
    fleet.request(cell).await?;
    fleet.wait(cell, |state| matches!(state, CellState::Failed { .. })).await?;
    fleet.kill()?;
    fleet.start(Some(&format!("{point}:1"))).await?;
    fleet.call(cell, "teardown").await?;
    fleet.died().await?;
    fleet.start(None).await?;
    fleet.gone(cell).await?;
    fleet.check_nothing(cell)?;
    fleet.kill()?;
    fleet.refuse_certificates(false)
}

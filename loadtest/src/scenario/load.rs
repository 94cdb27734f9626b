//! `load`: a workload in an open loop, on accounts of its own.

use crate::{
    client::Target,
    clock,
    limits::ACCOUNTS_TRIED,
    load::{Account, Engine, Mode, Phase, View, Workload},
    settings::{Service, Site},
};
use anyhow::Context;
use bulkhead_model::CellId;
use clap::Args;
use std::{path::PathBuf, sync::Arc, time::Duration};

#[derive(Debug, Args)]
pub struct Load {
    #[command(flatten)]
    service: Service,
    /// A workload that comes along (mixed, small, large, neighbours, aggressor, cold), or a file that describes one
    #[arg(long, default_value = "mixed")]
    workload: String,
    /// Times the rates that the workload names
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Seconds that count
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Seconds before them that do not
    #[arg(long, default_value_t = 3)]
    ramp_up: u64,
    /// Chooses arrivals, keys and kinds
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// All accounts of the workload are the given one, with a bucket each: for services that have no control plane of ours
    #[arg(long)]
    one_account: bool,
    /// Also write the report here, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// How the run is shown on standard error
    #[arg(long, value_enum, default_value_t)]
    progress: Mode,
}

/// Runs the workload and prints its report.
///
/// # Errors
/// When the service cannot be reached, or an answer was wrong. Other failures are counted.
pub async fn run(load: &Load) -> anyhow::Result<()> {
    anyhow::ensure!(load.scale > 0.0 && load.scale.is_finite(), "--scale is above zero, not {}", load.scale);
    let workload = read(&load.workload)?;
    let site = load.service.open().await?;
    let accounts = accounts(&site, &workload, if load.one_account { Whose::Given } else { Whose::New }).await?;
    eprintln!("filling {} accounts", accounts.len());
    let engine = Engine::prepare(workload, accounts, load.seed).await?;
    let phase = |name: &str, seconds| Phase::new(name, Duration::from_secs(seconds), load.scale);
    let mut view = View::of(load.progress);
    let report = engine
        .run(&[phase("ramp-up", load.ramp_up), phase("hold", load.seconds)], |progress| view.tick(progress))
        .await?;
    view.end();
    println!("{}", report.text());
    if let Some(path) = &load.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    anyhow::ensure!(report.wrong.is_empty(), "the service gave answers that no correct store gives");
    Ok(())
}

/// A workload that comes along, or one of a file.
///
/// # Errors
/// When there is none, or it is not sound.
pub fn read(workload: &str) -> anyhow::Result<Workload> {
    if workload.ends_with(".toml") {
        let text = std::fs::read_to_string(workload).with_context(|| format!("reading {workload}"))?;
        return Ok(Workload::parse(&text)?);
    }
    Ok(Workload::known(workload)?)
}

/// Whose accounts a workload runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// All of them are the one that was given.
    Given,
    /// New ones, wherever they are placed.
    New,
    /// New ones, all in the cell of the first.
    OfOneCell,
}

/// Accounts for all groups, each with a bucket of its own.
///
/// # Errors
/// When an account or a bucket cannot be made.
pub async fn accounts(site: &Site, workload: &Workload, whose: Whose) -> anyhow::Result<Vec<Account>> {
    let stamp = clock::stamp();
    let mut accounts = Vec::new();
    let mut cell = None;
    for group in &workload.groups {
        for number in 0..group.accounts {
            let target = match whose {
                Whose::Given => site.target.clone(),
                Whose::New => site.new_account(&format!("load-{}", group.name)).await?.0,
                Whose::OfOneCell => account_in(site, &mut cell, &format!("load-{}", group.name)).await?,
            };
            let bucket = format!("load-{stamp}-{}-{number}", group.name);
            super::first_bucket(&target, &bucket).await?;
            accounts.push(Account { target, bucket });
        }
    }
    Ok(accounts)
}

/// A new account in `cell`, which the first of them decides on.
async fn account_in(site: &Site, cell: &mut Option<CellId>, name: &str) -> anyhow::Result<Arc<Target>> {
    for _ in 0..ACCOUNTS_TRIED {
        let (target, placed) = site.new_account(name).await?;
        if *cell.get_or_insert_with(|| placed.clone()) == placed {
            return Ok(target);
        }
    }
    anyhow::bail!("none of {ACCOUNTS_TRIED} accounts was placed in cell {cell:?}")
}

//! Settings on their way: the next cell gets a change once those that have it are seen to be well, and it is taken back when one is not.

use super::{Rhythm, watch::Watch};
use crate::{
    domain::{
        cell,
        rollout::{Look, Next, next},
    },
    store::{Directory, DirectoryError, command::Command, read, record::Cell},
};
use bulkhead_model::{CellId, Timestamp};
use bulkhead_service::Env;
use std::collections::HashMap;

/// Until the process stops.
pub async fn run(mut rhythm: Rhythm, directory: Directory, watch: Watch, env: Env) {
    while rhythm.next().await.is_some() {
        if let Err(error) = pass(&directory, &watch, env.clock.wall()).await {
            tracing::warn!(%error, "settings on their way could not be followed");
        }
    }
}

/// Takes the next step of every change that is on its way.
///
/// # Errors
/// When the directory cannot be read.
pub async fn pass(directory: &Directory, watch: &Watch, now: Timestamp) -> Result<(), DirectoryError> {
    // What this node has may be behind: then the step is refused.
    let view = directory.local_view();
    let settings = read::settings(&view)?;
    let under_way: Vec<_> =
        settings.into_iter().filter_map(|(name, record)| Some((name, record.version, record.rollout?))).collect();
    if under_way.is_empty() {
        return Ok(());
    }
    let cells: HashMap<CellId, Cell> = read::cells(&view)?.into_iter().collect();
    for (setting, seen, rollout) in under_way {
        let next = next(&rollout, now, |id| look(cells.get(id), id, watch));
        let Some(command) = command(&setting, seen, next) else { continue };
        tracing::info!(?command, "a setting goes on");
        if let Err(error) = directory.propose(command).await {
            tracing::warn!(setting, %error, "that step was not taken");
        }
    }
    Ok(())
}

/// How a cell is seen.
pub fn look(record: Option<&Cell>, id: &CellId, watch: &Watch) -> Look {
    match record {
        Some(record) if cell::runs(&record.state) => watch.look_at(id),
        Some(_) | None => Look::Gone,
    }
}

fn command(setting: &str, seen: u64, next: Next) -> Option<Command> {
    let setting = setting.to_owned();
    match next {
        Next::Bake | Next::Unseen { .. } => None,
        Next::Step { ready, .. } => Some(Command::StepSetting { setting, seen, ready: Some(ready) }),
        Next::Skip { .. } => Some(Command::StepSetting { setting, seen, ready: None }),
        Next::Finish => Some(Command::FinishSetting { setting, seen }),
        Next::Back { why } => Some(Command::RollBackSetting { setting, expected: Some(seen), why: Some(why) }),
    }
}

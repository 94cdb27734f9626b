//! `/v1/settings`: what is said of each setting, changing it, and what routers and nodes are handed.
//!
//! Values are checked here, against the table of this build: replicas that apply a change may be of another.

use super::{
    Api,
    error::Failure,
    extract::{self, Body},
};
use crate::{
    domain::rollout::{self, next},
    limits::{BAKE_SECONDS, BAKE_SECONDS_MAX, BAKE_SECONDS_MIN},
    reconcile::settings::look,
    store::{
        command::{self, Command},
        read,
        record::setting::SettingRecord,
    },
};
use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
};
use bulkhead_model::{
    CellId,
    api::control_plane::{RollBackSetting, SetSetting, Setting, SettingsFor, Target},
    settings::{self, Held, KNOWN, Reader, Rule},
};
use bulkhead_replica::View;
use serde::Deserialize;

pub async fn list(State(api): State<Api>) -> Result<Json<Vec<Setting>>, Failure> {
    let view = api.directory.view().await?;
    KNOWN.into_iter().map(|setting| one(&api, &view, setting)).collect::<Result<_, _>>().map(Json)
}

pub async fn show(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Setting>, Failure> {
    let setting = known(&name)?;
    one(&api, &api.directory.view().await?, setting).map(Json)
}

pub async fn set(
    State(api): State<Api>,
    Path(name): Path<String>,
    Body(wanted): Body<SetSetting>,
) -> Result<Json<Setting>, Failure> {
    let setting = known(&name)?;
    let SetSetting { value, shares, target, expected_version, bake_seconds } = wanted;
    let to = match value {
        Some(value) => Some(Held { value, shares }),
        None if shares.is_empty() => None,
        None => return Err(Failure::invalid(format!("shares of {name} need a value for everyone else"))),
    };
    if let Some(held) = &to {
        setting.check(held).map_err(Failure::invalid)?;
    }
    if matches!(&target, Target::Wave(cells) if cells.is_empty()) {
        return Err(Failure::invalid("a wave without cells: name at least one"));
    }
    let bake_seconds = bake_seconds.unwrap_or(BAKE_SECONDS);
    if bake_seconds != 0 && !(BAKE_SECONDS_MIN..=BAKE_SECONDS_MAX).contains(&bake_seconds) {
        return Err(Failure::invalid(format!(
            "bake_seconds is {bake_seconds}, but must be {BAKE_SECONDS_MIN} to {BAKE_SECONDS_MAX}, or 0 to change all at once"
        )));
    }
    if setting.critical && expected_version.is_none() {
        let version = read::setting(&api.directory.view().await?, &name)?.unwrap_or_default().version;
        return Err(Failure::refused(format!(
            "{name} is critical: say in expected_version which version this was decided on; it is at version {version}"
        )));
    }
    let change = command::SetSetting { setting: name, target, to, expected: expected_version, bake_seconds };
    api.directory.propose(Command::SetSetting(change)).await?;
    done(&api, setting).await
}

pub async fn roll_back(
    State(api): State<Api>,
    Path(name): Path<String>,
    Body(RollBackSetting { expected_version: expected }): Body<RollBackSetting>,
) -> Result<Json<Setting>, Failure> {
    let setting = known(&name)?;
    api.directory.propose(Command::RollBackSetting { setting: name, expected, why: None }).await?;
    done(&api, setting).await
}

/// Whoever reconciles need not wait for its time.
async fn done(api: &Api, setting: &settings::Setting) -> Result<Json<Setting>, Failure> {
    api.wake.notify_waiters();
    one(api, &api.directory.view().await?, setting).map(Json)
}

fn known(name: &str) -> Result<&'static settings::Setting, Failure> {
    settings::known(name).ok_or_else(|| {
        let names: Vec<&str> = KNOWN.into_iter().map(|setting| setting.name).collect();
        Failure::not_found(format!("there is no setting {name:?}; there are {}", names.join(", ")))
    })
}

fn one(api: &Api, view: &View, setting: &settings::Setting) -> Result<Setting, Failure> {
    let record = read::setting(view, setting.name)?.unwrap_or_default();
    let SettingRecord { version, said, rollout, history, note } = record;
    let next = match &rollout {
        None => "nothing".to_owned(),
        Some(rollout) => {
            let cells: std::collections::HashMap<CellId, _> = read::cells(view)?.into_iter().collect();
            next(rollout, api.env.clock.wall(), |id| look(cells.get(id), id, &api.watch)).to_string()
        }
    };
    Ok(Setting {
        name: setting.name.to_owned(),
        about: setting.about.to_owned(),
        allowed: setting.kind.to_string(),
        default: setting.kind.default(),
        critical: setting.critical,
        version,
        said,
        rollout,
        history,
        note,
        next,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    known: u64,
    cell: Option<String>,
}

/// As this node of the control plane has it, possibly behind: whoever asks refuses what is older than what it has.
pub async fn for_machines(
    State(api): State<Api>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<SettingsFor>, Failure> {
    let Query(Asked { known, cell }) = query.map_err(Failure::invalid)?;
    let cell: Option<CellId> = cell.as_deref().map(extract::id).transpose()?;
    let view = api.directory.local_view();
    let version = read::settings_version(&view)?.0;
    if version == known {
        return Ok(Json(SettingsFor { version, rules: None }));
    }
    let reader = if cell.is_some() { Reader::Cells } else { Reader::Routers };
    let is_read = |name: &str| settings::known(name).is_some_and(|setting| setting.reader == reader);
    let records = read::settings(&view)?.into_iter().filter(|(name, _)| is_read(name));
    let rule = |record: &SettingRecord| match &cell {
        Some(cell) => Rule { fleet: rollout::of_cell(&record.said, record.rollout.as_ref(), cell), ..Rule::default() },
        None => rollout::of_fleet(&record.said, record.rollout.as_ref()),
    };
    let rules = records.map(|(name, record)| (name, rule(&record))).collect();
    Ok(Json(SettingsFor { version, rules: Some(rules) }))
}

//! Settings of routers and cells. Whether a value may be is checked before it is proposed: replicas of different builds know different
//! settings, and must come to the same.

use super::change_set::ChangeSet;
use crate::{
    domain::{cell, rollout},
    limits::{SETTING_HISTORY_KEPT, SETTING_TARGETS_MAX},
    store::{
        command::{Done, Outcome, Refusal, SetSetting},
        read,
        record::{Cell, setting::SettingRecord},
    },
};
use bulkhead_model::{
    CellId,
    api::control_plane::{Reached, Rollout, Target, Was},
    settings::Held,
};
use bulkhead_replica::StoreError;

/// Begins a change, or with no time to bake makes it at once.
pub fn set(set: &mut ChangeSet<'_>, change: SetSetting) -> Result<Outcome, StoreError> {
    let SetSetting { setting, target, to, expected, bake_seconds } = change;
    let mut record = read::setting(set.view, &setting)?.unwrap_or_default();
    if let Some(refusal) = stale(&setting, &record, expected) {
        return Ok(Err(refusal));
    }
    if let Some(Rollout { reached, left, .. }) = &record.rollout {
        let (reached, cells) = (reached.len() as u64, (reached.len() + left.len()) as u64);
        return Ok(Err(Refusal::SettingUnderWay { setting, reached, cells }));
    }
    let targets = rollout::said_after(record.said.clone(), &target, to.as_ref());
    let targets = (targets.waves.len() + targets.cells.len()) as u64;
    if targets > SETTING_TARGETS_MAX {
        return Ok(Err(Refusal::TooManyTargets { targets, max: SETTING_TARGETS_MAX }));
    }
    let left = match cells_of(set, &target, to.is_some())? {
        Ok(left) => left,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let (since, by) = (set.time(), set.who());
    if bake_seconds == 0 {
        record.note = format!("changed at once by {by}");
        settle(set, &mut record, &target, to.as_ref(), by);
    } else {
        record.note = format!("begun by {by}");
        record.rollout = Some(Rollout { target, to, reached: Vec::new(), left, bake_seconds, since, by });
    }
    put(set, &setting, record)
}

/// The cells that a change goes through, in order. Those that do not run have nothing that could read it.
fn cells_of(
    set: &ChangeSet<'_>,
    target: &Target,
    must_exist: bool,
) -> Result<Result<Vec<CellId>, Refusal>, StoreError> {
    let runs = |record: &Cell| cell::runs(&record.state) && !cell::is_being_stamped(&record.state);
    let named = match target {
        Target::Fleet => {
            let all = read::cells(set.view)?.into_iter();
            return Ok(Ok(all.filter(|(_, record)| runs(record)).map(|(id, _)| id).collect()));
        }
        Target::Wave(wave) => wave.as_slice(),
        Target::Cell(cell) => std::slice::from_ref(cell),
    };
    let mut cells = Vec::new();
    for id in named {
        match read::cell(set.view, id)? {
            None if must_exist => return Ok(Err(Refusal::NoSuchCell(id.clone()))),
            Some(record) if runs(&record) && !cells.contains(id) => cells.push(id.clone()),
            // What was said of a cell that is forgotten can still be taken back.
            None | Some(_) => {}
        }
    }
    Ok(Ok(cells))
}

/// The next cell has the change, or is passed over when nothing is known of its nodes because it is gone.
pub fn step(set: &mut ChangeSet<'_>, setting: String, seen: u64, ready: Option<u64>) -> Result<Outcome, StoreError> {
    let mut record = match seen_at(set, &setting, seen)? {
        Ok(record) => record,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some(rollout) = record.rollout.as_mut().filter(|rollout| !rollout.left.is_empty()) else {
        return Ok(Err(Refusal::NoRollout(setting)));
    };
    let cell = rollout.left.remove(0);
    if let Some(ready) = ready {
        record.note = format!("cell {cell} has it");
        rollout.reached.push(Reached { cell, ready });
        rollout.since = set.time();
    }
    put(set, &setting, record)
}

/// Every cell has the change: it is said of its target from now on.
pub fn finish(set: &mut ChangeSet<'_>, setting: String, seen: u64) -> Result<Outcome, StoreError> {
    let mut record = match seen_at(set, &setting, seen)? {
        Ok(record) => record,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some(Rollout { target, to, reached, by, .. }) = record.rollout.take_if(|rollout| rollout.left.is_empty())
    else {
        return Ok(Err(Refusal::NoRollout(setting)));
    };
    record.note = format!("changed by {by}, {} cells one by one", reached.len());
    settle(set, &mut record, &target, to.as_ref(), by);
    put(set, &setting, record)
}

/// Takes back what is on its way; when nothing is, the last change.
pub fn roll_back(
    set: &mut ChangeSet<'_>,
    setting: String,
    expected: Option<u64>,
    why: Option<String>,
) -> Result<Outcome, StoreError> {
    let mut record = read::setting(set.view, &setting)?.unwrap_or_default();
    if let Some(refusal) = stale(&setting, &record, expected) {
        return Ok(Err(refusal));
    }
    if record.rollout.take().is_none() {
        let Some(was) = record.history.pop() else { return Ok(Err(Refusal::NothingToRollBack(setting))) };
        record.said = was.said;
    }
    let why = why.map_or_else(|| format!("by {}", set.who()), |why| format!("by itself: {why}"));
    record.note = format!("rolled back {why}");
    put(set, &setting, record)
}

fn settle(set: &ChangeSet<'_>, record: &mut SettingRecord, target: &Target, to: Option<&Held>, by: String) {
    let after = rollout::said_after(record.said.clone(), target, to);
    let said = std::mem::replace(&mut record.said, after);
    record.history.push(Was { said, until: set.time(), by });
    let forgotten = record.history.len().saturating_sub(SETTING_HISTORY_KEPT);
    record.history.drain(..forgotten);
}

fn put(set: &mut ChangeSet<'_>, setting: &str, mut record: SettingRecord) -> Result<Outcome, StoreError> {
    record.version = set.next_settings_version()?;
    set.put_setting(setting, &record)?;
    Ok(Ok(Done::Setting { version: record.version }))
}

/// A change that was decided on another version than there is.
fn stale(setting: &str, record: &SettingRecord, expected: Option<u64>) -> Option<Refusal> {
    let (expected, version) = (expected?, record.version);
    (expected != version).then(|| Refusal::SettingStale { setting: setting.to_owned(), expected, version })
}

fn seen_at(set: &ChangeSet<'_>, setting: &str, seen: u64) -> Result<Result<SettingRecord, Refusal>, StoreError> {
    let record = read::setting(set.view, setting)?.unwrap_or_default();
    Ok(stale(setting, &record, Some(seen)).map_or(Ok(record), Err))
}

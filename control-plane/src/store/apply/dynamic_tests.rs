//! Settings on a directory in memory: versions, stages, and ways back.

use super::tests::{Fleet, cell};
use crate::{
    limits::{SETTING_HISTORY_KEPT, SETTING_TARGETS_MAX},
    store::{
        command::{Command, Done, Outcome, Refusal, SetSetting},
        read,
        record::setting::SettingRecord,
    },
};
use bulkhead_model::{
    CellId,
    api::control_plane::Target,
    settings::{Held, Value},
};

const NAME: &str = "router.retry-percent";

fn fleet(cells: &[&str]) -> Fleet {
    Fleet { who: Some("ci".into()), ..Fleet::with_cells(cells, 10) }
}

fn set(number: u64, target: Target, expected: Option<u64>, bake_seconds: u64) -> Command {
    let to = Some(Held::everyone(Value::Number(number)));
    Command::SetSetting(SetSetting { setting: NAME.into(), target, to, expected, bake_seconds })
}

fn back(expected: Option<u64>) -> Command {
    Command::RollBackSetting { setting: NAME.into(), expected, why: None }
}

fn step(seen: u64) -> Command {
    Command::StepSetting { setting: NAME.into(), seen, ready: Some(3) }
}

fn record(fleet: &Fleet) -> SettingRecord {
    read::setting(&fleet.store, NAME).expect("readable").unwrap_or_default()
}

fn value(fleet: &Fleet) -> Option<Value> {
    record(fleet).said.fleet.map(|held| held.value)
}

fn left(fleet: &Fleet) -> Vec<CellId> {
    record(fleet).rollout.map(|rollout| rollout.left).unwrap_or_default()
}

fn stale(expected: u64, version: u64) -> Outcome {
    Err(Refusal::SettingStale { setting: NAME.into(), expected, version })
}

#[test]
fn a_change_that_was_decided_on_a_stale_version_is_refused_with_the_version_there_is() {
    let mut fleet = fleet(&["c1"]);
    assert_eq!(fleet.apply(set(1, Target::Fleet, Some(0), 0)), Ok(Done::Setting { version: 1 }));
    assert_eq!(fleet.apply(set(2, Target::Fleet, Some(0), 0)), stale(0, 1));
    let another =
        SetSetting { setting: "other".into(), target: Target::Fleet, to: None, expected: Some(0), bake_seconds: 0 };
    assert_eq!(fleet.apply(Command::SetSetting(another)), Ok(Done::Setting { version: 2 }));
    let changed = fleet.apply(set(3, Target::Fleet, Some(1), 0));
    assert_eq!(changed, Ok(Done::Setting { version: 3 }), "another setting's change makes nothing stale");
    assert_eq!(fleet.apply(back(Some(1))), stale(1, 3));
    assert_eq!(value(&fleet), Some(Value::Number(3)));
}

#[test]
fn a_change_goes_cell_by_cell_each_step_counts_and_only_its_end_is_said_of_the_target() {
    let mut fleet = fleet(&["c2", "c1"]);
    fleet.ok(set(1, Target::Fleet, None, 60));
    assert_eq!(left(&fleet), [cell("c1"), cell("c2")]);
    let under_way = Refusal::SettingUnderWay { setting: NAME.into(), reached: 0, cells: 2 };
    assert_eq!(fleet.apply(set(2, Target::Fleet, None, 60)), Err(under_way));
    assert_eq!(fleet.apply(step(1)), Ok(Done::Setting { version: 2 }));
    assert_eq!(fleet.apply(step(1)), stale(1, 2), "a step that was taken is not taken again");
    let finish = |seen| Command::FinishSetting { setting: NAME.into(), seen };
    assert_eq!(fleet.apply(finish(2)), Err(Refusal::NoRollout(NAME.into())), "c2 does not have it");
    fleet.ok(step(2));
    assert_eq!(value(&fleet), None);
    fleet.ok(finish(3));
    assert_eq!((value(&fleet), record(&fleet).rollout, record(&fleet).version), (Some(Value::Number(1)), None, 4));
    let entries = read::audit(&fleet.store, 0, 100).expect("readable");
    let made: Vec<_> = entries.iter().filter(|(_, entry)| entry.target == format!("setting {NAME}")).collect();
    assert_eq!(
        made.iter().map(|(_, entry)| entry.what.as_str()).collect::<Vec<_>>(),
        ["SetSetting", "StepSetting", "StepSetting", "FinishSetting"]
    );
}

#[test]
fn one_command_takes_back_what_is_on_its_way_and_then_change_after_change() {
    let mut fleet = fleet(&["c1"]);
    for number in 1..=SETTING_HISTORY_KEPT as u64 + 2 {
        fleet.ok(set(number, Target::Fleet, None, 0));
    }
    fleet.ok(set(99, Target::Fleet, None, 60));
    let begun = record(&fleet).version;
    fleet.ok(step(begun));
    fleet.ok(back(None));
    let last = SETTING_HISTORY_KEPT as u64 + 2;
    assert_eq!((value(&fleet), record(&fleet).rollout), (Some(Value::Number(last)), None));
    assert_eq!(record(&fleet).note, "rolled back by ci");
    for number in (2..last).rev() {
        fleet.ok(back(None));
        assert_eq!(value(&fleet), Some(Value::Number(number)));
    }
    assert_eq!(fleet.apply(back(None)), Err(Refusal::NothingToRollBack(NAME.into())), "only so many are kept");
}

#[test]
fn a_wave_goes_in_its_own_order_and_a_cell_that_does_not_exist_is_refused() {
    let mut fleet = fleet(&["c1", "c2", "c3"]);
    let wave = |names: &[&str]| Target::Wave(names.iter().map(|name| cell(name)).collect());
    assert_eq!(fleet.apply(set(1, wave(&["c2", "c9"]), None, 60)), Err(Refusal::NoSuchCell(cell("c9"))));
    fleet.ok(set(1, wave(&["c3", "c1", "c3"]), None, 60));
    assert_eq!(left(&fleet), [cell("c3"), cell("c1")]);
    fleet.ok(back(None));
    fleet.ok(set(1, Target::Cell(cell("c2")), None, 60));
    assert_eq!(left(&fleet), [cell("c2")]);
    fleet.ok(back(None));
    let many: Vec<String> = (0..=SETTING_TARGETS_MAX).map(|n| format!("x{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = fleet.apply(set(1, wave(&many), None, 60));
    assert!(matches!(refused, Err(Refusal::TooManyTargets { max: SETTING_TARGETS_MAX, .. })), "{refused:?}");
    let take_back = SetSetting {
        setting: NAME.into(),
        target: Target::Cell(cell("c9")),
        to: None,
        expected: None,
        bake_seconds: 0,
    };
    fleet.ok(Command::SetSetting(take_back));
}

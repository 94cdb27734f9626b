//! The bytes of what version 3 brought.

use super::{Lines, cell};
use crate::store::{
    command::{Command, Done, Envelope, Outcome, Refusal, SetSetting},
    record::setting::{SettingRecord, SettingsVersion},
};
use bulkhead_model::{
    Timestamp,
    api::control_plane::{Reached, Rollout, Said, Target, Was},
    settings::{Held, Share, Value},
};
use std::collections::BTreeMap;

const PINNED: &str = include_str!("golden/v3.txt");

fn held() -> Held {
    Held { value: Value::Number(300), shares: vec![Share { percent: 10, value: Value::Switch(true) }] }
}

fn record() -> SettingRecord {
    let word = Held::everyone(Value::Choice("off".into()));
    let cells = BTreeMap::from([(cell(), word)]);
    let said = Said { fleet: Some(held()), waves: cells.clone(), cells };
    let rollout = Rollout {
        target: Target::Wave(vec![cell()]),
        to: None,
        reached: vec![Reached { cell: cell(), ready: 3 }],
        left: vec![cell()],
        bake_seconds: 60,
        since: Timestamp(300),
        by: "ci".into(),
    };
    let history = vec![Was { said: said.clone(), until: Timestamp(301), by: "ci".into() }];
    SettingRecord { version: 7, said, rollout: Some(rollout), history, note: "n".into() }
}

fn commands() -> Vec<(&'static str, Command)> {
    let setting = || "s".to_owned();
    let set = |target, to| {
        Command::SetSetting(SetSetting { setting: setting(), target, to, expected: Some(7), bake_seconds: 60 })
    };
    vec![
        ("SetSetting.Fleet", set(Target::Fleet, Some(held()))),
        ("SetSetting.Wave", set(Target::Wave(vec![cell()]), None)),
        ("SetSetting.Cell", set(Target::Cell(cell()), None)),
        ("StepSetting", Command::StepSetting { setting: setting(), seen: 7, ready: Some(3) }),
        ("FinishSetting", Command::FinishSetting { setting: setting(), seen: 7 }),
        ("RollBackSetting", Command::RollBackSetting { setting: setting(), expected: None, why: Some("w".into()) }),
    ]
}

fn lines() -> Vec<String> {
    let mut lines = Lines::default();
    lines.add("Setting", &record());
    lines.add("SettingsVersion", &SettingsVersion(7));
    for (name, command) in commands() {
        let who = Some("ci".to_owned());
        lines.add(&format!("Command.{name}"), &Envelope { time: Timestamp(300), command, who });
    }
    lines.add("Outcome.Setting", &Outcome::Ok(Done::Setting { version: 7 }));
    let setting = || "s".to_owned();
    for (name, refusal) in [
        ("SettingStale", Refusal::SettingStale { setting: setting(), expected: 6, version: 7 }),
        ("SettingUnderWay", Refusal::SettingUnderWay { setting: setting(), reached: 1, cells: 2 }),
        ("NoRollout", Refusal::NoRollout(setting())),
        ("NothingToRollBack", Refusal::NothingToRollBack(setting())),
        ("TooManyTargets", Refusal::TooManyTargets { targets: 2, max: 2 }),
    ] {
        lines.add(&format!("Outcome.{name}"), &Outcome::Err(refusal));
    }
    lines.0
}

#[test]
fn everything_that_version_3_brought_has_the_bytes_it_was_released_with() {
    let (lines, pinned) = (lines(), PINNED.lines().collect::<Vec<_>>());
    assert!(lines.iter().all(|line| line.contains(" 03")), "it is written in version 3");
    assert_eq!(lines, pinned, "now:\n{}\n", lines.join("\n"));
}

//! `bulkhead setting`: settings of routers and cells that change while they run.

use super::{
    CliError, Connection, Output,
    output::{facts, table, time},
};
use crate::limits::BAKE_SECONDS;
use bulkhead_model::{
    CellId,
    api::control_plane::{RollBackSetting, SetSetting, Setting, Target},
    settings::{Held, Share, Value},
};
use clap::{Args, Subcommand};
use std::str::FromStr;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List all settings, what is said of them, and what is being done.
    #[command(after_help = "Example: bulkhead setting list")]
    List,
    /// Show one setting: what is allowed, what is said of which cells, how far a change is, and what was before.
    #[command(after_help = "Example: bulkhead setting show router.second-tries")]
    Show { setting: String },
    /// Change a setting, cell by cell. It goes on whether or not anybody watches, and goes back by itself when a cell is less well.
    #[command(
        after_help = "Example: bulkhead setting set router.second-tries off --share 10=reads --share 10=all --wave c1,c2"
    )]
    Set(Box<Set>),
    /// Take back what is on its way, or else the last change, everywhere at once.
    #[command(after_help = "Example: bulkhead setting rollback router.second-tries")]
    Rollback {
        setting: String,
        /// Refuse when the setting is at another version.
        #[arg(long, value_name = "VERSION")]
        expected_version: Option<u64>,
    },
}

#[derive(Debug, Args)]
pub struct Set {
    setting: String,
    /// Or `default`: what was said for the target is taken back.
    value: String,
    /// A percentage of the accounts that gets another value; may be repeated.
    #[arg(long = "share", value_name = "PERCENT=VALUE")]
    shares: Vec<GivenShare>,
    /// For this cell alone. It comes before its wave, and that before the fleet.
    #[arg(long, conflicts_with = "wave")]
    cell: Option<CellId>,
    /// For these cells, in this order.
    #[arg(long, value_delimiter = ',', value_name = "CELL,...")]
    wave: Vec<CellId>,
    /// The version that the change was decided on, as `show` says it. A critical setting demands it.
    #[arg(long, value_name = "VERSION")]
    expected_version: Option<u64>,
    /// How long each cell is watched before the next has its turn; 0 changes all at once.
    #[arg(long, default_value_t = BAKE_SECONDS)]
    bake_seconds: u64,
}

/// `10=reads`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct GivenShare(Share);

impl FromStr for GivenShare {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('=').and_then(|(percent, value)| Some((percent.parse().ok()?, value)));
        let (percent, value) = parsed.ok_or_else(|| format!("{text:?} is no share: a percentage, =, and a value"))?;
        Ok(Self(Share { percent, value: value.into() }))
    }
}

impl Command {
    pub async fn run(self, api: &Connection) -> Result<Output, CliError> {
        match self {
            Self::List => {
                let all: Vec<Setting> = api.get("/v1/settings").await?;
                let rows: Vec<_> = all.iter().map(row).collect();
                let headings = ["setting", "fleet", "elsewhere", "version", "critical", "next"];
                Ok(Output::new(table(headings, &rows, "There are no settings."), &all))
            }
            Self::Show { setting } => {
                let one: Setting = api.get(&format!("/v1/settings/{setting}")).await?;
                Ok(Output::new(text(&one), &one))
            }
            Self::Set(set) => {
                let path = format!("/v1/settings/{}", set.setting);
                let one: Setting = api.put(&path, &set.wanted()).await?;
                Ok(Output::new(text(&one), &one))
            }
            Self::Rollback { setting, expected_version } => {
                let path = format!("/v1/settings/{setting}/rollback");
                let one: Setting = api.post(&path, &RollBackSetting { expected_version }).await?;
                Ok(Output::new(text(&one), &one))
            }
        }
    }
}

impl Set {
    fn wanted(self) -> SetSetting {
        let target = match self.cell {
            Some(cell) => Target::Cell(cell),
            None if self.wave.is_empty() => Target::Fleet,
            None => Target::Wave(self.wave),
        };
        SetSetting {
            value: Some(self.value).filter(|value| value != "default").map(|value| value.as_str().into()),
            shares: self.shares.into_iter().map(|GivenShare(share)| share).collect(),
            target,
            expected_version: self.expected_version,
            bake_seconds: Some(self.bake_seconds),
        }
    }
}

fn row(one: &Setting) -> [String; 6] {
    let elsewhere = one.said.waves.len() + one.said.cells.len();
    [
        one.name.clone(),
        held(one.said.fleet.as_ref(), &one.default),
        if elsewhere == 0 { "-".into() } else { format!("{elsewhere} cells") },
        one.version.to_string(),
        if one.critical { "yes" } else { "-" }.into(),
        one.next.clone(),
    ]
}

/// `off, 10% reads`.
fn held(held: Option<&Held>, default: &Value) -> String {
    let Some(Held { value, shares }) = held else { return format!("{default} (default)") };
    let shares = shares.iter().map(|share| format!(", {}% {}", share.percent, share.value));
    std::iter::once(value.to_string()).chain(shares).collect()
}

fn text(one: &Setting) -> String {
    let shown = |of: Option<&Held>| held(of, &one.default);
    let mut all = vec![
        ("setting", one.name.clone()),
        ("about", one.about.clone()),
        ("allowed", one.allowed.clone()),
        ("critical", if one.critical { "yes: a change says --expected-version" } else { "no" }.into()),
        ("version", one.version.to_string()),
        ("fleet", shown(one.said.fleet.as_ref())),
    ];
    all.extend(one.said.waves.iter().map(|(cell, held)| ("in a wave", format!("{cell}: {}", shown(Some(held))))));
    all.extend(one.said.cells.iter().map(|(cell, held)| ("cell", format!("{cell}: {}", shown(Some(held))))));
    if let Some(rollout) = &one.rollout {
        let to = shown(rollout.to.as_ref());
        let (reached, cells) = (rollout.reached.len(), rollout.reached.len() + rollout.left.len());
        all.push(("on its way", format!("{to}, {reached} of {cells} cells, by {}", rollout.by)));
    }
    all.push(("next", one.next.clone()));
    if !one.note.is_empty() {
        all.push(("note", one.note.clone()));
    }
    let was = one.history.iter().rev();
    all.extend(was.map(|was| ("before", format!("{}, until {}", shown(was.said.fleet.as_ref()), time(was.until)))));
    facts(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_percentage_and_a_value_and_anything_else_is_refused() {
        let share = |percent, value: &str| Ok(GivenShare(Share { percent, value: value.into() }));
        assert_eq!("10=reads".parse(), share(10, "reads"));
        assert_eq!("5=true".parse(), share(5, "true"));
        for wrong in ["reads", "10", "=reads", "x=reads"] {
            assert!(wrong.parse::<GivenShare>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_value_is_shown_with_its_shares_and_a_default_as_such() {
        let of = Held { value: "off".into(), shares: vec![Share { percent: 10, value: "reads".into() }] };
        assert_eq!(held(Some(&of), &"all".into()), "off, 10% reads");
        assert_eq!(held(None, &"all".into()), "all (default)");
    }
}

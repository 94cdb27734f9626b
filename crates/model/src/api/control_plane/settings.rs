//! Settings of routers and cells: how they are shown, changed, and handed to those who read them.

#![allow(clippy::disallowed_methods, reason = "what `JsonSchema` derives unwraps literals of its own")]

use crate::{
    CellId, Timestamp,
    settings::{Held, Rule, Share, Value},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// For whom something is said. What is said of a cell comes before what is said of its wave, and that before the fleet.
/// The order is part of a stored format.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Every cell, in the order of their names.
    #[default]
    Fleet,
    /// These cells, in this order.
    Wave(Vec<CellId>),
    Cell(CellId),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSetting {
    /// Without one, what was said for the target is taken back.
    #[serde(default)]
    pub value: Option<Value>,
    /// Shares of the accounts that have another value.
    #[serde(default)]
    pub shares: Vec<Share>,
    #[serde(default)]
    pub target: Target,
    /// The version of the setting that the change was decided on. A critical setting demands it.
    #[serde(default)]
    pub expected_version: Option<u64>,
    /// How long each cell is watched before the next has its turn, 10 to 86,400; 0 changes all at once. 60 when it is not said.
    #[serde(default)]
    pub bake_seconds: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollBackSetting {
    #[serde(default)]
    pub expected_version: Option<u64>,
}

/// A setting, what is said of it, and what is being done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    pub name: String,
    pub about: String,
    /// What is allowed.
    pub allowed: String,
    pub default: Value,
    pub critical: bool,
    /// Of its last change; 0 when there was none.
    pub version: u64,
    #[serde(flatten)]
    pub said: Said,
    pub rollout: Option<Rollout>,
    /// What was said before, oldest first; a rollback takes the last.
    pub history: Vec<Was>,
    /// How it came to what it is.
    pub note: String,
    /// What will be done next.
    pub next: String,
}

/// All that is said of a setting, by target. Where nothing is, it has its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Said {
    pub fleet: Option<Held>,
    /// Of each cell as part of a wave.
    pub waves: BTreeMap<CellId, Held>,
    pub cells: BTreeMap<CellId, Held>,
}

/// A change on its way from cell to cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rollout {
    pub target: Target,
    /// `None` takes back what was said.
    pub to: Option<Held>,
    /// Cells that have it, in the order in which they got it.
    pub reached: Vec<Reached>,
    /// Those that are next.
    pub left: Vec<CellId>,
    pub bake_seconds: u64,
    /// When the last step was taken.
    pub since: Timestamp,
    pub by: String,
}

/// A cell that has a change, and how it was when it got it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reached {
    pub cell: CellId,
    /// Nodes that were ready.
    pub ready: u64,
}

/// What was said of a setting until a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Was {
    pub said: Said,
    pub until: Timestamp,
    /// Who changed it.
    pub by: String,
}

/// For a router, or the nodes of a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettingsFor {
    pub version: u64,
    /// `None` when the caller has that version.
    pub rules: Option<BTreeMap<String, Rule>>,
}

//! What the directory stores of settings, since version 3.

use bulkhead_model::api::control_plane::{Rollout, Said, Was};
use serde::{Deserialize, Serialize};

/// One setting. A setting of which nothing was ever said has no record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingRecord {
    /// The version of all settings when this one changed last.
    pub version: u64,
    /// What is said of it, apart from what is on its way.
    pub said: Said,
    pub rollout: Option<Rollout>,
    /// What was said before; the last [`crate::limits::SETTING_HISTORY_KEPT`], oldest first.
    pub history: Vec<Was>,
    /// How it came to what it is.
    pub note: String,
}

/// The version of all settings: counts their changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsVersion(pub u64);

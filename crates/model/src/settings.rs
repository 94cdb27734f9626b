//! Settings of routers and cells that change while they run: which there are, what each may be, and what holds for whom.
//!
//! Pure, and the same everywhere: an account that is among the first 10 of 100 is so on every router, and stays so when there are 20.
//! Knows nothing of how settings are stored, staged or brought to whom they concern.

#![allow(clippy::disallowed_methods, reason = "what `JsonSchema` derives unwraps literals of its own")]

mod known;
mod value;

pub use known::{COMPACTION, KNOWN, Kind, REPAIR_RATE, RETRY_PERCENT, Reader, SECOND_TRIES, Setting, THROTTLE, known};
pub use value::Value;

use crate::{AccountId, CellId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Shares of one value.
pub const SHARES_MAX: usize = 8;
/// A hundred of these are all accounts.
const WHOLE: u64 = 100;

/// What is held at one place: a value, and others for shares of the accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Of the accounts that are in no share.
    pub value: Value,
    #[serde(default)]
    pub shares: Vec<Share>,
}

/// A part of the accounts, by a hash of the setting's name and the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// 1 to 100; all shares of a value together are at most 100.
    pub percent: u64,
    pub value: Value,
}

/// What one setting is, for everyone and for cells of which something else is said. `None` is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    pub fleet: Option<Held>,
    #[serde(default)]
    pub cells: BTreeMap<CellId, Option<Held>>,
}

/// What a router, or the nodes of one cell, hold. A setting that is not in it has its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// Rises with each change of any setting.
    pub version: u64,
    /// By name. One that this build does not know says nothing to it.
    pub rules: BTreeMap<String, Rule>,
}

/// Why a value is refused: what was found, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("{setting} is {found}, but must be {allowed}")]
    Value { setting: &'static str, found: String, allowed: String },
    #[error("{setting} is one for all accounts of a cell: it takes no shares of accounts")]
    Shares { setting: &'static str },
    #[error("{setting} has {found} shares, but at most {SHARES_MAX} are allowed")]
    TooManyShares { setting: &'static str, found: usize },
    #[error("a share of {setting} is {found}%, but each must be 1 to 100, and all together at most 100")]
    Percent { setting: &'static str, found: u64 },
}

impl Setting {
    /// Whether something may be held of it.
    ///
    /// # Errors
    /// [`Invalid`] says what is allowed.
    pub fn check(&self, held: &Held) -> Result<(), Invalid> {
        let setting = self.name;
        for value in std::iter::once(&held.value).chain(held.shares.iter().map(|share| &share.value)) {
            if !self.kind.admits(value) {
                let (found, allowed) = (value.to_string(), self.kind.to_string());
                return Err(Invalid::Value { setting, found, allowed });
            }
        }
        if !held.shares.is_empty() && !self.per_account {
            return Err(Invalid::Shares { setting });
        }
        if held.shares.len() > SHARES_MAX {
            return Err(Invalid::TooManyShares { setting, found: held.shares.len() });
        }
        let mut sum = 0_u64;
        for found in held.shares.iter().map(|share| share.percent) {
            sum = sum.saturating_add(found);
            if found == 0 || sum > WHOLE {
                return Err(Invalid::Percent { setting, found });
            }
        }
        Ok(())
    }
}

impl Held {
    /// One value for everyone.
    pub fn everyone(value: Value) -> Self {
        Self { value, shares: Vec::new() }
    }

    /// What holds for an account: of the share it is in, or what is left for the others.
    fn of(&self, setting: &str, account: Option<AccountId>) -> &Value {
        let Some(account) = account.filter(|_| !self.shares.is_empty()) else { return &self.value };
        let point = point(setting, account);
        let mut end = 0;
        let mut ends = self.shares.iter().map(|share| {
            end += share.percent;
            (end, &share.value)
        });
        ends.find(|(end, _)| point < *end).map_or(&self.value, |(_, value)| value)
    }
}

/// Where an account stands among all, from 0 to 99. Another setting has it elsewhere, so that not always the same are the first.
fn point(setting: &str, account: AccountId) -> u64 {
    let key = Sha256::new().chain_update(b"bulkhead setting v1\0").chain_update(account.value().to_be_bytes());
    let digest = key.chain_update(setting).finalize();
    digest.iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte)) % WHOLE
}

impl Settings {
    /// Whether everything in it that this build knows may be held.
    ///
    /// # Errors
    /// The first that may not.
    pub fn check(&self) -> Result<(), Invalid> {
        for (name, rule) in &self.rules {
            let Some(setting) = known(name) else { continue };
            rule.fleet.iter().chain(rule.cells.values().flatten()).try_for_each(|held| setting.check(held))?;
        }
        Ok(())
    }

    /// What is held of a setting for a cell.
    pub fn held(&self, setting: &Setting, cell: Option<&CellId>) -> Option<&Held> {
        let rule = self.rules.get(setting.name)?;
        match cell.and_then(|cell| rule.cells.get(cell)) {
            Some(of_cell) => of_cell.as_ref(),
            None => rule.fleet.as_ref(),
        }
    }

    /// What a setting is for an account of a cell; for everyone when none is said.
    pub fn effective(&self, setting: &Setting, cell: Option<&CellId>, account: Option<AccountId>) -> Value {
        let held = self.held(setting, cell).map(|held| held.of(setting.name, account));
        held.filter(|value| setting.kind.admits(value)).cloned().unwrap_or_else(|| setting.kind.default())
    }
}

#[cfg(test)]
mod tests;

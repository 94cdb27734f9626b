//! Settings as this process has them: the last good ones, in memory and on disk, followed by asking the control plane.
//!
//! What does not validate, or is older, is refused, and what is here goes on to hold. A control plane that is away costs nothing but age:
//! a process starts with what it had. Knows nothing of what a setting does.

mod saved;

use crate::{
    Env,
    client::{ClientError, Endpoints},
    limits::{SETTINGS_PATIENCE, SETTINGS_POLL},
};
use arc_swap::ArcSwap;
use bulkhead_model::{
    AccountId, CellId,
    api::control_plane::SettingsFor,
    settings::{Invalid, KNOWN, Kind, Reader, Setting, Settings, Value},
};
use http::Method;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Why settings are not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    #[error(
        "version {offered} is older than {have}; if the control plane was rebuilt, delete settings.json in the data directory and restart"
    )]
    Older { have: u64, offered: u64 },
    #[error("version {version} does not hold: {why}")]
    Invalid { version: u64, why: Invalid },
}

/// Why asking brought nothing.
#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error("the control plane did not answer: {0}")]
    Call(#[from] ClientError),
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
}

/// The settings of this process. Cheap to clone; the default has every setting at its default, and follows nobody.
#[derive(Debug, Clone, Default)]
pub struct Live(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    now: ArcSwap<Settings>,
    /// Where they are saved, when they are.
    dir: Option<PathBuf>,
    /// Who reads, and in which cell.
    reader: Option<(Reader, Option<CellId>)>,
    /// What the gauges say: setting and variant.
    shown: Mutex<BTreeMap<(&'static str, String), u64>>,
}

impl Live {
    /// Those of a router, or with `cell` those of a node of it, as they were saved below `dir`.
    pub fn open(dir: &Path, cell: Option<CellId>) -> Self {
        let (settings, is_usable) = match saved::load(dir) {
            Ok(found) => (found.unwrap_or_default(), true),
            Err(error) => {
                tracing::error!(%error, "starting with every setting at its default");
                (Settings::default(), false)
            }
        };
        let is_valid = settings.check().inspect_err(|error| tracing::error!(%error, "the saved settings do not hold"));
        let settings = if is_usable && is_valid.is_ok() { settings } else { Settings::default() };
        let reader = if cell.is_some() { Reader::Cells } else { Reader::Routers };
        let shared = Shared { dir: Some(dir.to_owned()), reader: Some((reader, cell)), ..Shared::default() };
        shared.now.store(Arc::new(settings));
        shared.show();
        Self(Arc::new(shared))
    }

    /// Asks the control plane for changes until the process stops.
    pub async fn follow(self, control_plane: Endpoints, env: Env) {
        let stopping = env.tasks.stopping();
        let mut was_well = true;
        while let Some(step) = stopping.run_until_cancelled(self.step(&control_plane, &env)).await {
            if let Err(error) = &step {
                metrics::counter!("settings_poll_failures").increment(1);
                if was_well {
                    tracing::warn!(%error, version = self.version(), "settings stay as they are");
                }
            }
            was_well = step.is_ok();
            // Those who started together do not go on asking together.
            let pause = SETTINGS_POLL / 2 + env.rng.jitter(SETTINGS_POLL);
            stopping.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    /// Asks once, and saves what is new.
    async fn step(&self, control_plane: &Endpoints, env: &Env) -> Result<(), PollError> {
        if self.poll(control_plane).await? {
            self.save(env).await;
        }
        Ok(())
    }

    /// Asks once. Says whether there was something new.
    async fn poll(&self, control_plane: &Endpoints) -> Result<bool, PollError> {
        let cell = self.0.reader.as_ref().and_then(|(_, cell)| cell.as_ref());
        let cell = cell.map(|cell| format!("&cell={cell}")).unwrap_or_default();
        let path = format!("/v1/settings/for?known={}{cell}", self.version());
        let answer: SettingsFor = control_plane.json(Method::GET, &path, None::<&()>, SETTINGS_PATIENCE).await?;
        let Some(rules) = answer.rules else { return Ok(false) };
        Ok(self.take(Settings { version: answer.version, rules })?)
    }

    /// Takes settings, when they are newer and all that this build knows of them may be. Says whether they are new.
    ///
    /// # Errors
    /// [`NotTaken`]; what is here stays.
    pub fn take(&self, offered: Settings) -> Result<bool, NotTaken> {
        let have = self.version();
        if offered.version < have {
            return Err(NotTaken::Older { have, offered: offered.version });
        }
        offered.check().map_err(|why| NotTaken::Invalid { version: offered.version, why })?;
        if *self.0.now.load_full() == offered {
            return Ok(false);
        }
        tracing::info!(version = offered.version, before = have, "settings changed");
        self.0.now.store(Arc::new(offered));
        self.0.show();
        Ok(true)
    }

    async fn save(&self, env: &Env) {
        let (settings, Some(dir)) = (self.0.now.load_full(), self.0.dir.clone()) else { return };
        match env.tasks.blocking(move || saved::save(&dir, &settings)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "settings were not saved"),
            Err(error) => tracing::error!(%error, "saving settings did not end"),
        }
    }

    /// The version that is held.
    pub fn version(&self) -> u64 {
        self.0.now.load().version
    }

    fn value(&self, setting: &Setting, cell: Option<&CellId>, account: Option<AccountId>) -> Value {
        self.0.now.load().effective(setting, cell, account)
    }

    /// Whether a switch is on for an account of a cell. `false` of what is no switch.
    pub fn is_on(&self, setting: &Setting, cell: Option<&CellId>, account: Option<AccountId>) -> bool {
        self.value(setting, cell, account) == Value::Switch(true)
    }

    /// A number. 0 of what is none.
    pub fn number(&self, setting: &Setting, cell: Option<&CellId>) -> u64 {
        match self.value(setting, cell, None) {
            Value::Number(number) => number,
            Value::Switch(_) | Value::Choice(_) => 0,
        }
    }

    /// Which of its words a choice is for an account of a cell. Empty of what is no choice.
    pub fn choice(&self, setting: &Setting, cell: Option<&CellId>, account: Option<AccountId>) -> &'static str {
        let Kind::Choice { of, default } = setting.kind else { return "" };
        match self.value(setting, cell, account) {
            Value::Choice(word) => of.iter().find(|known| **known == word).copied().unwrap_or(default),
            Value::Switch(_) | Value::Number(_) => default,
        }
    }
}

impl Shared {
    /// Publishes the variants: of which percentage of the accounts each is, and none of those that were.
    fn show(&self) {
        let Some((reader, cell)) = &self.reader else { return };
        let settings = self.now.load_full();
        let now = variants(&settings, *reader, cell.as_ref());
        let mut shown = self.shown.lock();
        for (setting, variant) in shown.keys().filter(|key| !now.contains_key(*key)) {
            metrics::gauge!("setting_info", "setting" => *setting, "variant" => variant.clone()).set(0.0);
        }
        for ((setting, variant), percent) in &now {
            let percent = f64::from(u32::try_from(*percent).unwrap_or(100));
            metrics::gauge!("setting_info", "setting" => *setting, "variant" => variant.clone()).set(percent);
        }
        metrics::gauge!("settings_version").set(settings.version as f64);
        *shown = now;
    }
}

/// The variants of each setting that `reader` reads, and the percentage of the accounts that have each. Pure.
fn variants(settings: &Settings, reader: Reader, cell: Option<&CellId>) -> BTreeMap<(&'static str, String), u64> {
    let mut variants = BTreeMap::new();
    for setting in KNOWN.into_iter().filter(|setting| setting.reader == reader) {
        let shares = settings.held(setting, cell).map(|held| held.shares.as_slice()).unwrap_or_default();
        let mut rest = 100_u64;
        for share in shares {
            rest = rest.saturating_sub(share.percent);
            *variants.entry((setting.name, share.value.to_string())).or_insert(0) += share.percent;
        }
        let value = settings.effective(setting, cell, None).to_string();
        *variants.entry((setting.name, value)).or_insert(0) += rest;
    }
    variants
}

#[cfg(test)]
mod tests;

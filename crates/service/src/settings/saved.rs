//! Settings on disk: a file is either whole or the one before it.

use crate::directory;
use bulkhead_model::settings::Settings;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

const NAME: &str = "settings.json";
/// The format of the file.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Saved {
    format: u32,
    settings: Settings,
}

/// What was saved below `dir` last; `None` when nothing was.
///
/// # Errors
/// When there is something that cannot be read.
pub fn load(dir: &Path) -> io::Result<Option<Settings>> {
    let text = match fs::read(dir.join(NAME)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let saved: Saved = serde_json::from_slice(&text)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{NAME}: {error}")))?;
    if saved.format != FORMAT {
        let why = format!("{NAME} has format {}; this build reads format {FORMAT}", saved.format);
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(Some(saved.settings))
}

/// Saves below `dir`, which is made when it is not there. When this returns, the file survives a crash.
///
/// # Errors
/// When it cannot be written; the one before it is still there.
pub fn save(dir: &Path, settings: &Settings) -> io::Result<()> {
    directory::make(dir)?;
    let saved = Saved { format: FORMAT, settings: settings.clone() };
    let text = serde_json::to_vec(&saved).map_err(io::Error::other)?;
    let aside = dir.join(format!("{NAME}.tmp"));
    let mut written = File::create(&aside)?;
    written.write_all(&text)?;
    written.sync_all()?;
    fs::rename(&aside, dir.join(NAME))?;
    File::open(dir)?.sync_all()
}

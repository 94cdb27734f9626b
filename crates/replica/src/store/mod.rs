//! The state on RocksDB: which database is the current one, what it has applied, and how durable that is.
//!
//! ```text
//! state/CURRENT        the name of the generation that counts; replaced by rename, then the directory is synced
//! state/g-0000000001/  one RocksDB; every installed checkpoint makes the next generation
//! ```
//! Durability. Commands are applied with RocksDB's log on and unsynced; the Raft log is what makes them durable. Each apply
//! batch, in all its families and with the applied log id, is one record of one RocksDB log, so a killed process loses none
//! and a power failure loses a suffix of whole batches: recovery stops at the first record that is not whole
//! (`PointInTime`). A family that was flushed cannot be ahead of the others after that: with more than one family
//! RocksDB syncs every closed log before it writes a flushed file, and a memtable that is flushed holds only what lies
//! in closed logs. Should that ever fail, opening reports corruption ("SST file is ahead of WALs") and this node stops
//! instead of diverging. What was lost is applied again from the Raft log, which is purged only up to what [`Store::harden`]
//! or a checkpoint has put on stable storage: `purged <= durable applied <= applied <= committed`.
//!
//! A replaced database lives on until the last [`View`] of it is gone, and then deletes its files.
//! Must not know consensus beyond log ids, nor what is stored.

mod database;
mod engine;
pub(crate) mod files;
mod memory;
mod overlay;
mod view;

pub(crate) use engine::{Database, Make};
pub(crate) use overlay::Overlay;
pub use view::View;

use crate::{
    machine::{Family, StoreError},
    medium::Medium,
    types::{LogId, StoredMembership, position},
    version,
};
use bulkhead_service::{directory, fail_point::FailPoint};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};
use tokio::sync::watch;

const CURRENT: &str = "CURRENT";

/// The state of one node.
pub(crate) struct Store {
    dir: PathBuf,
    families: &'static [Family],
    cache_bytes: usize,
    medium: Medium,
    current: RwLock<Arc<Database>>,
    /// The position up to which the state survives a power failure.
    hardened: Mutex<u64>,
    applied: watch::Sender<u64>,
    /// The group's format version, as far as it is applied here.
    version: AtomicU8,
}

/// What a database holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AppliedState {
    pub last: Option<LogId>,
    pub membership: StoredMembership,
    /// See [`crate::version`].
    pub version: u8,
}

impl Default for AppliedState {
    fn default() -> Self {
        Self { last: None, membership: StoredMembership::default(), version: version::BASE }
    }
}

impl Store {
    /// Opens the current generation below `dir`. The first one is made in an empty directory, if that `may` be.
    /// Generations that are not current are what a crash left of an installation; they are deleted.
    pub fn open(
        dir: PathBuf,
        families: &'static [Family],
        cache_bytes: usize,
        medium: Medium,
        may: Make,
    ) -> Result<Self, StoreError> {
        directory::make(&dir).map_err(|error| failed("make", &dir, &error))?;
        let name = current_name(&dir)?;
        for entry in files::children(&dir).map_err(|error| failed("list", &dir, &error))? {
            if entry.is_dir() && entry.file_name().is_some_and(|found| found != name.as_str()) {
                fs::remove_dir_all(&entry).map_err(|error| failed("delete", &entry, &error))?;
            }
        }
        let database = Database::open(dir.join(&name), families, cache_bytes, &medium, may)?;
        database.sync()?;
        // The name of the first generation, which RocksDB made: what is in it is nothing without.
        files::sync(&dir).map_err(|error| failed("sync", &dir, &error))?;
        let found = database.applied()?;
        let at = position(found.last.as_ref());
        Ok(Self {
            dir,
            families,
            cache_bytes,
            medium,
            current: RwLock::new(Arc::new(database)),
            hardened: Mutex::new(at),
            applied: watch::Sender::new(at),
            version: AtomicU8::new(found.version),
        })
    }

    /// The database that counts now.
    pub fn database(&self) -> Arc<Database> {
        Arc::clone(&self.current.read())
    }

    /// An immutable state, as of now.
    pub fn view(&self) -> View {
        View::of(&self.database())
    }

    /// The column families, in the machine's order.
    pub fn families(&self) -> &'static [Family] {
        self.families
    }

    /// The group's format version, as far as it is applied here: never above what the group has.
    pub fn version(&self) -> u8 {
        self.version.load(Ordering::Acquire)
    }

    /// The group's version was raised.
    pub fn raised(&self, to: u8) {
        self.version.fetch_max(to, Ordering::AcqRel);
    }

    /// Follows the applied position.
    pub fn watch_applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// Tells readers that commands up to `last` are in the database.
    pub fn announce(&self, last: &LogId) {
        self.applied.send_replace(position(Some(last)));
    }

    /// Makes sure that everything up to `upto` survives a power failure.
    ///
    /// # Errors
    /// When it has not been applied yet, or the sync fails.
    pub fn harden(&self, upto: &LogId) -> Result<(), StoreError> {
        let mut hardened = self.hardened.lock();
        let wanted = position(Some(upto));
        if wanted <= *hardened {
            return Ok(());
        }
        let database = self.database();
        let applied = position(database.applied()?.last.as_ref());
        database.sync()?;
        *hardened = applied.max(*hardened);
        if wanted <= *hardened {
            return Ok(());
        }
        Err(StoreError::Store(format!("entry {upto} is to be purged, but only {applied} entries are applied")))
    }

    /// Makes a checkpoint's files the state: a new generation, opened and checked, then pointed at.
    /// Gives the new database. The old one goes when its last reader goes.
    pub fn replace(&self, checkpoint: &Path, expected: Option<&LogId>) -> Result<Arc<Database>, StoreError> {
        let name = next_name(&current_name(&self.dir)?)?;
        let dir = self.dir.join(&name);
        let database = files::link(checkpoint, &dir)
            .map_err(|error| failed("copy a checkpoint to", &dir, &error))
            .and_then(|()| Database::open(dir.clone(), self.families, self.cache_bytes, &self.medium, Make::Nothing))?;
        let AppliedState { last: applied, version, .. } = database.applied()?;
        if applied.as_ref() != expected {
            database.doom();
            return Err(StoreError::Corrupt {
                what: "a checkpoint",
                why: format!("it holds {applied:?}, not {expected:?} as announced"),
            });
        }
        database.sync()?;
        FailPoint::GenerationLinked.pass();
        files::replace(&self.dir.join(CURRENT), name.as_bytes()).map_err(|error| failed("point to", &dir, &error))?;
        FailPoint::GenerationSwitched.pass();
        let database = Arc::new(database);
        let old = std::mem::replace(&mut *self.current.write(), Arc::clone(&database));
        old.doom();
        let at = position(expected);
        *self.hardened.lock() = at;
        self.raised(version);
        self.applied.send_replace(at);
        Ok(database)
    }
}

/// The generation `CURRENT` names. In an empty directory the first one, written down before it is made, so that a
/// directory with generations but without `CURRENT` is damage and not a beginning.
fn current_name(dir: &Path) -> Result<String, StoreError> {
    let path = dir.join(CURRENT);
    match fs::read_to_string(&path) {
        Ok(name) if number(&name).is_some() => Ok(name),
        Ok(name) => Err(StoreError::Corrupt { what: "the state's CURRENT", why: format!("{name:?} is no generation") }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let found = files::children(dir).map_err(|error| failed("list", dir, &error))?;
            if found.iter().any(|path| path.is_dir()) {
                let why = format!("{} is gone, but generations are there", path.display());
                return Err(StoreError::Corrupt { what: "the state's CURRENT", why });
            }
            let name = generation(1);
            files::replace(&path, name.as_bytes()).map_err(|error| failed("write", &path, &error))?;
            Ok(name)
        }
        Err(error) => Err(failed("read", &path, &error)),
    }
}

fn generation(number: u64) -> String {
    format!("g-{number:010}")
}

fn number(name: &str) -> Option<u64> {
    name.strip_prefix("g-")?.parse().ok()
}

fn next_name(name: &str) -> Result<String, StoreError> {
    let number = number(name).ok_or_else(|| StoreError::Store(format!("{name:?} is no generation")))?;
    Ok(generation(number + 1))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> StoreError {
    StoreError::Store(format!("cannot {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

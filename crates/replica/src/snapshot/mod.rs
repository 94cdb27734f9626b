//! Checkpoints on disk: taken, kept, found again after a restart.
//!
//! ```text
//! checkpoints/c-0000000007/META   what it has applied
//! checkpoints/c-0000000007/db/    a RocksDB, mostly hard links
//! incoming/                       what a leader sends; emptied at start
//! ```
//! Invariant: a directory without `.tmp` is whole and on stable storage: it is written beside, synced file by file, renamed,
//! and the parent is synced. Only then does openraft hear of it and purge the log. A checkpoint that is being sent stays
//! until it has been sent, also when a newer one replaces it.
//! Must not know the network.

mod frames;
mod receive;
mod send;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use frames::Head;
pub(crate) use receive::receive;
pub(crate) use send::{body, head};

use crate::{
    machine::{Family, StoreError},
    store::{
        AppliedState, Database,
        files::{self, Doomed},
    },
    types::{SnapshotMeta, position},
};
use bulkhead_service::fail_point::FailPoint;
use parking_lot::Mutex;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

const META: &str = "META";
const DATABASE: &str = "db";
/// The version of META: one byte, then postcard.
const META_V1: u8 = 1;

/// One whole checkpoint. Its files go with its last user once another has taken its place.
#[derive(Debug)]
pub(crate) struct Saved {
    dir: Doomed,
    applied: AppliedState,
}

impl Saved {
    /// Where its RocksDB lies.
    pub fn database(&self) -> PathBuf {
        self.dir.dir.join(DATABASE)
    }

    pub fn applied(&self) -> &AppliedState {
        &self.applied
    }

    /// What openraft calls it.
    pub fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.applied.last, last_membership: self.applied.membership.clone() }
    }
}

/// The checkpoints of one node: at most one that counts.
pub(crate) struct Checkpoints {
    dir: PathBuf,
    incoming: PathBuf,
    next: AtomicU64,
    current: Mutex<Option<Arc<Saved>>>,
    /// One at a time.
    taking: Mutex<()>,
    receiving: tokio::sync::Mutex<()>,
}

impl Checkpoints {
    /// Finds the newest checkpoint below `root` and deletes everything older or half made.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let (dir, incoming) = (root.join("checkpoints"), root.join("incoming"));
        prepare(&dir, &incoming).map_err(|error| failed("prepare", &dir, &error))?;
        let mut current: Option<(u64, Saved)> = None;
        for path in files::children(&dir).map_err(|error| failed("list", &dir, &error))? {
            let found = number(&path).and_then(|number| Some((number, load(&path)?)));
            let stale = match found {
                Some(newer) if current.as_ref().is_none_or(|(number, _)| *number < newer.0) => {
                    current.replace(newer).map(|(_, older)| older.dir.dir.clone())
                }
                Some(_) | None => Some(path),
            };
            if let Some(stale) = stale {
                fs::remove_dir_all(&stale).map_err(|error| failed("delete", &stale, &error))?;
            }
        }
        Ok(Self {
            next: AtomicU64::new(current.as_ref().map_or(1, |(number, _)| number + 1)),
            current: Mutex::new(current.map(|(_, saved)| Arc::new(saved))),
            taking: Mutex::new(()),
            receiving: tokio::sync::Mutex::new(()),
            dir,
            incoming,
        })
    }

    /// The newest whole checkpoint.
    pub fn current(&self) -> Option<Arc<Saved>> {
        self.current.lock().clone()
    }

    /// Takes a checkpoint of `database` while it is being written to. It holds whatever was applied when its files were
    /// gathered; what that is, it says itself.
    pub fn take(&self, database: &Database, families: &[Family]) -> Result<Arc<Saved>, StoreError> {
        let _one_at_a_time = self.taking.lock();
        let name = format!("c-{:010}", self.next.fetch_add(1, Ordering::Relaxed));
        let (dir, tmp) = (self.dir.join(&name), self.dir.join(format!("{name}.tmp")));
        fs::create_dir_all(&tmp).map_err(|error| failed("make", &tmp, &error))?;
        // Deleted again when a step below fails.
        let unfinished = Doomed::new(tmp.clone());
        unfinished.doom();
        database.checkpoint(&tmp.join(DATABASE))?;
        let applied = Database::peek(&tmp.join(DATABASE), families)?;
        seal(&tmp, &applied)
            .and_then(|()| {
                FailPoint::CheckpointMade.pass();
                files::publish(&tmp, &dir)
            })
            .map_err(|error| failed("keep", &dir, &error))?;
        unfinished.spare();
        let saved = Arc::new(Saved { dir: Doomed::new(dir), applied });
        let mut current = self.current.lock();
        let at = |saved: &Saved| position(saved.applied.last.as_ref());
        if let Some(newer) = current.as_ref().filter(|current| at(current) > at(&saved)) {
            // A checkpoint of a later state was installed meanwhile.
            saved.dir.doom();
            return Ok(Arc::clone(newer));
        }
        if let Some(old) = current.replace(Arc::clone(&saved)) {
            old.dir.doom();
        }
        tracing::info!(applied = ?saved.applied.last, "a checkpoint was taken");
        Ok(saved)
    }
}

fn prepare(dir: &Path, incoming: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    fs::create_dir_all(incoming)?;
    files::empty(incoming)
}

fn seal(dir: &Path, applied: &AppliedState) -> io::Result<()> {
    let meta = postcard::to_extend(applied, vec![META_V1]).map_err(io::Error::other)?;
    fs::write(dir.join(META), meta)?;
    files::sync_tree(dir)
}

/// A checkpoint that can be read. One that cannot is no loss: the state is in `state/`, and another is taken.
fn load(dir: &Path) -> Option<Saved> {
    let meta = fs::read(dir.join(META)).ok()?;
    let (&META_V1, meta) = meta.split_first()? else { return None };
    Some(Saved { dir: Doomed::new(dir.to_owned()), applied: postcard::from_bytes(meta).ok()? })
}

fn number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix("c-")?.parse().ok()
}

fn failed(what: &str, path: &Path, error: &io::Error) -> StoreError {
    StoreError::Store(format!("cannot {what} {}: {error}", path.display()))
}

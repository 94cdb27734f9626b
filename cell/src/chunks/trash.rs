//! Extents that compaction has emptied, until every record in them is proven dead or moved; then they are removed.
//!
//! ```text
//!  emptied ─ rename, durable ─► trash ─ every record dead or moved ─► removed
//!     ▲                           └──── one is needed ──────────────► back in use, and an error is raised
//!     └─ a restart ───────────────┘
//! ```
//! - The proof is independent of what emptied the extent: its records are read from the file, and whoever knows the names is asked about each
//!   that does not lie elsewhere.
//! - A crash at any step leaves the extent where it was, in trash, or gone. What a restart finds in trash is an extent like any other: its
//!   records are again known, as older copies of those that were moved, or as garbage that has to be freed anew.

use crate::{
    chunks::{
        ChunkId, LocalStore, contents,
        extent::ExtentId,
        format::{FooterEntry, record_bytes},
        index::{ExtentState, Held, Location},
        local::Parts,
    },
    limits::INSPECTED_AT_ONCE_MAX,
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashSet},
    io,
};

/// Knows which chunks are needed. Asked before an extent is removed for good.
#[async_trait]
pub trait Inspect: Send + Sync {
    /// Those of `ids` that must not be removed: named by somebody, or still to be named.
    ///
    /// # Errors
    /// Why it cannot be told now. Nothing is removed then.
    async fn needed(&self, ids: &[ChunkId]) -> Result<Vec<ChunkId>, String>;
}

/// What [`LocalStore::empty_trash`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Emptied {
    /// Extents removed, and the bytes this gave back.
    pub extents: usize,
    pub bytes: u64,
    /// Records of the removed extents that nobody needs, and their bytes.
    pub dead: usize,
    pub dead_bytes: u64,
    /// Records of the removed extents that lie elsewhere on this disk.
    pub moved: usize,
    /// Records that were needed after all. Their extents are in use again. Always 0, unless something is wrong.
    pub rescued: usize,
    /// Why an extent stays in trash.
    pub left: Option<String>,
}

/// The trash of one disk.
#[derive(Default)]
pub(super) struct Trash {
    held: Mutex<BTreeMap<ExtentId, Trashed>>,
}

#[derive(Clone)]
struct Trashed {
    held: Held,
    bytes: u64,
}

impl Trash {
    /// Number of extents.
    pub(super) fn len(&self) -> usize {
        self.held.lock().len()
    }

    /// What they take on the disk.
    pub(super) fn bytes(&self) -> u64 {
        self.held.lock().values().map(|trashed| trashed.bytes).sum()
    }

    /// Takes an extent of which nothing is needed any more. Returns whether it did: since it was chosen it may have found use again.
    ///
    /// # Errors
    /// When it cannot be renamed. It is kept as it is then, since its name is not known.
    pub(super) fn take(&self, id: ExtentId, parts: &Parts) -> io::Result<bool> {
        let mut trash = self.held.lock();
        let Some(held) = parts.index.emptied(id) else { return Ok(false) };
        let bytes = held.extent.file.len()?;
        if let Err(error) = parts.disk.rename(&id.to_string(), &id.in_trash()) {
            parts.health.failed("moving an extent to trash", &error);
            parts.index.set_extent(id, ExtentState::Kept, held.usage.used);
            return Err(error);
        }
        parts.index.remove_extent(id);
        trash.insert(id, Trashed { held, bytes });
        Ok(true)
    }

    fn oldest_after(&self, after: Option<ExtentId>) -> Option<(ExtentId, Trashed)> {
        let trash = self.held.lock();
        let next = trash.iter().find(|(id, _)| after.is_none_or(|after| **id > after));
        next.map(|(id, trashed)| (*id, trashed.clone()))
    }

    fn remove(&self, id: ExtentId, parts: &Parts) -> io::Result<()> {
        let removed = parts.disk.remove(&id.in_trash());
        removed.inspect_err(|error| parts.health.failed("removing an extent in trash", error))?;
        self.held.lock().remove(&id);
        // The next write finds out whether that was enough.
        parts.health.set_full(false);
        Ok(())
    }

    /// Uses an extent again, for the sake of the chunks in it that are `needed`.
    fn give_back(&self, id: ExtentId, needed: &[FooterEntry], parts: &Parts) -> io::Result<()> {
        let renamed = parts.disk.rename(&id.in_trash(), &id.to_string());
        renamed.inspect_err(|error| parts.health.failed("taking an extent out of trash", error))?;
        if let Some(Trashed { held, .. }) = self.held.lock().remove(&id) {
            parts.index.put_back(held);
            for entry in needed {
                parts.index.insert_absent(entry.head.id, Location::new(id, entry));
            }
        }
        Ok(())
    }
}

impl LocalStore {
    /// Removes the extents in trash of which every record is proven dead or moved.
    pub async fn empty_trash(&self, inspect: &dyn Inspect) -> Emptied {
        let _one_at_a_time = self.compacting.lock().await;
        let (mut emptied, mut last) = (Emptied::default(), None);
        while let Some((id, trashed)) = self.parts.trash.oldest_after(last) {
            last = Some(id);
            if let Err(why) = self.settle(id, &trashed, inspect, &mut emptied).await {
                tracing::warn!(extent = %id, why, "an extent stays in trash");
                emptied.left = Some(why);
            }
        }
        emptied
    }

    async fn settle(
        &self,
        id: ExtentId,
        trashed: &Trashed,
        inspect: &dyn Inspect,
        emptied: &mut Emptied,
    ) -> Result<(), String> {
        let held = trashed.held.clone();
        let entries = self.blocking(move |_| records_of(&held)).await?;
        let elsewhere = |entry: &FooterEntry| self.parts.index.get(entry.head.id).is_some();
        let (moved, unknown): (Vec<_>, Vec<_>) = entries.into_iter().partition(elsewhere);
        let mut needed = Vec::new();
        for batch in unknown.chunks(INSPECTED_AT_ONCE_MAX) {
            let ids: Vec<_> = batch.iter().map(|entry| entry.head.id).collect();
            let wanted: HashSet<_> = inspect.needed(&ids).await?.into_iter().collect();
            needed.extend(batch.iter().filter(|entry| wanted.contains(&entry.head.id)).copied());
        }
        if needed.is_empty() {
            self.blocking(move |parts| parts.trash.remove(id, parts)).await?;
            metrics::counter!("bulkhead_chunk_trash_removed_bytes_total").increment(trashed.bytes);
            tracing::info!(extent = %id, bytes = trashed.bytes, dead = unknown.len(), moved = moved.len(), "an extent was removed");
            emptied.extents += 1;
            emptied.bytes += trashed.bytes;
            emptied.dead += unknown.len();
            emptied.dead_bytes += unknown.iter().map(|entry| record_bytes(entry.head.len)).sum::<u64>();
            emptied.moved += moved.len();
            return Ok(());
        }
        let first = needed[0].head.id;
        tracing::error!(extent = %id, records = needed.len(), first = %first, "an extent in trash holds chunks that are needed: it is used again");
        metrics::counter!("bulkhead_chunk_trash_rescued_total").increment(needed.len() as u64);
        emptied.rescued += needed.len();
        self.blocking(move |parts| parts.trash.give_back(id, &needed, parts)).await
    }

    /// Does blocking work to its end, whether or not anybody waits for it.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Parts) -> io::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let parts = self.parts.clone();
        let done = self.tasks.blocking(move || work(&parts)).await.map_err(|error| error.to_string())?;
        done.map_err(|error| error.to_string())
    }
}

/// Every record of an extent that is not written any more.
pub(super) fn records_of(held: &Held) -> io::Result<Vec<FooterEntry>> {
    match &held.entries {
        Some(entries) => Ok(entries.to_vec()),
        None => contents::sealed(&held.extent),
    }
}

//! The disk of a simulated node: it knows what was synced.
//!
//! Writes are in order, as in a log: a crash keeps the synced ones and some of the others, from the oldest on. A sync that
//! fails does the same to what it was to make durable, and what is lost then is lost, however often it is synced again.

use super::MemoryStore;
use crate::{
    machine::Mutation,
    types::{Entry, LogId, Vote},
};
use bulkhead_service::env::Rng;
use parking_lot::Mutex;
use std::{collections::BTreeMap, io, sync::Arc};

/// What a simulated node keeps when it is down. Cheap to clone; clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    databases: BTreeMap<u64, Contents>,
    last: u64,
    log: LogContents,
    counts: Counts,
}

/// What has happened on a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Times that a beginning of the log was given up for a checkpoint.
    pub purges: u64,
    /// Records of the log that a crash or a failed sync lost.
    pub lost: u64,
}

#[derive(Default)]
struct Contents {
    medium: MemoryStore,
    unsynced: Vec<Vec<Mutation>>,
}

/// One record of a Raft log.
#[derive(Debug, Clone)]
pub(super) enum Record {
    Vote(Vote),
    Append(Entry),
    /// Entries from this index on are gone.
    Truncate(u64),
    Purge(LogId),
    Commit(LogId),
}

/// What the records of a Raft log come to.
#[derive(Debug, Clone, Default)]
pub(super) struct LogState {
    pub vote: Option<Vote>,
    pub committed: Option<LogId>,
    pub purged: Option<LogId>,
    pub entries: BTreeMap<u64, Entry>,
}

#[derive(Default)]
struct LogContents {
    medium: LogState,
    unsynced: Vec<Record>,
    /// Decides what the next sync, which is to fail, loses.
    failing: Option<Rng>,
    /// A sync has failed: the process that saw it gets nothing more into the log.
    failed: bool,
}

impl LogState {
    pub fn take(&mut self, record: Record) {
        match record {
            Record::Vote(vote) => self.vote = Some(vote),
            Record::Append(entry) => {
                self.entries.insert(entry.log_id.index(), entry);
            }
            Record::Truncate(from) => {
                self.entries.split_off(&from);
            }
            Record::Purge(upto) => {
                self.entries = self.entries.split_off(&(upto.index() + 1));
                self.purged = self.purged.max(Some(upto));
            }
            Record::Commit(upto) => self.committed = Some(upto),
        }
    }

    pub fn last(&self) -> Option<LogId> {
        self.entries.values().next_back().map(|entry| entry.log_id).or(self.purged)
    }
}

impl MemoryDisk {
    /// The power fails: of what was not synced, in each database and in the log, some of the oldest writes are kept.
    pub fn crash(&self, rng: &Rng) {
        let inner = &mut *self.inner.lock();
        for contents in inner.databases.values_mut() {
            let kept = some(rng, contents.unsynced.len());
            let batches = std::mem::take(&mut contents.unsynced);
            batches.into_iter().take(kept).for_each(|batch| contents.medium.write(batch));
        }
        inner.log.failing = None;
        let count = inner.log.unsynced.len();
        inner.counts.lost += inner.log.lose(rng, count);
    }

    /// The next sync of the log fails.
    pub fn fail_sync(&self, rng: Rng) {
        self.inner.lock().log.failing = Some(rng);
    }

    /// What has happened here.
    pub fn counts(&self) -> Counts {
        self.inner.lock().counts
    }

    /// A new database.
    pub(crate) fn begin(&self, base: MemoryStore) -> u64 {
        let mut inner = self.inner.lock();
        inner.last += 1;
        let number = inner.last;
        inner.databases.insert(number, Contents { medium: base, unsynced: Vec::new() });
        number
    }

    /// What a process finds in a database: everything the last one wrote, unless a crash came between.
    pub(crate) fn found(&self, number: u64) -> Option<MemoryStore> {
        let inner = self.inner.lock();
        let Contents { medium, unsynced } = inner.databases.get(&number)?;
        let mut found = medium.clone();
        unsynced.iter().cloned().for_each(|batch| found.write(batch));
        Some(found)
    }

    pub(crate) fn write(&self, number: u64, batch: Vec<Mutation>) {
        if let Some(contents) = self.inner.lock().databases.get_mut(&number) {
            contents.unsynced.push(batch);
        }
    }

    pub(crate) fn sync_database(&self, number: u64) {
        if let Some(contents) = self.inner.lock().databases.get_mut(&number) {
            let batches = std::mem::take(&mut contents.unsynced);
            batches.into_iter().for_each(|batch| contents.medium.write(batch));
        }
    }

    /// A process opens the log: what another could not sync is no matter of this one.
    pub(super) fn open_log(&self) {
        self.inner.lock().log.failed = false;
    }

    /// What a process finds of the log.
    pub(super) fn found_log(&self) -> LogState {
        let inner = self.inner.lock();
        let mut found = inner.log.medium.clone();
        inner.log.unsynced.iter().cloned().for_each(|record| found.take(record));
        found
    }

    pub(super) fn write_log(&self, records: impl IntoIterator<Item = Record>) {
        let inner = &mut *self.inner.lock();
        if inner.log.failed {
            return;
        }
        let before = inner.log.unsynced.len();
        inner.log.unsynced.extend(records);
        let new = &inner.log.unsynced[before..];
        inner.counts.purges += new.iter().filter(|record| matches!(record, Record::Purge(_))).count() as u64;
    }

    /// Records of the log that are not synced.
    pub(super) fn unsynced_records(&self) -> usize {
        self.inner.lock().log.unsynced.len()
    }

    /// Makes the oldest `count` unsynced records of the log durable.
    ///
    /// # Errors
    /// When it is to fail: then a beginning of them is, and the others are gone. From then on until the log is opened again: what is written
    /// behind what is gone must not become durable.
    pub(super) fn sync_log(&self, count: usize) -> io::Result<()> {
        let inner = &mut *self.inner.lock();
        let count = count.min(inner.log.unsynced.len());
        if let Some(rng) = inner.log.failing.take() {
            inner.counts.lost += inner.log.lose(&rng, count);
            inner.log.failed = true;
        }
        if inner.log.failed {
            return Err(io::Error::from_raw_os_error(5));
        }
        inner.log.keep(count);
        Ok(())
    }
}

impl LogContents {
    /// Makes the oldest `count` records durable.
    fn keep(&mut self, count: usize) {
        self.unsynced.drain(..count).for_each(|record| self.medium.take(record));
    }

    /// Of the oldest `count` records makes some of the oldest durable and forgets the others, and all behind them. Says how
    /// many.
    fn lose(&mut self, rng: &Rng, count: usize) -> u64 {
        let lost = count - some(rng, count);
        self.keep(count - lost);
        if lost > 0 {
            return std::mem::take(&mut self.unsynced).len() as u64;
        }
        0
    }
}

/// Any number up to `most`.
fn some(rng: &Rng, most: usize) -> usize {
    usize::try_from(rng.below(most as u64 + 1)).unwrap_or(most)
}

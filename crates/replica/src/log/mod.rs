//! The Raft log on `raft-log`: append-only files, one flush thread, one `fdatasync` for all appends that wait for it.
//!
//! Invariants:
//! - an append's callback, and the return of `save_vote`, come after the sync of everything before them; a failed sync is
//!   never repeated: the flush thread ends, every later call fails, and consensus stops this node;
//! - what a former process wrote but never synced is synced before anything of it is read (see [`LogStore::open`]);
//! - the log is purged only up to what the state store holds durably: the guard given to [`LogStore::open`] is asked first.
//!
//! Must not know what commands mean, nor the state store.

#[cfg(test)]
mod model;
mod record;
#[cfg(test)]
mod tests;
mod torn;

pub(crate) use record::payload_bytes;

use crate::{
    limits::{
        APPEND_BYTES_MAX, LOG_CACHE_BYTES_MAX, LOG_CACHE_ENTRIES_MAX, LOG_FILE_BYTES_MAX, LOG_GATHER,
        LOG_QUEUE_BYTES_MAX, LOG_READ_BUFFER_BYTES,
    },
    types::{Entry, LogId, TypeConfig, Vote},
};
use bulkhead_service::{env::Clock, fail_point::FailPoint};
use futures::{Stream, StreamExt, stream};
use openraft::{
    LogState, OptionalSend,
    entry::RaftEntry,
    storage::{IOFlushed, RaftLogReader, RaftLogStorage},
};
use parking_lot::RwLock;
use raft_log::{Callback, RaftLog, api::raft_log_writer::RaftLogWriter, codeq};
use record::{LogKey, LogPayload, LogVote};
use std::{
    fmt::Debug,
    io,
    ops::{Bound, RangeBounds},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{sync::oneshot, time::Instant};

/// Asked before entries are purged: makes sure the state store holds them durably.
pub(crate) type PurgeGuard = Box<dyn Fn(&LogId) -> io::Result<()> + Send + Sync>;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct LogTypes;

impl raft_log::Types for LogTypes {
    type LogId = LogKey;
    type LogPayload = LogPayload;
    type Vote = LogVote;
    type Callback = Synced;
    type UserData = Nothing;

    fn log_index(id: &LogKey) -> u64 {
        id.0.index()
    }

    fn payload_size(payload: &LogPayload) -> u64 {
        payload.size() as u64
    }
}

/// This crate keeps nothing of its own in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Nothing;

impl codeq::Encode for Nothing {
    fn encode<W: io::Write>(&self, _to: W) -> Result<usize, io::Error> {
        Ok(0)
    }
}

impl codeq::Decode for Nothing {
    fn decode<R: io::Read>(_from: R) -> Result<Self, io::Error> {
        Ok(Self)
    }
}

/// Who is told when a sync is done.
enum Synced {
    Consensus { callback: IOFlushed<TypeConfig>, clock: Clock, appended: Instant },
    Waiter(oneshot::Sender<io::Result<()>>),
}

impl Callback for Synced {
    fn send(self, result: Result<(), io::Error>) {
        FailPoint::LogSynced.pass();
        bulkhead_service::drill::faults().flushing();
        match self {
            Self::Consensus { callback, clock, appended } => {
                let took = clock.now().saturating_duration_since(appended);
                metrics::histogram!("replica_log_sync_seconds").record(took.as_secs_f64());
                callback.io_completed(result);
            }
            Self::Waiter(waiter) => {
                // A waiter that went away no longer needs to know.
                drop(waiter.send(result));
            }
        }
    }
}

struct Inner {
    log: RwLock<RaftLog<LogTypes>>,
    guard: PurgeGuard,
    clock: Clock,
    /// Bytes of entries appended since the process started, plus what the files held then.
    appended: AtomicU64,
}

/// The log of one node. Clones share it.
#[derive(Clone)]
pub(crate) struct LogStore {
    inner: Arc<Inner>,
}

impl LogStore {
    /// Opens the log in `dir`, which must exist.
    ///
    /// A log file that a killed process left with bytes in the page cache only is synced here: a follower acknowledges the
    /// entries it finds by answering a heartbeat, without writing anything more.
    pub async fn open(dir: &Path, file_bytes_max: usize, guard: PurgeGuard) -> io::Result<Self> {
        let dir = dir.to_str().ok_or_else(|| io::Error::other("the log's path is not UTF-8"))?;
        let mut config = raft_log::Config::new(dir);
        config.wal.chunk_max_size = Some(file_bytes_max.min(LOG_FILE_BYTES_MAX));
        config.wal.flush_batch_wait = Some(LOG_GATHER);
        config.wal.flush_queue_max_bytes = Some(LOG_QUEUE_BYTES_MAX);
        config.wal.read_buffer_size = Some(LOG_READ_BUFFER_BYTES);
        config.log_cache_max_items = Some(LOG_CACHE_ENTRIES_MAX);
        config.log_cache_capacity = Some(LOG_CACHE_BYTES_MAX);
        let config = Arc::new(config);
        let log = match RaftLog::open(Arc::clone(&config)) {
            Err(_) if torn::cut(&config)? => RaftLog::open(config)?,
            opened => opened?,
        };
        let appended = AtomicU64::new(log.on_disk_size());
        let store = Self { inner: Arc::new(Inner { log: RwLock::new(log), guard, clock: Clock::system(), appended }) };
        store.synced(|_| Ok(())).await?;
        Ok(store)
    }

    /// Bytes of all log files.
    pub fn disk_bytes(&self) -> u64 {
        self.inner.log.read().on_disk_size()
    }

    /// Syncs since the process started. Many appends share one.
    pub fn syncs(&self) -> u64 {
        self.inner.log.read().stat().flush_metrics.sync_batch_count
    }

    /// A counter that grows by the bytes of every entry appended.
    pub fn appended_bytes(&self) -> u64 {
        self.inner.appended.load(Ordering::Relaxed)
    }

    /// Waits until all that was written is on stable storage.
    pub async fn settle(&self) -> io::Result<()> {
        self.synced(|_| Ok(())).await
    }

    /// Writes and waits until that write is on stable storage.
    async fn synced(&self, write: impl FnOnce(&mut RaftLog<LogTypes>) -> io::Result<()>) -> io::Result<()> {
        let (done, wait) = oneshot::channel();
        {
            let mut log = self.inner.log.write();
            write(&mut log)?;
            log.flush(true, Some(Synced::Waiter(done)))?;
        }
        wait.await.map_err(|_| io::Error::other("the log's flush thread has ended"))?
    }

    /// Entries from `start` to before `end`, at most about `bytes_max` of them, but at least one if there is one.
    fn read(&self, start: u64, end: u64, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let log = self.inner.log.read();
        let mut bytes = 0;
        let mut entries = Vec::new();
        for item in log.read(start, end) {
            let (key, payload) = item?;
            bytes += payload.size();
            entries.push(Entry::new(key.0, payload.0));
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(entries)
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(n) => *n,
        Bound::Excluded(n) => n + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(n) => n + 1,
        Bound::Excluded(n) => *n,
        Bound::Unbounded => u64::MAX,
    };
    (start, end.max(start))
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = bounds(&range);
        self.read(start, end, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.read(start, end, APPEND_BYTES_MAX)
    }

    /// In pieces, so that replaying a long log does not hold it in memory.
    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let store = self.clone();
        let pieces = stream::unfold(bounds(&range), move |(start, end)| {
            let store = store.clone();
            async move {
                if start >= end {
                    return None;
                }
                match store.read(start, end, APPEND_BYTES_MAX) {
                    Ok(entries) => {
                        let next = entries.last().map_or(end, |entry| entry.log_id.index() + 1);
                        Some((entries.into_iter().map(Ok).collect::<Vec<_>>(), (next, end)))
                    }
                    Err(error) => Some((vec![Err(error)], (end, end))),
                }
            }
        });
        pieces.fuse().flat_map(stream::iter).boxed()
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.inner.log.read().log_state().vote().map(|vote| vote.0))
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let log = self.inner.log.read();
        let state = log.log_state();
        Ok(LogState { last_purged_log_id: state.purged().map(|key| key.0), last_log_id: state.last().map(|key| key.0) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let vote = LogVote(*vote);
        self.synced(|log| log.save_vote(vote).map(drop)).await
    }

    /// Not synced: it only spares the next start a wait. Rides with the next append's sync.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let Some(committed) = committed.map(LogKey) else { return Ok(()) };
        let mut log = self.inner.log.write();
        let state = log.log_state();
        // After a checkpoint is installed the log may end below what it covers, until the purge that follows.
        if state.last() < Some(&committed) || state.committed() >= Some(&committed) {
            return Ok(());
        }
        log.commit(committed)?;
        log.flush(false, None)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.inner.log.read().log_state().committed().map(|key| key.0))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut bytes = 0;
        let mut log = self.inner.log.write();
        log.append(entries.into_iter().map(|entry| {
            bytes += payload_bytes(&entry.payload) as u64;
            (LogKey(entry.log_id), LogPayload(entry.payload))
        }))?;
        self.inner.appended.fetch_add(bytes, Ordering::Relaxed);
        FailPoint::LogAppended.pass();
        let clock = self.inner.clock.clone();
        let appended = clock.now();
        log.flush(true, Some(Synced::Consensus { callback, clock, appended }))
    }

    /// Not waited for: whatever replaces the entries is written behind the truncation and synced with it.
    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let mut log = self.inner.log.write();
        if log.log_state().last() <= last.map(LogKey).as_ref() {
            return Ok(());
        }
        log.truncate(last.map_or(0, |id| id.index() + 1))?;
        log.flush(true, None)
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        (self.inner.guard)(&upto)?;
        let mut log = self.inner.log.write();
        log.purge(LogKey(upto))?;
        FailPoint::LogPurged.pass();
        log.flush(true, None)
    }
}

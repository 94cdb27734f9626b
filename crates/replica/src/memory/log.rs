//! The Raft log of a simulated node, with the promises of the real one: whoever waits is told after a sync that began
//! after his write.

use super::disk::{LogState, MemoryDisk, Record};
use crate::{
    log::{PurgeGuard, payload_bytes},
    types::{Entry, LogId, TypeConfig, Vote},
};
use bulkhead_service::{Env, env::Tasks};
use futures::{Stream, stream};
use openraft::{
    LogState as Bounds, OptionalSend,
    storage::{IOFlushed, RaftLogReader, RaftLogStorage},
};
use parking_lot::Mutex;
use std::{
    fmt::Debug,
    io,
    ops::RangeBounds,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{Notify, oneshot};

/// Who is told when a sync is done.
enum Synced {
    Consensus(IOFlushed<TypeConfig>),
    Waiter(oneshot::Sender<()>),
}

struct Inner {
    disk: MemoryDisk,
    live: Mutex<LogState>,
    waiting: Mutex<Vec<Synced>>,
    written: Notify,
    guard: PurgeGuard,
    appended: AtomicU64,
    syncs: AtomicU64,
}

/// The log of one node. Clones share it.
#[derive(Clone)]
pub(crate) struct MemoryLog {
    inner: Arc<Inner>,
}

impl MemoryLog {
    /// Opens the log on `disk`. What a former process wrote and never synced is synced first.
    ///
    /// # Errors
    /// When that sync fails.
    pub fn open(disk: &MemoryDisk, guard: PurgeGuard, env: &Env) -> io::Result<Self> {
        disk.open_log();
        disk.sync_log(usize::MAX)?;
        let inner = Inner {
            disk: disk.clone(),
            live: Mutex::new(disk.found_log()),
            waiting: Mutex::default(),
            written: Notify::new(),
            guard,
            appended: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
        };
        let log = Self { inner: Arc::new(inner) };
        env.tasks.spawn("log.sync", log.clone().sync(env.tasks.clone()));
        Ok(log)
    }

    pub fn disk_bytes(&self) -> u64 {
        self.inner.live.lock().entries.values().map(|entry| payload_bytes(&entry.payload) as u64).sum()
    }

    pub fn syncs(&self) -> u64 {
        self.inner.syncs.load(Ordering::Relaxed)
    }

    pub fn appended_bytes(&self) -> u64 {
        self.inner.appended.load(Ordering::Relaxed)
    }

    pub async fn settle(&self) -> io::Result<()> {
        let (done, wait) = oneshot::channel();
        self.write(Vec::new(), Some(Synced::Waiter(done)));
        wait.await.map_err(|_| io::Error::other("the log's sync failed"))
    }

    /// One sync after the other, each for all who wait when it begins.
    async fn sync(self, tasks: Tasks) {
        let stopping = tasks.stopping();
        while stopping.run_until_cancelled(self.inner.written.notified()).await.is_some() {
            let waiting = std::mem::take(&mut *self.inner.waiting.lock());
            let (disk, records) = (self.inner.disk.clone(), self.inner.disk.unsynced_records());
            let synced = tasks.blocking(move || disk.sync_log(records)).await.map_err(io::Error::other).flatten();
            self.inner.syncs.fetch_add(1, Ordering::Relaxed);
            for waiter in waiting {
                match (waiter, &synced) {
                    (Synced::Consensus(callback), Ok(())) => callback.io_completed(Ok(())),
                    (Synced::Consensus(callback), Err(error)) => {
                        callback.io_completed(Err(io::Error::other(error.to_string())));
                    }
                    // Who is not told knows nothing.
                    (Synced::Waiter(waiter), synced) => drop(synced.as_ref().map(|()| waiter.send(()))),
                }
            }
        }
    }

    fn write(&self, records: Vec<Record>, waiter: Option<Synced>) {
        let mut live = self.inner.live.lock();
        records.iter().cloned().for_each(|record| live.take(record));
        self.inner.disk.write_log(records);
        self.inner.waiting.lock().extend(waiter);
        self.inner.written.notify_one();
    }
}

impl RaftLogReader<TypeConfig> for MemoryLog {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        Ok(self.inner.live.lock().entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }

    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let entries: Vec<_> = self.inner.live.lock().entries.range(range).map(|(_, entry)| Ok(entry.clone())).collect();
        stream::iter(entries)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.inner.live.lock().vote)
    }
}

impl RaftLogStorage<TypeConfig> for MemoryLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<Bounds<TypeConfig>, io::Error> {
        let live = self.inner.live.lock();
        Ok(Bounds { last_purged_log_id: live.purged, last_log_id: live.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let (done, wait) = oneshot::channel();
        self.write(vec![Record::Vote(*vote)], Some(Synced::Waiter(done)));
        wait.await.map_err(|_| io::Error::other("the log's sync failed"))
    }

    /// Not synced, as in the real one.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let Some(committed) = committed else { return Ok(()) };
        let known = {
            let live = self.inner.live.lock();
            live.last() < Some(committed) || live.committed >= Some(committed)
        };
        if !known {
            self.inner.live.lock().take(Record::Commit(committed));
            self.inner.disk.write_log([Record::Commit(committed)]);
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.inner.live.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut bytes = 0;
        let records = entries.into_iter().map(|entry| {
            bytes += payload_bytes(&entry.payload) as u64;
            Record::Append(entry)
        });
        self.write(records.collect(), Some(Synced::Consensus(callback)));
        self.inner.appended.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        self.write(vec![Record::Truncate(last.map_or(0, |id| id.index() + 1))], None);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        (self.inner.guard)(&upto)?;
        self.write(vec![Record::Purge(upto)], None);
        Ok(())
    }
}

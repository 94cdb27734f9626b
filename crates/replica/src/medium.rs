//! What a replica stands on: files and connections, or a simulated world.

use crate::{
    log::LogStore,
    memory::{MemoryDisk, MemoryLog},
    types::{Entry, LogId, TypeConfig, Vote},
};
use bulkhead_service::client::Client;
use futures::{Stream, StreamExt};
use openraft::{
    LogState, OptionalSend,
    storage::{IOFlushed, RaftLogReader, RaftLogStorage},
};
use std::{fmt::Debug, io, ops::RangeBounds};

/// Where state and log lie.
#[derive(Clone)]
pub(crate) enum Medium {
    /// RocksDB and `raft-log`.
    Files,
    Memory(MemoryDisk),
}

/// Everything below a replica.
pub(crate) struct Ground {
    pub medium: Medium,
    /// Calls the peers.
    pub client: Client,
}

/// The Raft log, on either medium. Clones share it.
#[derive(Clone)]
pub(crate) enum Log {
    Files(LogStore),
    Memory(MemoryLog),
}

impl Log {
    /// Bytes on the medium.
    pub fn disk_bytes(&self) -> u64 {
        match self {
            Self::Files(log) => log.disk_bytes(),
            Self::Memory(log) => log.disk_bytes(),
        }
    }

    /// Syncs since it was opened.
    pub fn syncs(&self) -> u64 {
        match self {
            Self::Files(log) => log.syncs(),
            Self::Memory(log) => log.syncs(),
        }
    }

    /// Waits until all that was written is on stable storage.
    pub async fn settle(&self) -> io::Result<()> {
        match self {
            Self::Files(log) => log.settle().await,
            Self::Memory(log) => log.settle().await,
        }
    }

    /// A counter that grows by the bytes of every entry appended.
    pub fn appended_bytes(&self) -> u64 {
        match self {
            Self::Files(log) => log.appended_bytes(),
            Self::Memory(log) => log.appended_bytes(),
        }
    }
}

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        match self {
            Self::Files(log) => log.try_get_log_entries(range).await,
            Self::Memory(log) => log.try_get_log_entries(range).await,
        }
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        match self {
            Self::Files(log) => log.limited_get_log_entries(start, end).await,
            Self::Memory(log) => log.limited_get_log_entries(start, end).await,
        }
    }

    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        match self {
            Self::Files(log) => log.entries_stream(range).await.left_stream(),
            Self::Memory(log) => log.entries_stream(range).await.right_stream(),
        }
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        match self {
            Self::Files(log) => log.read_vote().await,
            Self::Memory(log) => log.read_vote().await,
        }
    }
}

impl RaftLogStorage<TypeConfig> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        match self {
            Self::Files(log) => log.get_log_state().await,
            Self::Memory(log) => log.get_log_state().await,
        }
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        match self {
            Self::Files(log) => log.save_vote(vote).await,
            Self::Memory(log) => log.save_vote(vote).await,
        }
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        match self {
            Self::Files(log) => log.save_committed(committed).await,
            Self::Memory(log) => log.save_committed(committed).await,
        }
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        match self {
            Self::Files(log) => log.read_committed().await,
            Self::Memory(log) => log.read_committed().await,
        }
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        match self {
            Self::Files(log) => log.append(entries, callback).await,
            Self::Memory(log) => log.append(entries, callback).await,
        }
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        match self {
            Self::Files(log) => log.truncate_after(last).await,
            Self::Memory(log) => log.truncate_after(last).await,
        }
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        match self {
            Self::Files(log) => log.purge(upto).await,
            Self::Memory(log) => log.purge(upto).await,
        }
    }
}

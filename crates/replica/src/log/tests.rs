//! openraft's own conformance suite on the real log and the real state store, and what the suite does not ask.

use super::*;
use crate::{
    apply::StateMachine,
    machine::{Applied, Family, Machine, Reader, StoreError},
    medium::Medium,
    snapshot::Checkpoints,
    store::{Make, Store},
    types::Command,
};
use bulkhead_service::env::Tasks;
use openraft::{
    EntryPayload, StorageError,
    impls::leader_id_adv::LeaderId,
    storage::RaftLogStorageExt,
    testing::log::{StoreBuilder, Suite},
    type_config::TypeConfigExt,
};
use tempfile::TempDir;

struct Nowhere;

impl Machine for Nowhere {
    fn families(&self) -> &'static [Family] {
        &[Family { index: 0, name: "f", large_values: false }]
    }

    fn apply(&self, _view: &dyn Reader, _command: &[u8]) -> Result<Applied, StoreError> {
        Ok(Applied::default())
    }
}

struct Fresh;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Fresh {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let dir = TempDir::new().expect("a directory");
        let machine = Arc::new(Nowhere);
        let store = Store::open(dir.path().join("state"), machine.families(), 1 << 20, Medium::Files, Make::Absent)
            .expect("a state");
        let checkpoints = Checkpoints::open(dir.path()).expect("checkpoints");
        let log = open(dir.path()).await;
        let (store, checkpoints, tasks) = (Arc::new(store), Arc::new(checkpoints), Tasks::default());
        let state = StateMachine { store, machine, checkpoints, tasks };
        Ok((dir, log, state))
    }
}

async fn open(dir: &Path) -> LogStore {
    let dir = dir.join("log");
    std::fs::create_dir_all(&dir).expect("a directory");
    LogStore::open(&dir, 64 << 10, Box::new(|_| Ok(()))).await.expect("a log")
}

fn entry(index: u64, bytes: usize) -> Entry {
    let id = LogId::new(LeaderId { term: 1, node_id: 1 }, index);
    Entry::new(id, EntryPayload::Normal(Command(vec![7; bytes].into())))
}

#[test]
fn the_log_and_the_state_pass_openrafts_suite() {
    TypeConfig::run(async { Suite::test_all(Fresh).await }).expect("openraft's suite");
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_the_process_is_gone() {
    let dir = TempDir::new().expect("a directory");
    let mut log = open(dir.path()).await;
    let vote = Vote::new(3, 2);
    log.save_vote(&vote).await.expect("a vote");
    log.blocking_append((1..=200).map(|index| entry(index, 1000))).await.expect("appended");
    log.save_committed(Some(entry(150, 0).log_id)).await.expect("committed");
    log.save_committed(Some(entry(999, 0).log_id)).await.expect("beyond the end: skipped");
    log.truncate_after(Some(entry(190, 0).log_id)).await.expect("truncated");
    log.purge(entry(100, 0).log_id).await.expect("purged");
    log.blocking_append([entry(191, 5)]).await.expect("appended");
    drop(log);

    let mut log = open(dir.path()).await;
    assert_eq!(log.read_vote().await.expect("readable"), Some(vote));
    assert_eq!(log.read_committed().await.expect("readable").map(|id| id.index()), Some(150));
    let state = log.get_log_state().await.expect("readable");
    assert_eq!(state.last_purged_log_id.map(|id| id.index()), Some(100));
    assert_eq!(state.last_log_id.map(|id| id.index()), Some(191));
    let entries = log.try_get_log_entries(..).await.expect("readable");
    let indexes: Vec<u64> = entries.iter().map(|entry| entry.log_id.index()).collect();
    assert_eq!(indexes, (101..=191).collect::<Vec<_>>());
    assert_eq!(entries[0].payload, entry(101, 1000).payload);
}

#[tokio::test]
async fn appends_and_votes_are_acknowledged_only_after_a_sync() {
    let dir = TempDir::new().expect("a directory");
    let mut log = open(dir.path()).await;
    for index in 1..=5 {
        let before = log.syncs();
        log.blocking_append([entry(index, 10)]).await.expect("appended");
        let between = log.syncs();
        log.save_vote(&Vote::new(index, 2)).await.expect("a vote");
        assert!(before < between && between < log.syncs(), "entry {index}: {before}, {between}, {} syncs", log.syncs());
    }
}

#[tokio::test]
async fn a_record_that_a_crash_cut_off_is_dropped_and_nothing_before_it() {
    let dir = TempDir::new().expect("a directory");
    let mut log = open(dir.path()).await;
    log.blocking_append((1..=3).map(|index| entry(index, 1000))).await.expect("appended");
    drop(log);
    let newest = crate::store::files::children(&dir.path().join("log")).expect("listable");
    let newest = newest.iter().rfind(|path| path.extension().is_some_and(|e| e == "wal")).expect("a log file");
    let file = std::fs::OpenOptions::new().write(true).open(newest).expect("writable");
    file.set_len(file.metadata().expect("a length").len() - 10).expect("cut");

    let mut log = open(dir.path()).await;
    assert_eq!(log.get_log_state().await.expect("readable").last_log_id.map(|id| id.index()), Some(2));
    log.blocking_append([entry(3, 10)]).await.expect("the log goes on");
    drop(log);
    let mut log = open(dir.path()).await;
    assert_eq!(log.try_get_log_entries(3..=3).await.expect("readable"), [entry(3, 10)]);
}

#[tokio::test]
async fn purged_files_leave_the_disk_and_a_refused_purge_leaves_them() {
    let dir = TempDir::new().expect("a directory");
    std::fs::create_dir_all(dir.path().join("log")).expect("a directory");
    let guard: PurgeGuard = Box::new(|upto| match upto.index() {
        ..=150 => Ok(()),
        _ => Err(io::Error::other("not durable yet")),
    });
    let mut log = LogStore::open(&dir.path().join("log"), 64 << 10, guard).await.expect("a log");
    log.blocking_append((1..=200).map(|index| entry(index, 4096))).await.expect("appended");
    let full = log.disk_bytes();
    assert!(log.purge(entry(160, 0).log_id).await.is_err());
    assert_eq!(log.disk_bytes(), full);
    log.purge(entry(150, 0).log_id).await.expect("purged");
    assert!(log.disk_bytes() < full / 2, "{} of {full} bytes are left", log.disk_bytes());
}

#[tokio::test]
async fn one_read_for_a_follower_is_bounded_in_bytes_and_never_empty() {
    let dir = TempDir::new().expect("a directory");
    let mut log = open(dir.path()).await;
    log.blocking_append((1..=12).map(|index| entry(index, 1 << 20))).await.expect("appended");
    let read = log.limited_get_log_entries(1, 13).await.expect("readable");
    assert!((1..=5).contains(&read.len()), "{} entries of 1 MiB", read.len());
    assert_eq!(log.read(7, 13, 1).expect("readable").len(), 1);
    let all: Vec<_> = log.entries_stream(1..13).await.collect().await;
    assert_eq!(all.len(), 12);
}

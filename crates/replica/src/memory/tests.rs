//! The simulated disk: openraft's own conformance suite on it, and what a crash leaves.

use super::*;
use crate::{
    apply::StateMachine,
    machine::{Applied, Machine},
    medium::Medium,
    snapshot::Checkpoints,
    store::{Make, Store},
    types::{Command, Entry, LogId, TypeConfig},
};
use bulkhead_service::{Env, env::Rng};
use openraft::{
    EntryPayload, StorageError,
    entry::RaftEntry,
    impls::leader_id_adv::LeaderId,
    storage::{RaftLogReader, RaftLogStorage, RaftLogStorageExt},
    testing::log::{StoreBuilder, Suite},
    type_config::TypeConfigExt,
};
use std::sync::Arc;
use tempfile::TempDir;

const FAMILY: Family = Family { index: 0, name: "f", large_values: false };

struct Nowhere;

impl Machine for Nowhere {
    fn families(&self) -> &'static [Family] {
        &[FAMILY]
    }

    fn apply(&self, _view: &dyn Reader, _command: &[u8]) -> Result<Applied, StoreError> {
        Ok(Applied::default())
    }
}

struct Fresh;

impl StoreBuilder<TypeConfig, MemoryLog, StateMachine, TempDir> for Fresh {
    async fn build(&self) -> Result<(TempDir, MemoryLog, StateMachine), StorageError<TypeConfig>> {
        let (dir, disk, env) = (TempDir::new().expect("a directory"), MemoryDisk::default(), Env::for_tests(1));
        let store = state(&dir, &disk);
        let checkpoints = Arc::new(Checkpoints::open(dir.path()).expect("checkpoints"));
        let log = MemoryLog::open(&disk, Box::new(|_| Ok(())), &env).expect("a log");
        let (machine, tasks) = (Arc::new(Nowhere), env.tasks);
        Ok((dir, log, StateMachine { store: Arc::new(store), machine, checkpoints, tasks }))
    }
}

fn state(dir: &TempDir, disk: &MemoryDisk) -> Store {
    let medium = Medium::Memory(disk.clone());
    Store::open(dir.path().join("state"), &[FAMILY], 0, medium, Make::Absent).expect("a state")
}

#[test]
fn the_simulated_log_and_state_pass_openrafts_suite() {
    TypeConfig::run(async { Suite::test_all(Fresh).await }).expect("openraft's suite");
}

fn id(index: u64) -> LogId {
    LogId::new(LeaderId { term: 1, node_id: 1 }, index)
}

fn write(store: &Store, index: u64) {
    let database = store.database();
    let mut batch = database.batch();
    database.put(&mut batch, FAMILY, &index.to_be_bytes(), b"v").expect("memory");
    database.commit(batch, &id(index), None, None).expect("memory");
}

#[test]
fn a_crash_keeps_what_was_synced_and_a_beginning_of_the_rest() {
    for seed in 0..50 {
        let (dir, disk) = (TempDir::new().expect("a directory"), MemoryDisk::default());
        let store = state(&dir, &disk);
        (0..10).for_each(|index| write(&store, index));
        store.harden(&id(9)).expect("applied");
        (10..20).for_each(|index| write(&store, index));
        drop(store);
        disk.crash(&Rng::from_seed(seed));
        let database = state(&dir, &disk).database();
        let last = database.applied().expect("memory").last.expect("ten were synced").index();
        assert!((9..20).contains(&last), "applied up to {last}");
        for index in 0..20_u64 {
            let found = database.get(FAMILY, &index.to_be_bytes()).expect("memory").is_some();
            assert_eq!(found, index <= last, "entry {index} of {last}");
        }
    }
}

#[tokio::test]
async fn an_acknowledged_append_survives_a_crash() {
    for seed in 0..50 {
        let (disk, env) = (MemoryDisk::default(), Env::for_tests(seed));
        let mut log = MemoryLog::open(&disk, Box::new(|_| Ok(())), &env).expect("a log");
        let entry = |index| Entry::new(id(index), EntryPayload::Normal(Command(vec![7; 9].into())));
        log.blocking_append((0..5).map(entry)).await.expect("appended");
        log.truncate_after(Some(id(3))).await.expect("truncated");
        disk.crash(&Rng::from_seed(seed));
        let mut log = MemoryLog::open(&disk, Box::new(|_| Ok(())), &env).expect("a log");
        let last = log.get_log_state().await.expect("memory").last_log_id;
        assert!(last == Some(id(3)) || last == Some(id(4)), "{last:?}");
        assert!(log.try_get_log_entries(0..4).await.expect("memory").len() == 4);
    }
}

#[tokio::test]
async fn a_sync_that_fails_is_told_and_what_it_lost_stays_lost() {
    for seed in 0..20 {
        let (disk, env) = (MemoryDisk::default(), Env::for_tests(seed));
        let mut log = MemoryLog::open(&disk, Box::new(|_| Ok(())), &env).expect("a log");
        let entry = |index| Entry::new(id(index), EntryPayload::Normal(Command(vec![7; 9].into())));
        log.blocking_append((0..2).map(entry)).await.expect("appended");
        disk.fail_sync(Rng::from_seed(seed));
        assert!(log.blocking_append((2..6).map(entry)).await.is_err(), "not durable");
        assert!(log.blocking_append((6..8).map(entry)).await.is_err(), "nothing gets behind a gap");
        let lost = disk.counts().lost;
        let mut log = MemoryLog::open(&disk, Box::new(|_| Ok(())), &env).expect("a log");
        let last = log.get_log_state().await.expect("memory").last_log_id;
        assert_eq!(last.map(|last| last.index), Some(5 - lost), "seed {seed}");
    }
}

fn put(key: &str) -> Mutation {
    Mutation::Put { family: FAMILY, key: key.into(), value: key.into() }
}

#[test]
fn a_cursor_walks_in_byte_order_from_where_it_was_put() {
    let mut store = MemoryStore::default();
    store.write(vec![put("c"), put("a"), put("b"), Mutation::Delete { family: FAMILY, key: b"c".to_vec() }]);
    let mut cursor = store.cursor(FAMILY);
    assert_eq!(cursor.entry(), None);
    cursor.seek(b"aa").expect("memory");
    assert_eq!(cursor.entry(), Some((&b"b"[..], &b"b"[..])));
    cursor.advance().expect("memory");
    assert_eq!(cursor.entry(), None);
    cursor.seek(b"").expect("memory");
    assert_eq!(cursor.entry(), Some((&b"a"[..], &b"a"[..])));
}

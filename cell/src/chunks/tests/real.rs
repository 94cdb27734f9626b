//! The store on real files.

use super::*;
use crate::chunks::{
    disk::{Disk as _, RealDisk},
    extent::ExtentId,
    format::{PAGE_BYTES, record_bytes},
};
use std::{fs, os::unix::fs::FileExt as _, path::Path};

const LEN: u32 = 150_000;

async fn open_real(dir: &Path) -> LocalStore {
    let disk = RealDisk::open(dir).expect("the directory is free");
    LocalStore::open(config(1), Arc::new(disk), &Env::system()).await.expect("the store opens")
}

#[tokio::test]
async fn what_was_put_is_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open_real(dir.path()).await;
    let puts = (0..20).map(|number| store.put(chunk(number, LEN), deadline()));
    futures::future::try_join_all(puts).await.expect("stored");
    store.shutdown().await;
    drop(store);
    let store = open_real(dir.path()).await;
    assert_eq!((store.recovered().chunks, store.recovered().scanned), (20, 0));
    for number in 0..20 {
        assert_eq!(read(&store, number, LEN).await, Ok(bytes(number, LEN)));
    }
}

/// The files as `kill -9` leaves them in the middle of a write: no footer, and the last record half there.
#[tokio::test]
async fn a_record_half_written_when_the_process_was_killed_is_cut_off() {
    let (dir, killed) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let store = open_real(dir.path()).await;
    for number in 0..3 {
        store.put(chunk(number, LEN), deadline()).await.expect("stored");
    }
    let name = ExtentId(0).to_string();
    fs::copy(dir.path().join(&name), killed.path().join(&name)).expect("copied while the store is running");
    let file = fs::OpenOptions::new().write(true).open(killed.path().join(&name)).expect("there");
    let third = PAGE_BYTES + 2 * record_bytes(LEN);
    file.write_all_at(&[0; 90_000], third + 60_000).expect("the end of the third record was not written");
    fs::write(killed.path().join(format!("{}.new", ExtentId(1))), b"an extent whose creation was cut short")
        .expect("written");

    let store = open_real(killed.path()).await;
    assert_eq!((store.recovered().chunks, store.recovered().damaged_records), (2, 1));
    for number in 0..2 {
        assert_eq!(read(&store, number, LEN).await, Ok(bytes(number, LEN)));
    }
    assert_eq!(read(&store, 2, LEN).await, Err(ReadError::Missing));
    store.put(chunk(2, LEN), deadline()).await.expect("stored again");
    store.shutdown().await;
    drop(store);
    let names = RealDisk::open(killed.path()).and_then(|disk| disk.list()).expect("listed");
    assert!(names.iter().all(|name| !name.ends_with(".new")), "{names:?}");
    let store = open_real(killed.path()).await;
    assert_eq!((store.recovered().chunks, store.recovered().scanned), (3, 0));
}

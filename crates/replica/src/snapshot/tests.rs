//! Checkpoints: taken, sent, received, and what is left of those that were not finished.

use super::*;
use crate::{
    machine::{Family, Reader},
    medium::Medium,
    store::{Make, Store},
    types::{LogId, Vote},
};
use bulkhead_service::env::Tasks;
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use openraft::impls::leader_id_adv::LeaderId;
use tempfile::TempDir;

const LARGE: Family = Family { index: 0, name: "large", large_values: true };
static FAMILIES: [Family; 1] = [LARGE];

fn id(index: u64) -> LogId {
    LogId::new(LeaderId { term: 1, node_id: 1 }, index)
}

fn state(dir: &TempDir, index: u64) -> Store {
    let store =
        Store::open(dir.path().join("state"), &FAMILIES, 1 << 20, Medium::Files, Make::Absent).expect("a state");
    let database = store.database();
    let mut batch = database.batch();
    database.put(&mut batch, LARGE, b"k", &vec![7; 300_000]).expect("a family");
    database.commit(batch, &id(index), None, None).expect("written");
    drop(database);
    store
}

fn names(dir: &Path) -> Vec<String> {
    let paths = files::children(dir).expect("listable");
    paths.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
}

async fn bytes(saved: &Arc<Saved>) -> Vec<u8> {
    let head = head(Vote::new_committed(1, 1), saved).expect("readable");
    let pieces: BytesMut = body(&head, Arc::clone(saved), Tasks::default())
        .expect("small")
        .try_collect::<Vec<Bytes>>()
        .await
        .expect("readable")
        .concat()
        .as_slice()
        .into();
    pieces.to_vec()
}

#[test]
fn the_newest_whole_checkpoint_is_found_again_and_the_rest_is_deleted() {
    let dir = TempDir::new().expect("a directory");
    let store = state(&dir, 5);
    let checkpoints = Checkpoints::open(dir.path()).expect("checkpoints");
    let first = checkpoints.take(&store.database(), &FAMILIES).expect("taken");
    let second = checkpoints.take(&store.database(), &FAMILIES).expect("taken");
    assert!(first.database().exists(), "the first is still in use");
    drop(first);
    assert_eq!(names(&dir.path().join("checkpoints")), ["c-0000000002"]);
    drop((second, checkpoints));

    fs::create_dir_all(dir.path().join("checkpoints/c-0000000003.tmp/db")).expect("half made");
    fs::create_dir_all(dir.path().join("checkpoints/c-0000000004/db")).expect("without META");
    fs::create_dir_all(dir.path().join("incoming/i-0000000009.tmp/db")).expect("half received");
    fs::create_dir_all(dir.path().join("incoming/i-0000000010/db")).expect("received, never installed");
    let checkpoints = Checkpoints::open(dir.path()).expect("checkpoints");
    assert_eq!(checkpoints.current().expect("one").applied().last, Some(id(5)));
    assert_eq!(names(&dir.path().join("checkpoints")), ["c-0000000002"]);
    assert!(names(&dir.path().join("incoming")).is_empty());
}

#[tokio::test]
async fn a_checkpoint_arrives_whole_and_can_be_installed() {
    let (from, to) = (TempDir::new().expect("a directory"), TempDir::new().expect("a directory"));
    let store = state(&from, 5);
    let saved = Checkpoints::open(from.path()).expect("checkpoints").take(&store.database(), &FAMILIES).expect("taken");
    let sent = bytes(&saved).await;

    let receiving = Checkpoints::open(to.path()).expect("checkpoints");
    let (vote, received) = receive(&receiving, &Tasks::default(), sent.as_slice()).await.expect("received");
    assert_eq!((vote, received.applied().last), (Vote::new_committed(1, 1), Some(id(5))));
    let other = Store::open(to.path().join("state"), &FAMILIES, 1 << 20, Medium::Files, Make::Absent).expect("a state");
    other.replace(&received.database(), Some(&id(5))).expect("installed");
    drop(received);
    assert!(names(&to.path().join("incoming")).is_empty(), "it was copied and is not needed");
    let value = other.view().get(LARGE, b"k").expect("readable").expect("there");
    assert_eq!(value, vec![7; 300_000]);
}

#[tokio::test]
async fn a_damaged_or_short_checkpoint_is_refused_and_leaves_nothing() {
    let (from, to) = (TempDir::new().expect("a directory"), TempDir::new().expect("a directory"));
    let store = state(&from, 5);
    let saved = Checkpoints::open(from.path()).expect("checkpoints").take(&store.database(), &FAMILIES).expect("taken");
    let sent = bytes(&saved).await;
    let receiving = Checkpoints::open(to.path()).expect("checkpoints");
    let mut flipped = sent.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    assert!(receive(&receiving, &Tasks::default(), flipped.as_slice()).await.is_err());
    assert!(receive(&receiving, &Tasks::default(), &sent[..sent.len() - 4]).await.is_err());
    assert!(receive(&receiving, &Tasks::default(), &sent[..3]).await.is_err());
    assert!(names(&to.path().join("incoming")).is_empty());
    assert!(receive(&receiving, &Tasks::default(), sent.as_slice()).await.is_ok());
}

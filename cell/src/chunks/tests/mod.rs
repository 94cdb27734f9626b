//! Tests of the store as a whole, and what they share.

pub mod compaction;
mod crashes;
mod damage;
mod faults;
mod group_commit;
mod jobs;
mod model;
mod real;
mod replication;

use crate::chunks::{
    ChunkId, LocalConfig, LocalStore, ReadError,
    disk::FaultyDisk,
    payload::{Chunk, Payload},
};
use bulkhead_model::{AccountId, NodeId};
use bulkhead_service::{Env, env::Rng};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Small, so that a few chunks fill an extent.
pub const EXTENT_BYTES: u64 = 1 << 20;
pub const CHUNK_BYTES: u32 = 200 << 10;
const ROOM: u64 = 1 << 40;

pub fn config(node: u64) -> LocalConfig {
    LocalConfig { node: NodeId(node), extent_bytes: EXTENT_BYTES, chunk_bytes: CHUNK_BYTES }
}

pub fn id(number: u64) -> ChunkId {
    ChunkId { blob: (1 << 64) | u128::from(number), index: 7 }
}

pub fn account() -> AccountId {
    AccountId::new(123_456_789_012).expect("12 digits")
}

/// The bytes that the chunk of this number and length has in all tests.
pub fn bytes(number: u64, len: u32) -> Bytes {
    let mut bytes = vec![0; len as usize];
    Rng::from_seed(number).fill(&mut bytes);
    bytes.into()
}

pub fn chunk(number: u64, len: u32) -> Chunk {
    Chunk { id: id(number), account: account(), payload: Payload::seal(bytes(number, len)) }
}

/// Far enough away never to come.
pub fn deadline() -> Instant {
    Env::system().clock.now() + Duration::from_secs(60)
}

pub async fn open(disk: &FaultyDisk) -> LocalStore {
    let env = Env::for_tests(7);
    LocalStore::open(config(1), Arc::new(disk.clone()), &env).await.expect("the store opens")
}

pub fn disk(seed: u64) -> FaultyDisk {
    FaultyDisk::new(seed, ROOM)
}

/// The whole chunk, as the store has it.
pub async fn read(store: &LocalStore, number: u64, len: u32) -> Result<Bytes, ReadError> {
    let blocks = store.read(id(number), 0..len, deadline()).await?;
    Ok(blocks.cut(&(0..len)).expect("the store returned the blocks asked for"))
}

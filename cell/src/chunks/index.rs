//! Where each chunk lies, in memory. Rebuilt from the extents at open; never a second source of truth.
//!
//! It names durable records only. Of several records of one chunk the last one written counts.

use crate::chunks::{
    ChunkId,
    extent::{Extent, ExtentId},
    format::{FooterEntry, PAGE_BYTES},
};
use parking_lot::RwLock;
use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

/// Tables, so that one which grows holds up only its own readers.
const SHARDS: usize = 64;

/// A chunk's record. 16 bytes, since there may be many millions of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    pub extent: ExtentId,
    /// Offset of the head, in pages.
    page: u32,
    pub len: u32,
    /// CRC32C of the CRC table: two chunks with equal length and table CRC are the same bytes.
    pub table_crc: u32,
}

impl Location {
    /// Where the record of a footer entry lies.
    pub fn new(extent: ExtentId, entry: &FooterEntry) -> Self {
        let page =
            u32::try_from(entry.offset / PAGE_BYTES).expect("an extent of at most 4 GiB has at most a million pages");
        Self { extent, page, len: entry.head.len, table_crc: entry.head.table_crc }
    }

    /// Of the head, bytes.
    pub fn offset(&self) -> u64 {
        u64::from(self.page) * PAGE_BYTES
    }
}

/// [`ChunkId`] without the padding that a 16-byte alignment costs.
#[derive(PartialEq, Eq, Hash)]
struct Key(u64, u64, u32);

impl Key {
    fn new(id: ChunkId) -> Self {
        let [high, low] =
            [id.blob >> 64, id.blob & u128::from(u64::MAX)].map(|half| u64::try_from(half).expect("half of 128 bits"));
        Self(high, low, id.index)
    }
}

/// All extents, and the chunks in them.
pub struct Index {
    hasher: RandomState,
    shards: Vec<RwLock<HashMap<Key, Location>>>,
    extents: RwLock<BTreeMap<ExtentId, Arc<Extent>>>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            extents: RwLock::default(),
        }
    }
}

impl Index {
    fn shard(&self, key: &Key) -> &RwLock<HashMap<Key, Location>> {
        let hash = self.hasher.hash_one(key);
        &self.shards[usize::try_from(hash % SHARDS as u64).expect("below the number of shards")]
    }

    pub fn add_extent(&self, extent: Arc<Extent>) {
        self.extents.write().insert(extent.id, extent);
    }

    pub fn get(&self, id: ChunkId) -> Option<Location> {
        let key = Key::new(id);
        self.shard(&key).read().get(&key).copied()
    }

    /// The extent with this number, if it can be read.
    pub fn extent(&self, id: ExtentId) -> Option<Arc<Extent>> {
        self.extents.read().get(&id).cloned()
    }

    /// From now on the chunk is at `location`, which is durable.
    pub fn insert(&self, id: ChunkId, location: Location) {
        let key = Key::new(id);
        self.shard(&key).write().insert(key, location);
    }

    /// Forgets a record found damaged, unless another has taken its place.
    pub fn forget(&self, id: ChunkId, damaged: Location) {
        let key = Key::new(id);
        let mut shard = self.shard(&key).write();
        if shard.get(&key) == Some(&damaged) {
            shard.remove(&key);
        }
    }

    /// Number of chunks.
    pub fn chunks(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    /// Number of extents.
    pub fn extents(&self) -> usize {
        self.extents.read().len()
    }
}

//! Where each chunk lies, and how much of each extent is alive, in memory. Rebuilt from the extents at open; never a second source of truth.
//!
//! - It names durable records only. Of several records of one chunk the last one written counts.
//! - One lock for all of it, held for no longer than a lookup or a bounded batch: a location is handed out together with its extent, so that
//!   an extent that is given up meanwhile stays readable for whoever found it.
//! - A record found damaged is remembered until another takes its place or the chunk is freed: its extent is kept, since what one read could
//!   not have another may.

use crate::{
    chunks::{
        ChunkId,
        extent::{Extent, ExtentId},
        format::{FooterEntry, PAGE_BYTES, record_bytes},
    },
    limits::FREED_AT_ONCE_MAX,
};
use parking_lot::RwLock;
use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

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

/// [`ChunkId`] without the padding that a 16-byte alignment costs. In the same order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64, u64, u32);

impl From<ChunkId> for Key {
    fn from(id: ChunkId) -> Self {
        let [high, low] =
            [id.blob >> 64, id.blob & u128::from(u64::MAX)].map(|half| u64::try_from(half).expect("half of 128 bits"));
        Self(high, low, id.index)
    }
}

impl From<Key> for ChunkId {
    fn from(Key(high, low, index): Key) -> Self {
        Self { blob: (u128::from(high) << 64) | u128::from(low), index }
    }
}

/// What may be done with an extent.
///
/// ```text
///  Open ─► Sealed ─► trash
///    └───► Failed ────┘ └─► Kept      to stay until the next open
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtentState {
    /// The writer appends to it.
    Open,
    /// It never changes again.
    Sealed,
    /// A write, a sync or its sealing failed: it has no footer, and nothing more is written to it.
    Failed,
    /// Parts of it could not be read, so that it may hold chunks that nobody knows of; or it could not be renamed. It is left as it is.
    Kept,
}

/// What an extent holds. Bytes are those of whole records, heads and padding included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub state: ExtentState,
    /// Of the records that the index names.
    pub live: u64,
    /// Behind the header: records alive or dead, and what a failure made unusable.
    pub used: u64,
    /// Records found damaged, and neither replaced nor freed.
    pub corrupt: u32,
}

impl Usage {
    /// An extent of which the index names nothing yet.
    pub fn new(state: ExtentState, used: u64) -> Self {
        Self { state, live: 0, used, corrupt: 0 }
    }

    /// Bytes of records that nobody needs, or that are damaged.
    pub fn dead(&self) -> u64 {
        self.used.saturating_sub(self.live)
    }
}

/// Chunks that nobody needs any more, and the bytes of their records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freed {
    pub chunks: u64,
    pub bytes: u64,
}

/// An extent, and what is known of it.
#[derive(Clone)]
pub struct Held {
    pub extent: Arc<Extent>,
    pub usage: Usage,
    /// Every record that was acknowledged, when no footer says it.
    pub entries: Option<Arc<[FooterEntry]>>,
}

impl Held {
    pub fn new(extent: Arc<Extent>, usage: Usage) -> Self {
        Self { extent, usage, entries: None }
    }

    fn is_empty(&self) -> bool {
        let ended = match self.usage.state {
            ExtentState::Sealed | ExtentState::Failed => true,
            ExtentState::Open | ExtentState::Kept => false,
        };
        ended && self.usage.live == 0 && self.usage.corrupt == 0
    }
}

/// All extents, and the chunks in them.
#[derive(Default)]
pub struct Index {
    tables: RwLock<Tables>,
}

#[derive(Default)]
struct Tables {
    chunks: BTreeMap<Key, Location>,
    /// The last known record of chunks of which no whole one is known.
    corrupt: BTreeMap<Key, Location>,
    extents: BTreeMap<ExtentId, Held>,
}

impl Tables {
    fn usage(&mut self, extent: ExtentId, change: impl FnOnce(&mut Usage)) {
        if let Some(held) = self.extents.get_mut(&extent) {
            change(&mut held.usage);
        }
    }

    fn dies(&mut self, dead: Location) {
        self.usage(dead.extent, |usage| usage.live = usage.live.saturating_sub(record_bytes(dead.len)));
    }

    /// No longer remembers a damaged record of the chunk.
    fn settle(&mut self, key: Key) {
        if let Some(damaged) = self.corrupt.remove(&key) {
            self.usage(damaged.extent, |usage| usage.corrupt = usage.corrupt.saturating_sub(1));
        }
    }

    fn insert(&mut self, key: Key, location: Location) {
        self.settle(key);
        if let Some(before) = self.chunks.insert(key, location) {
            self.dies(before);
        }
        self.usage(location.extent, |usage| usage.live += record_bytes(location.len));
    }
}

impl Index {
    pub fn add_extent(&self, held: Held) {
        self.tables.write().extents.insert(held.extent.id, held);
    }

    /// What is known of an extent.
    pub fn extent(&self, id: ExtentId) -> Option<Held> {
        self.tables.read().extents.get(&id).cloned()
    }

    /// The extent, if nothing in it is needed and nothing will be written to it.
    pub fn emptied(&self, id: ExtentId) -> Option<Held> {
        self.extent(id).filter(Held::is_empty)
    }

    /// An extent that is in trash now.
    pub fn remove_extent(&self, id: ExtentId) {
        self.tables.write().extents.remove(&id);
    }

    /// An extent that was in trash.
    pub fn put_back(&self, held: Held) {
        let usage = Usage::new(held.usage.state, held.usage.used);
        self.add_extent(Held { usage, ..held });
    }

    /// The extent is now in this state, with so many bytes used behind its header.
    pub fn set_extent(&self, id: ExtentId, state: ExtentState, used: u64) {
        self.tables.write().usage(id, |usage| (usage.state, usage.used) = (state, used));
    }

    /// Nothing more is written to the extent, and no footer says what is in it: `entries` does.
    pub fn extent_failed(&self, id: ExtentId, used: u64, entries: &[FooterEntry]) {
        let mut tables = self.tables.write();
        tables.usage(id, |usage| (usage.state, usage.used) = (ExtentState::Failed, used));
        if let Some(held) = tables.extents.get_mut(&id) {
            held.entries = Some(entries.into());
        }
    }

    pub fn get(&self, id: ChunkId) -> Option<Location> {
        self.tables.read().chunks.get(&id.into()).copied()
    }

    /// Where the chunk lies, and the extent to read it from.
    pub fn find(&self, id: ChunkId) -> Option<(Location, Arc<Extent>)> {
        let tables = self.tables.read();
        let location = *tables.chunks.get(&id.into())?;
        tables.extents.get(&location.extent).map(|held| (location, Arc::clone(&held.extent)))
    }

    /// From now on the chunk is at `location`, which is durable.
    pub fn insert(&self, id: ChunkId, location: Location) {
        self.tables.write().insert(id.into(), location);
    }

    /// The chunk is at `location`, unless another record of it is known.
    pub fn insert_absent(&self, id: ChunkId, location: Location) {
        let (key, mut tables) = (Key::from(id), self.tables.write());
        if !tables.chunks.contains_key(&key) {
            tables.insert(key, location);
        }
    }

    /// The chunk has moved from `from` to `to`, which is durable. Does nothing, and says so, when it is no longer at `from`.
    pub fn switch(&self, id: ChunkId, from: Location, to: Location) -> bool {
        let (key, mut tables) = (Key::from(id), self.tables.write());
        let there = tables.chunks.get(&key) == Some(&from);
        if there {
            tables.insert(key, to);
        }
        there
    }

    /// Gives up a record found damaged, unless another has taken its place.
    pub fn forget(&self, id: ChunkId, damaged: Location) {
        let (key, mut tables) = (Key::from(id), self.tables.write());
        if tables.chunks.get(&key) == Some(&damaged) {
            tables.chunks.remove(&key);
            tables.dies(damaged);
            tables.corrupt.insert(key, damaged);
            tables.usage(damaged.extent, |usage| usage.corrupt += 1);
        }
    }

    /// Forgets chunks that nobody needs any more.
    pub fn free(&self, ids: &[ChunkId]) -> Freed {
        let mut freed = Freed::default();
        for batch in ids.chunks(FREED_AT_ONCE_MAX) {
            let mut tables = self.tables.write();
            for key in batch.iter().copied().map(Key::from) {
                tables.settle(key);
                if let Some(dead) = tables.chunks.remove(&key) {
                    tables.dies(dead);
                    freed.chunks += 1;
                    freed.bytes += record_bytes(dead.len);
                }
            }
        }
        freed
    }

    /// The first `max` chunks behind `after`, in the order of their ids.
    pub fn page(&self, after: Option<ChunkId>, max: usize) -> Vec<ChunkId> {
        let from = after.map_or(Unbounded, |after| Excluded(Key::from(after)));
        self.tables.read().chunks.range((from, Unbounded)).take(max).map(|(key, _)| (*key).into()).collect()
    }

    /// Number of chunks.
    pub fn chunks(&self) -> usize {
        self.tables.read().chunks.len()
    }

    /// Number of chunks whose last record is damaged.
    pub fn corrupt(&self) -> usize {
        self.tables.read().corrupt.len()
    }

    /// Number of extents.
    pub fn extents(&self) -> usize {
        self.tables.read().extents.len()
    }

    /// What each extent holds, the oldest first.
    pub fn usages(&self) -> Vec<(ExtentId, Usage)> {
        self.tables.read().extents.iter().map(|(id, held)| (*id, held.usage)).collect()
    }
}

#[cfg(test)]
impl Index {
    /// What each extent holds, counted anew from the chunks.
    pub fn recount(&self) -> BTreeMap<ExtentId, (u64, u32)> {
        let tables = self.tables.read();
        let mut counted: BTreeMap<_, _> = tables.extents.keys().map(|id| (*id, (0, 0))).collect();
        for location in tables.chunks.values() {
            counted.entry(location.extent).or_default().0 += record_bytes(location.len);
        }
        for location in tables.corrupt.values() {
            counted.entry(location.extent).or_default().1 += 1;
        }
        counted
    }
}

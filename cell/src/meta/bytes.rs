//! What one state of the index says of bytes in the chunk store: whether they are needed, may be needed yet, or are garbage for good.
//!
//! Invariant: what any state calls [`Verdict::Free`], no later state names. Its epoch is closed in that state, so it is in all later
//! ones; and naming needs an open epoch. It follows that an old state frees less than it could, and never too much.

use super::{
    bookkeeping::BlobState,
    format,
    keys::{self, within},
    record::{BlobId, Segment, UploadEpoch},
    view::IndexView,
};
use bulkhead_model::Timestamp;
use bulkhead_replica::{Reader, StoreError};
use std::{collections::BTreeSet, time::Duration};

/// Whether nothing written under `epoch` can be named any more, in a state whose last opened epoch is `last`. An epoch after that is
/// one this state has not heard of.
pub fn is_closed(epoch: UploadEpoch, last: u64, is_open: bool) -> bool {
    epoch.0 <= last && !is_open
}

/// What may be done with a blob's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They are named.
    Needed,
    /// They may be named yet, or are within their grace.
    Kept,
    /// Nobody names them, and nobody ever will.
    Free,
}

/// Where a scan of the garbage goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GarbageKey {
    pub released: Timestamp,
    /// The first blob, when it is none.
    pub blob: Option<BlobId>,
}

/// One state of the index, asked about bytes.
pub struct Bytes<R> {
    view: IndexView<R>,
    now: Timestamp,
    last_epoch: u64,
    open: BTreeSet<UploadEpoch>,
    grace: Duration,
}

impl<R: Reader> Bytes<R> {
    /// What `view` says, when released bytes are kept for `grace`: in the index's own time, which no node's clock turns back.
    ///
    /// # Errors
    /// As all questions: when the store cannot be read.
    pub fn new(view: IndexView<R>, grace: Duration) -> Result<Self, StoreError> {
        let cell = keys::meta::cell().get(view.reader())?.unwrap_or_default();
        let open = view.open_epochs()?.into_iter().map(|(epoch, _)| epoch).collect();
        Ok(Self { view, now: cell.time, last_epoch: cell.last_epoch, open, grace })
    }

    /// The time of this state.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The state itself.
    pub fn view(&self) -> &IndexView<R> {
        &self.view
    }

    /// Whether nothing of this epoch can be named any more.
    pub fn is_closed(&self, epoch: UploadEpoch) -> bool {
        is_closed(epoch, self.last_epoch, self.open.contains(&epoch))
    }

    /// Whether the grace of what was released then has passed, and `more`.
    pub fn is_past_grace(&self, released: Timestamp, more: Duration) -> bool {
        let kept = u64::try_from((self.grace + more).as_millis()).unwrap_or(u64::MAX);
        released.0.saturating_add(kept) <= self.now.0
    }

    /// What may be done with a blob's bytes.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn verdict(&self, blob: BlobId) -> Result<Verdict, StoreError> {
        let kept_while = |kept| if kept { Verdict::Kept } else { Verdict::Free };
        Ok(match self.state(blob)? {
            Some(BlobState::Named { .. }) => Verdict::Needed,
            Some(BlobState::Released { at }) => {
                kept_while(!self.is_closed(blob.epoch) || !self.is_past_grace(at, Duration::ZERO))
            }
            None => kept_while(!self.is_closed(blob.epoch)),
        })
    }

    /// What is known of a blob.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn state(&self, blob: BlobId) -> Result<Option<BlobState>, StoreError> {
        keys::blobs::row(blob).get(self.view.reader())
    }

    /// Up to `max` rows of garbage from `from` on, the first released first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn garbage(&self, from: GarbageKey, max: usize) -> Result<Vec<(Timestamp, Segment)>, StoreError> {
        let mut cursor = self.view.reader().cursor(keys::garbage::FAMILY);
        let first = BlobId { epoch: UploadEpoch(0), number: 0 };
        cursor.seek(&keys::garbage::row(from.released, from.blob.unwrap_or(first)).key)?;
        let mut rows = Vec::new();
        while let Some((key, value)) = within(&*cursor, &[]) {
            if rows.len() == max {
                break;
            }
            rows.push((keys::garbage::released(key)?.0, format::decode(value)?));
            cursor.advance()?;
        }
        Ok(rows)
    }

    /// Blobs from `from` on that are named or were until lately, in the order of their ids: until there are `rows_max`, or the named
    /// ones have `chunks_max` chunks. Says whether there are no more.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn blobs(
        &self,
        from: BlobId,
        rows_max: usize,
        chunks_max: u64,
    ) -> Result<(Vec<(BlobId, BlobState)>, bool), StoreError> {
        let mut cursor = self.view.reader().cursor(keys::blobs::FAMILY);
        cursor.seek(&keys::blobs::bytes(from))?;
        let (mut rows, mut chunks) = (Vec::new(), 0);
        while let Some((key, value)) = within(&*cursor, &[]) {
            if rows.len() == rows_max || chunks >= chunks_max {
                return Ok((rows, false));
            }
            let state: BlobState = format::decode(value)?;
            if let BlobState::Named { len, chunk_bytes, .. } = state {
                chunks += chunk_count(len, chunk_bytes);
            }
            rows.push((keys::blobs::blob(key)?, state));
            cursor.advance()?;
        }
        Ok((rows, true))
    }
}

/// How many chunks a run of `len` bytes has.
pub fn chunk_count(len: u64, chunk_bytes: u32) -> u64 {
    len.div_ceil(u64::from(chunk_bytes.max(1)))
}

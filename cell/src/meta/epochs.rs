//! The upload epochs this process writes under, and the blob ids it hands out of them.
//!
//! ```text
//!  current ─► older, while uploads still write under it ─► closed, by the command that opens a later one
//!      └──────────┴─► given up, when it has been open too long
//! ```
//!
//! Invariants: an epoch is used by one process only, from number 0 on, so no blob id is given out twice. An epoch is not closed while
//! an upload holds a [`BlobLease`] of it, unless it has been open for [`EPOCH_LIFE`]: then `apply` refuses what that upload wrote.

use super::record::{BlobId, UploadEpoch};
use crate::limits::{EPOCH_LIFE, EPOCHS_PER_NODE_MAX};
use parking_lot::Mutex;
use std::{collections::BTreeMap, future::Future, sync::Arc};
use tokio::time::Instant;

/// The command that gives this process its next epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// It has had none: what is open for its node is of a former life, and is to be closed.
    First,
    /// Of its epochs up to `to` those in `keep` are still written under.
    Next { to: UploadEpoch, keep: Vec<UploadEpoch> },
}

/// An epoch that was opened and is not known to be closed.
#[derive(Debug)]
struct Slot {
    opened: Instant,
    next: u64,
    leases: usize,
}

#[derive(Debug, Default)]
struct State {
    slots: BTreeMap<UploadEpoch, Slot>,
    /// Gives out blob ids.
    current: Option<UploadEpoch>,
    /// The last that was opened, closed or not.
    newest: Option<UploadEpoch>,
}

/// The epochs of this process.
#[derive(Debug, Default)]
pub struct UploadEpochs {
    state: Mutex<State>,
    /// Held while an epoch is being opened, so that one is and not many.
    opening: tokio::sync::Mutex<()>,
}

/// A blob id, and with it the promise that its epoch stays open: hold it until the blob is named or given up.
#[derive(Debug)]
pub struct BlobLease {
    blob: BlobId,
    epochs: Arc<UploadEpochs>,
}

impl BlobLease {
    pub fn blob(&self) -> BlobId {
        self.blob
    }
}

impl Drop for BlobLease {
    fn drop(&mut self) {
        if let Some(slot) = self.epochs.state.lock().slots.get_mut(&self.blob.epoch) {
            slot.leases -= 1;
        }
    }
}

impl UploadEpochs {
    /// The next blob id; `open` opens an epoch when there is none.
    ///
    /// # Errors
    /// Those of `open`.
    pub async fn lease<E, F: Future<Output = Result<UploadEpoch, E>>>(
        self: &Arc<Self>,
        now: Instant,
        open: impl Fn(Opening) -> F,
    ) -> Result<BlobLease, E> {
        loop {
            if let Some(lease) = self.lease_current() {
                return Ok(lease);
            }
            let _one_opens = self.opening.lock().await;
            if self.state.lock().current.is_none() {
                self.open(now, &open).await?;
            }
        }
    }

    /// Opens another epoch, whether or not there is one, and lets go of those that are drained.
    ///
    /// # Errors
    /// Those of `open`.
    pub async fn rotate<E, F: Future<Output = Result<UploadEpoch, E>>>(
        &self,
        now: Instant,
        open: impl Fn(Opening) -> F,
    ) -> Result<(), E> {
        let _one_opens = self.opening.lock().await;
        self.open(now, &open).await
    }

    /// Uses `epoch` no more: it was found closed.
    pub fn close(&self, epoch: UploadEpoch) {
        let mut state = self.state.lock();
        state.slots.remove(&epoch);
        state.current = state.current.filter(|current| *current != epoch);
    }

    /// Epochs of this process that are not known to be closed.
    pub fn open_count(&self) -> usize {
        self.state.lock().slots.len()
    }

    async fn open<E, F: Future<Output = Result<UploadEpoch, E>>>(
        &self,
        now: Instant,
        open: &impl Fn(Opening) -> F,
    ) -> Result<(), E> {
        let opening = self.state.lock().plan(now);
        let epoch = open(opening.clone()).await?;
        self.state.lock().opened(epoch, &opening, now);
        Ok(())
    }

    fn lease_current(self: &Arc<Self>) -> Option<BlobLease> {
        let blob = self.state.lock().next_blob()?;
        Some(BlobLease { blob, epochs: Arc::clone(self) })
    }
}

impl State {
    fn next_blob(&mut self) -> Option<BlobId> {
        let epoch = self.current?;
        let slot = self.slots.get_mut(&epoch)?;
        let number = slot.next;
        slot.next += 1;
        slot.leases += 1;
        Some(BlobId { epoch, number })
    }

    /// Pure. The current epoch is kept even when nobody writes under it: somebody may, before the next one is open.
    fn plan(&self, now: Instant) -> Opening {
        let Some(to) = self.newest else { return Opening::First };
        let written = |(epoch, slot): &(&UploadEpoch, &Slot)| slot.leases > 0 || self.current == Some(**epoch);
        let young = |(_, slot): &(&UploadEpoch, &Slot)| now.saturating_duration_since(slot.opened) < EPOCH_LIFE;
        let kept = self.slots.iter().rev().filter(written).filter(young).map(|(epoch, _)| *epoch);
        let mut keep: Vec<_> = kept.take(EPOCHS_PER_NODE_MAX - 1).collect();
        keep.reverse();
        Opening::Next { to, keep }
    }

    fn opened(&mut self, epoch: UploadEpoch, opening: &Opening, now: Instant) {
        let kept = |slot: &UploadEpoch| match opening {
            Opening::First => false,
            Opening::Next { keep, .. } => keep.contains(slot),
        };
        self.slots.retain(|slot, _| kept(slot));
        self.slots.insert(epoch, Slot { opened: now, next: 0, leases: 0 });
        (self.current, self.newest) = (Some(epoch), Some(epoch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::Env;
    use std::{cell::RefCell, convert::Infallible, time::Duration};

    /// Opens epochs 1, 2, 3, … and notes what was asked.
    #[derive(Default)]
    struct Cell {
        asked: RefCell<Vec<Opening>>,
    }

    impl Cell {
        async fn open(&self, opening: Opening) -> Result<UploadEpoch, Infallible> {
            self.asked.borrow_mut().push(opening);
            Ok(UploadEpoch(self.asked.borrow().len() as u64))
        }

        async fn lease(&self, epochs: &Arc<UploadEpochs>) -> BlobLease {
            match epochs.lease(now(), |opening| self.open(opening)).await {
                Ok(lease) => lease,
                Err(never) => match never {},
            }
        }

        async fn rotate(&self, epochs: &UploadEpochs, now: Instant) -> Opening {
            match epochs.rotate(now, |opening| self.open(opening)).await {
                Ok(()) => self.asked.borrow().last().expect("it was asked").clone(),
                Err(never) => match never {},
            }
        }
    }

    fn now() -> Instant {
        Env::system().clock.now()
    }

    fn blob(epoch: u64, number: u64) -> BlobId {
        BlobId { epoch: UploadEpoch(epoch), number }
    }

    fn next(to: u64, keep: &[u64]) -> Opening {
        Opening::Next { to: UploadEpoch(to), keep: keep.iter().map(|epoch| UploadEpoch(*epoch)).collect() }
    }

    #[tokio::test]
    async fn an_epoch_stays_open_while_an_upload_writes_under_it() {
        let (epochs, cell) = (Arc::new(UploadEpochs::default()), Cell::default());
        let slow = cell.lease(&epochs).await;
        assert_eq!((slow.blob(), cell.asked.borrow().as_slice()), (blob(1, 0), &[Opening::First][..]));
        assert_eq!(cell.rotate(&epochs, now()).await, next(1, &[1]));
        let quick = cell.lease(&epochs).await;
        assert_eq!(quick.blob(), blob(2, 0));
        drop(quick);
        assert_eq!(cell.rotate(&epochs, now()).await, next(2, &[1, 2]), "the current one is kept");
        assert_eq!(cell.rotate(&epochs, now()).await, next(3, &[1, 3]), "drained");
        drop(slow);
        assert_eq!(cell.rotate(&epochs, now()).await, next(4, &[4]));
        assert_eq!(epochs.open_count(), 2);
    }

    #[tokio::test]
    async fn an_upload_that_takes_too_long_does_not_hold_its_epoch() {
        let (epochs, cell) = (Arc::new(UploadEpochs::default()), Cell::default());
        let stalled = cell.lease(&epochs).await;
        let before = now() + EPOCH_LIFE - Duration::from_secs(60);
        assert_eq!(cell.rotate(&epochs, before).await, next(1, &[1]));
        assert_eq!(cell.rotate(&epochs, now() + EPOCH_LIFE).await, next(2, &[2]));
        drop(stalled);
        assert_eq!(epochs.open_count(), 2);
    }

    #[tokio::test]
    async fn a_closed_epoch_is_followed_by_a_new_one_and_holds_no_other() {
        let (epochs, cell) = (Arc::new(UploadEpochs::default()), Cell::default());
        let other = cell.lease(&epochs).await;
        cell.rotate(&epochs, now()).await;
        let refused = cell.lease(&epochs).await;
        epochs.close(refused.blob().epoch);
        assert_eq!(cell.lease(&epochs).await.blob(), blob(3, 0));
        assert_eq!(cell.asked.borrow().last(), Some(&next(2, &[1])), "{other:?} is still written");
        epochs.close(refused.blob().epoch);
        assert_eq!(cell.lease(&epochs).await.blob(), blob(3, 1), "a late word of an old epoch closes no new one");
    }

    #[tokio::test]
    async fn an_epoch_that_was_not_opened_leaves_things_as_they_were() {
        let (epochs, cell) = (Arc::new(UploadEpochs::default()), Cell::default());
        let lease = cell.lease(&epochs).await;
        let failed = epochs.rotate(now(), async |_| Err::<UploadEpoch, _>("no leader")).await;
        assert_eq!(failed, Err("no leader"));
        assert_eq!(cell.lease(&epochs).await.blob(), blob(1, 1));
        assert_eq!(lease.blob(), blob(1, 0));
    }
}

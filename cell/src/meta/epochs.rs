//! The upload epochs this node writes under: hands out blob ids, one after the other, without a lock.
//!
//! Invariant: an epoch is used by one process only, from number 0 on, so no blob id is given out twice.

use super::record::{BlobId, UploadEpoch};
use arc_swap::ArcSwapOption;
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

#[derive(Debug)]
struct Open {
    epoch: UploadEpoch,
    next: AtomicU64,
}

impl Open {
    fn blob(&self) -> BlobId {
        BlobId { epoch: self.epoch, number: self.next.fetch_add(1, Ordering::Relaxed) }
    }
}

/// The epoch that is open, if one is.
#[derive(Debug, Default)]
pub struct UploadEpochs {
    open: ArcSwapOption<Open>,
    /// Held while an epoch is being opened, so that one is and not many.
    opening: tokio::sync::Mutex<()>,
}

impl UploadEpochs {
    /// The next blob id; `open` opens an epoch when there is none.
    ///
    /// # Errors
    /// Those of `open`.
    pub async fn next<E, F: Future<Output = Result<UploadEpoch, E>>>(
        &self,
        open: impl FnOnce() -> F,
    ) -> Result<BlobId, E> {
        if let Some(current) = &*self.open.load() {
            return Ok(current.blob());
        }
        let _one_opens = self.opening.lock().await;
        if let Some(current) = &*self.open.load() {
            return Ok(current.blob());
        }
        let opened = Arc::new(Open { epoch: open().await?, next: AtomicU64::new(0) });
        let blob = opened.blob();
        self.open.store(Some(opened));
        Ok(blob)
    }

    /// Uses `epoch` no more. Does nothing when another is open already.
    pub fn close(&self, epoch: UploadEpoch) {
        self.open.rcu(|open| open.clone().filter(|open| open.epoch != epoch));
    }

    /// Uses no epoch that is open now any more.
    pub fn close_all(&self) {
        self.open.store(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    async fn next(epochs: &UploadEpochs, opens: u64) -> BlobId {
        let open = || async move { Ok::<_, Infallible>(UploadEpoch(opens)) };
        match epochs.next(open).await {
            Ok(blob) => blob,
            Err(never) => match never {},
        }
    }

    fn blob(epoch: u64, number: u64) -> BlobId {
        BlobId { epoch: UploadEpoch(epoch), number }
    }

    #[tokio::test]
    async fn a_closed_epoch_is_followed_by_a_new_one() {
        let epochs = UploadEpochs::default();
        assert_eq!(next(&epochs, 5).await, blob(5, 0));
        assert_eq!(next(&epochs, 6).await, blob(5, 1));
        epochs.close(UploadEpoch(5));
        assert_eq!(next(&epochs, 7).await, blob(7, 0));
    }

    #[tokio::test]
    async fn a_late_word_of_an_old_epoch_does_not_close_the_new_one() {
        let epochs = UploadEpochs::default();
        next(&epochs, 5).await;
        epochs.close(UploadEpoch(4));
        assert_eq!(next(&epochs, 6).await, blob(5, 1));
    }
}

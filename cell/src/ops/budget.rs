//! The memory that bodies may use on this node: two budgets in bytes, one for bodies coming in and one for bodies going out,
//! each handed out in the order it is asked for.
//!
//! Bytes carry their share with them: it returns when the last reference to them is dropped, wherever that is (a background
//! copy, a socket's queue). A share for a whole chunk is taken before its first byte, so requests never wait for each other
//! with half-filled chunks in their hands.

use super::OpError;
use crate::limits::BUDGET_PATIENCE;
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Both budgets. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Budgets {
    pub incoming: Budget,
    pub outgoing: Budget,
}

impl Budgets {
    /// Divides `bytes` between incoming and outgoing bodies.
    pub fn new(bytes: u64) -> Self {
        let half = bytes / 2;
        Self { incoming: Budget::new(half), outgoing: Budget::new(half) }
    }
}

/// Bytes that may be held at once.
#[derive(Debug, Clone)]
pub struct Budget {
    free: Arc<Semaphore>,
    patience: Duration,
}

/// A share of a budget.
#[derive(Debug)]
pub struct Share {
    _permit: OwnedSemaphorePermit,
}

impl Budget {
    /// A budget of `bytes`.
    pub fn new(bytes: u64) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(bytes)), patience: BUDGET_PATIENCE }
    }

    /// Waits for a share of `bytes`, behind those who asked before.
    ///
    /// # Errors
    /// [`OpError::SlowDown`] when it is not there within [`BUDGET_PATIENCE`].
    pub async fn take(&self, bytes: u32) -> Result<Share, OpError> {
        let permit = timeout(self.patience, self.free.clone().acquire_many_owned(bytes))
            .await
            .map_err(|_| OpError::SlowDown("the memory for bodies is in use"))?
            .expect("the semaphore is never closed");
        Ok(Share { _permit: permit })
    }

    /// Bytes nobody holds.
    pub fn free(&self) -> usize {
        self.free.available_permits()
    }
}

impl Share {
    /// Ties the share to `bytes`: it returns to the budget when the last clone of the result is dropped.
    pub fn hold<T: AsRef<[u8]> + Send + 'static>(self, bytes: T) -> Bytes {
        Bytes::from_owner(Held { bytes, _share: self })
    }
}

struct Held<T> {
    bytes: T,
    _share: Share,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Held<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_share_returns_with_the_last_clone_of_its_bytes() {
        let budget = Budget::new(10);
        let bytes = budget.take(7).await.expect("free").hold(vec![1, 2, 3]);
        let slice = bytes.slice(1..);
        drop(bytes);
        assert_eq!(budget.free(), 3);
        assert_eq!(&slice[..], [2, 3]);
        drop(slice);
        assert_eq!(budget.free(), 10);
    }

    #[tokio::test]
    async fn whoever_waits_too_long_is_told_to_slow_down() {
        let budget = Budget { patience: Duration::from_millis(1), ..Budget::new(10) };
        let _held = budget.take(7).await.expect("free");
        assert!(matches!(budget.take(4).await, Err(OpError::SlowDown(_))));
    }
}

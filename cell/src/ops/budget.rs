//! The memory that bodies may use on this node: two budgets in bytes, one for bodies coming in and one for bodies going out,
//! each handed out in the order it is asked for.
//!
//! Bytes carry their share with them: it returns when the last reference to them is dropped, wherever that is (a background
//! copy, a socket's queue). A share for a whole chunk is taken before its first byte, so requests never wait for each other
//! with half-filled chunks in their hands. A part is kept for small bodies, so that large ones which come slowly are not in their way; and
//! who fills a share slowly gives it up once others wait for one ([`Budget::wanted_back`]).

use super::OpError;
use crate::limits::{
    ACCOUNT_SHARE_PERCENT, BUDGET_PATIENCE, BUDGET_PIECE_PATIENCE, BUDGET_SMALL_FRACTION, FILL_PATIENCE,
    INLINE_BYTES_MAX,
};
use bulkhead_model::AccountId;
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
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
        let outgoing = Budget { patience: BUDGET_PIECE_PATIENCE, ..Budget::new(half) };
        Self { incoming: Budget::new(half), outgoing }
    }
}

/// Bytes that may be held at once.
#[derive(Debug, Clone)]
pub struct Budget {
    all: Arc<Pool>,
    /// Only for bodies up to [`INLINE_BYTES_MAX`], which take of the rest what is not here.
    small: Arc<Semaphore>,
    /// What one account may hold of `all`; `None` when this is not an account's.
    own: Option<Arc<Pool>>,
    accounts: Accounts,
    /// Bytes that one account may hold.
    own_bytes: usize,
    patience: Duration,
}

/// The accounts that hold something, and perhaps some that did.
type Accounts = Arc<Mutex<HashMap<AccountId, Weak<Pool>>>>;

/// Bytes, and who waits for some of them.
#[derive(Debug)]
struct Pool {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    begun: Notify,
}

/// A share of a budget.
#[derive(Debug)]
pub struct Share {
    _permit: OwnedSemaphorePermit,
    /// Of what its account may hold, which is known as long as it holds any.
    _own: Option<(OwnedSemaphorePermit, Arc<Pool>)>,
}

/// One that waits.
struct Waiter<'p>(&'p Pool);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Pool {
    fn new(bytes: usize) -> Self {
        let free = Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)));
        Self { free, waiting: AtomicUsize::new(0), begun: Notify::new() }
    }

    async fn take(&self, bytes: u32) -> OwnedSemaphorePermit {
        if let Ok(permit) = self.free.clone().try_acquire_many_owned(bytes) {
            return permit;
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.begun.notify_waiters();
        let _waiter = Waiter(self);
        self.free.clone().acquire_many_owned(bytes).await.expect("the semaphore is never closed")
    }

    /// Ends when somebody waits.
    async fn pressed(&self) {
        loop {
            // Asked for before it is looked, so that nobody who begins to wait in between is missed.
            let mut begun = pin!(self.begun.notified());
            begun.as_mut().enable();
            if self.waiting.load(Ordering::SeqCst) > 0 {
                return;
            }
            begun.await;
        }
    }
}

impl Budget {
    /// A budget of `bytes`, some of it for small bodies alone.
    pub fn new(bytes: u64) -> Self {
        let small = bytes / BUDGET_SMALL_FRACTION;
        Self::divided(bytes - small, small)
    }

    /// A budget of `bytes` for anything.
    pub fn undivided(bytes: u64) -> Self {
        Self::divided(bytes, 0)
    }

    fn divided(bytes: u64, small: u64) -> Self {
        let [bytes, small] = [bytes, small].map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        Self {
            all: Arc::new(Pool::new(bytes)),
            small: Arc::new(Semaphore::new(small.min(Semaphore::MAX_PERMITS))),
            own: None,
            accounts: Accounts::default(),
            own_bytes: bytes.saturating_mul(ACCOUNT_SHARE_PERCENT as usize) / 100,
            patience: BUDGET_PATIENCE,
        }
    }

    /// The same budget for one account, which leaves some of it to others.
    pub fn of(&self, account: AccountId) -> Self {
        let mut accounts = self.accounts.lock();
        let known = accounts.get(&account).and_then(Weak::upgrade);
        let own = known.unwrap_or_else(|| {
            accounts.retain(|_, pool| pool.strong_count() > 0);
            let own = Arc::new(Pool::new(self.own_bytes));
            accounts.insert(account, Arc::downgrade(&own));
            own
        });
        Self { own: Some(own), ..self.clone() }
    }

    /// Waits for a share of `bytes`, behind those who asked before.
    ///
    /// # Errors
    /// [`OpError::SlowDown`] when it is not there within [`BUDGET_PATIENCE`], or [`BUDGET_PIECE_PATIENCE`] for a body that goes out.
    pub async fn take(&self, bytes: u32) -> Result<Share, OpError> {
        if bytes as usize <= INLINE_BYTES_MAX
            && let Ok(permit) = self.small.clone().try_acquire_many_owned(bytes)
        {
            return Ok(Share { _permit: permit, _own: None });
        }
        let taking = async {
            let own = match &self.own {
                Some(own) => Some((own.take(bytes).await, Arc::clone(own))),
                None => None,
            };
            Share { _permit: self.all.take(bytes).await, _own: own }
        };
        timeout(self.patience, taking).await.map_err(|_| OpError::SlowDown("the memory for bodies is in use"))
    }

    /// Bytes nobody holds.
    pub fn free(&self) -> usize {
        self.all.free.available_permits() + self.small.available_permits()
    }

    /// Ends when a share that was taken when this began has been filled for long enough, and others wait for one: any others when all is in use,
    /// others of the account when its own part is.
    pub async fn wanted_back(&self) {
        sleep(FILL_PATIENCE).await;
        match &self.own {
            Some(own) => tokio::select! {
                () = own.pressed() => {}
                () = self.all.pressed() => {}
            },
            None => self.all.pressed().await,
        }
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

    #[tokio::test(start_paused = true)]
    async fn a_small_body_finds_room_though_large_ones_hold_all_there_is_for_them() {
        let (chunk, mut held) = (4 << 20, Vec::new());
        let budget = Budget::new(64 << 20);
        while let Ok(share) = budget.take(chunk).await {
            held.push(share);
        }
        assert!(held.len() >= 13);
        for _ in 0..100 {
            held.push(budget.take(INLINE_BYTES_MAX as u32).await.expect("kept for small ones"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_account_leaves_memory_to_others_and_its_own_pressure_is_its_own() {
        let account = |n| AccountId::new(AccountId::FIRST + n).expect("in range");
        let (chunk, mut held) = (4 << 20, Vec::new());
        let budget = Budget::new(64 << 20);
        let (busy, quiet) = (budget.of(account(1)), budget.of(account(2)));
        while let Ok(share) = budget.of(account(1)).take(chunk).await {
            held.push(share);
        }
        drop(busy);
        held.push(quiet.take(chunk).await.expect("left to others"));
        let mut wanted = pin!(quiet.wanted_back());
        let again = async { while budget.of(account(1)).take(chunk).await.is_err() {} };
        tokio::select! {
            () = &mut wanted => panic!("its share is wanted, though there is memory for all but one account"),
            () = again => panic!("more than its part was given to an account"),
            () = sleep(FILL_PATIENCE * 10) => {}
        }
        drop(held);
        assert_eq!(budget.free(), 64 << 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_that_is_filled_slowly_is_wanted_back_once_others_wait() {
        let budget = Budget::new(10);
        let _held = budget.take(9).await.expect("free");
        let mut wanted = pin!(budget.wanted_back());
        assert!(timeout(FILL_PATIENCE * 10, &mut wanted).await.is_err(), "nobody waits");
        let (_, taken) = tokio::join!(wanted, budget.take(4));
        assert!(taken.is_err(), "nothing was given back here");
        let mut early = pin!(budget.wanted_back());
        let (early, _) = tokio::join!(timeout(BUDGET_PATIENCE, &mut early), budget.take(4));
        assert!(early.is_err(), "a share that was just taken");
    }

    #[tokio::test]
    async fn whoever_waits_too_long_is_told_to_slow_down() {
        let budget = Budget { patience: Duration::from_millis(1), ..Budget::new(10) };
        let _held = budget.take(7).await.expect("free");
        assert!(matches!(budget.take(4).await, Err(OpError::SlowDown(_))));
    }
}

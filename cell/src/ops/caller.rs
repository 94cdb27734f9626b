//! Who asks, and until when. Made by the S3 layer after it has verified the signature; ops trust it.

use super::OpError;
use crate::admit::{Held, Pass, cost::Cost};
use bulkhead_model::{AccountId, Epoch, RequestId};
use std::sync::Arc;
use tokio::time::Instant;

/// The authenticated caller of one call.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The account whose key signed the request.
    pub account: AccountId,
    /// The key of exactly-once: a repetition of a write under the same id gets the recorded outcome.
    pub request: RequestId,
    /// What the router believed; a write is refused with `Moved` when the account's epoch is another.
    pub routed: Option<(AccountId, Epoch)>,
    /// How long the caller waits for the index. A call that streams a body gets a fresh allowance for its commit once the
    /// body has ended ([`crate::limits::COMMIT_PATIENCE`]), because the body's duration is the client's, not ours.
    pub deadline: Instant,
    /// What the call holds of what may be executed at once; `None` for one that nobody counts.
    pub pass: Option<Arc<Pass>>,
}

impl Caller {
    /// Waits for the turn of a piece of the call's work that costs `cost`. The piece holds it until the result is dropped.
    ///
    /// # Errors
    /// [`OpError::Overloaded`] when its turn does not come.
    pub(super) async fn stage(&self, cost: Cost) -> Result<Option<Held>, OpError> {
        match &self.pass {
            Some(pass) => Ok(Some(pass.stage(cost).await?)),
            None => Ok(None),
        }
    }

    /// Waits for what the client sends, or somebody else answers, without holding anything up meanwhile. A commit is left to be done.
    ///
    /// # Errors
    /// Those of `taking`; [`OpError::Overloaded`] when the commit's turn does not come.
    pub(super) async fn before_commit<T>(
        &self,
        large: bool,
        taking: impl Future<Output = Result<T, OpError>>,
    ) -> Result<T, OpError> {
        match &self.pass {
            Some(pass) => pass.before_commit(large, taking).await,
            None => taking.await,
        }
    }

    /// The request id of the `n`th command of a call that needs several. The ids are random, so neighbours do not collide.
    pub fn nth_request(&self, n: usize) -> RequestId {
        RequestId(self.request.0.wrapping_add(n as u128))
    }
}

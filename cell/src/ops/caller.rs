//! Who asks, and until when. Made by the S3 layer after it has verified the signature; ops trust it.

use bulkhead_model::{AccountId, Epoch, RequestId};
use tokio::time::Instant;

/// The authenticated caller of one call.
#[derive(Debug, Clone, Copy)]
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
}

impl Caller {
    /// The request id of the `n`th command of a call that needs several. The ids are random, so neighbours do not collide.
    pub fn nth_request(&self, n: usize) -> RequestId {
        RequestId(self.request.0.wrapping_add(n as u128))
    }
}

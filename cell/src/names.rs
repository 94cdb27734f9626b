//! The cell's side of the fleet-wide bucket names: claims and releases them at the control plane.
//!
//! Both calls are idempotent. Must not know what a bucket holds.

use bulkhead_model::{
    AccountId, ClaimId,
    api::control_plane::{ClaimBucket, Claimed},
};
use bulkhead_service::{
    client::{ClientError, Endpoints},
    env::Clock,
};
use http::{Method, StatusCode};
use tokio::time::Instant;

/// Why a name was not claimed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    #[error("the name is another account's")]
    Taken,
    #[error("the control plane refuses the claim: {0}")]
    Invalid(String),
    /// The name may have been claimed. Claiming it again is harmless, and what is left behind gets settled.
    #[error("the control plane does not answer: {0}")]
    Unavailable(String),
}

/// Why a name may not have been released. Releasing it again is harmless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the control plane does not confirm the release: {0}")]
pub struct ReleaseError(pub String);

/// A client of the control plane's bucket names. Cheap to clone.
#[derive(Clone)]
pub struct Names {
    control_plane: Endpoints,
    clock: Clock,
}

impl Names {
    /// A client of the control plane at these endpoints.
    pub fn new(control_plane: Endpoints, clock: Clock) -> Self {
        Self { control_plane, clock }
    }

    /// Claims `bucket` for `account`. A repetition gives the same claim, until the name is released.
    ///
    /// When the cell then refuses the claim with [`crate::meta::command::Refusal::ClaimFenced`], [`Names::release`] it and claim
    /// again: the name was deleted a moment ago and its old claim is on its way out.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub async fn claim(&self, bucket: &str, account: AccountId, deadline: Instant) -> Result<ClaimId, ClaimError> {
        let patience = deadline.saturating_duration_since(self.clock.now());
        let question = ClaimBucket { bucket: bucket.to_owned(), account };
        let answer = self.control_plane.json(Method::POST, "/v1/buckets", Some(&question), patience).await;
        answer.map(|Claimed { claim }| claim).map_err(|error| match error.status() {
            Some(StatusCode::CONFLICT) => ClaimError::Taken,
            Some(StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY) => {
                ClaimError::Invalid(reason(error))
            }
            Some(_) | None => ClaimError::Unavailable(reason(error)),
        })
    }

    /// Gives a claim up: the name may be claimed by others, unless a later claim holds it.
    ///
    /// # Errors
    /// [`ReleaseError`], when the control plane did not confirm it.
    pub async fn release(&self, bucket: &str, claim: ClaimId, deadline: Instant) -> Result<(), ReleaseError> {
        let patience = deadline.saturating_duration_since(self.clock.now());
        let path = format!("/v1/buckets/{bucket}?claim={claim}");
        match self.control_plane.json::<(), ()>(Method::DELETE, &path, None, patience).await {
            Ok(()) => Ok(()),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(()),
            Err(error) => Err(ReleaseError(reason(error))),
        }
    }
}

/// What the control plane says is wrong, without its code and status; or what went wrong on the way.
fn reason(error: ClientError) -> String {
    match error {
        ClientError::Refused { error, .. } => error.message,
        ClientError::Unusable(_)
        | ClientError::Unreachable(_)
        | ClientError::Lost(_)
        | ClientError::TimedOut(_)
        | ClientError::Malformed(_) => error.to_string(),
    }
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;

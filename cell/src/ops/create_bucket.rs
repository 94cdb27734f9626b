//! CreateBucket: claim the name at the control plane, then commit it here.
//!
//! A crash between the two leaves a claim that the control plane settles later: it asks the cell, whose answer fences the
//! claim, so a late commit of an abandoned claim is refused. While the control plane is asked, nothing of the node is held.
//!
//! While the cell is being certified, who tries it is alone in it: its account is one that the control plane does not know, so its bucket's
//! name is not claimed, and nobody else gets a bucket.

use super::{Caller, Cell, OpError, context::unexpected};
use crate::{
    meta::command::{Command, Done, Refusal},
    names::{ClaimError, ReleaseError},
};
use bulkhead_model::{ClaimId, names};

/// Of a name that the control plane was not asked for. It gives out none below 1.
const UNCLAIMED: ClaimId = ClaimId(0);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
    /// As the client asked for it; `None` is `us-east-1`.
    pub location: Option<String>,
}

/// # Errors
/// `BucketAlreadyExists` when the name is another account's, `BucketAlreadyOwnedByYou` when it is the caller's,
/// [`OpError::NamesUnavailable`] when the control plane cannot be asked.
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<(), OpError> {
    let Request { bucket: name, location } = request;
    names::check_bucket_name(&name).map_err(|error| OpError::InvalidBucketName(error.to_string()))?;
    let (owner, mut request) = (caller.account, caller.request);
    if cell.is_certifying() != owner.is_reserved() {
        return Err(OpError::NamesUnavailable("the cell is being certified, or its owner only tries cells".into()));
    }
    if owner.is_reserved() {
        let command = Command::CreateBucket { name, owner, claim: UNCLAIMED, location };
        return match cell.execute(caller, request, command, caller.deadline).await? {
            Done::BucketCreated { .. } => Ok(()),
            other => Err(unexpected(&other)),
        };
    }
    for last in [false, true] {
        let claim = async { cell.names.claim(&name, owner, caller.deadline).await.map_err(OpError::from) };
        let claim = caller.before_commit(true, claim).await?;
        let command = Command::CreateBucket { name: name.clone(), owner, claim, location: location.clone() };
        match cell.execute(caller, request, command, caller.deadline).await {
            Ok(Done::BucketCreated { .. }) => return Ok(()),
            Ok(other) => return Err(unexpected(&other)),
            // Given up while this call was under way: what is left of the claim goes, and the next one is a new one.
            Err(OpError::Refused(Refusal::ClaimFenced)) if !last => {
                let released = async { cell.names.release(&name, claim, caller.deadline).await.map_err(OpError::from) };
                caller.before_commit(true, released).await?;
                request = caller.nth_request(1);
            }
            Err(error) => return Err(error),
        }
    }
    Err(Refusal::ClaimFenced.into())
}

impl From<ClaimError> for OpError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Taken => Refusal::BucketAlreadyExists.into(),
            ClaimError::Invalid(why) => Self::InvalidBucketName(why),
            // Should the name have been claimed, the claim gets settled: the bucket was not made.
            ClaimError::Unavailable(why) => Self::NamesUnavailable(why),
        }
    }
}

impl From<ReleaseError> for OpError {
    fn from(error: ReleaseError) -> Self {
        Self::NamesUnavailable(error.to_string())
    }
}

//! Finding the bucket a call is about.
//!
//! A read looks it up in its linearizable view. A write takes the record of the local, possibly stale, view when that has one that is
//! the caller's: the command carries the bucket's id, which is never reused, so `apply` refuses it if that bucket is gone,
//! and only then is the name looked up again, linearizably. This saves every write a round to the leader. An absence, or another owner,
//! is never believed of a stale view.

use super::{
    Caller, Cell, OpError,
    action::{Call, authorise},
};
use crate::meta::{
    command::{Command, Done, Refusal},
    record::{Bucket, BucketId},
    view::IndexView,
};
use bulkhead_model::RequestId;
use tokio::time::Instant;

/// Marks the request id of a command that is submitted anew because the first named a bucket that is gone: under the same id the
/// recorded refusal would come back.
const AGAIN: u128 = 1 << 127;

/// The bucket of this name, if the caller may make this call on it.
///
/// # Errors
/// `NoSuchBucket`, [`OpError::AccessDenied`].
pub fn in_view(view: &IndexView, caller: &Caller, call: Call, name: &str) -> Result<Bucket, OpError> {
    let bucket = view.bucket(name)?.ok_or(Refusal::NoSuchBucket)?;
    authorise(call, caller.account, bucket.owner)?;
    Ok(bucket)
}

/// A bucket to write into.
#[derive(Debug, Clone)]
pub struct Target {
    pub bucket: Bucket,
    name: String,
    call: Call,
    /// Known to be current when the call began.
    fresh: bool,
}

/// The bucket of this name, for a write.
///
/// # Errors
/// `NoSuchBucket`, [`OpError::AccessDenied`].
pub async fn for_write(cell: &Cell, caller: &Caller, call: Call, name: &str) -> Result<Target, OpError> {
    let target = |bucket, fresh| Target { bucket, name: name.to_owned(), call, fresh };
    if let Some(bucket) = cell.index.local().bucket(name)?
        && authorise(call, caller.account, bucket.owner).is_ok()
    {
        return Ok(target(bucket, false));
    }
    let view = cell.view(caller).await?;
    Ok(target(in_view(&view, caller, call, name)?, true))
}

impl Target {
    /// Submits the command that `command` makes for this bucket's id.
    ///
    /// # Errors
    /// The command's refusal; [`OpError::Unknown`] when it may have been executed.
    pub async fn execute(
        &self,
        cell: &Cell,
        caller: &Caller,
        request: RequestId,
        deadline: Instant,
        command: impl Fn(BucketId) -> Command,
    ) -> Result<Done, OpError> {
        let first = cell.execute(caller, request, command(self.bucket.id), deadline).await;
        if self.fresh || !matches!(first, Err(OpError::Refused(Refusal::NoSuchBucket))) {
            return first;
        }
        let caller = Caller { deadline, ..caller.clone() };
        let current = self.in_view(&cell.view(&caller).await?, &caller)?;
        cell.execute(&caller, RequestId(request.0 ^ AGAIN), command(current.id), deadline).await
    }

    /// The bucket that has this one's name in `view`.
    ///
    /// # Errors
    /// As [`for_write`].
    pub fn in_view(&self, view: &IndexView, caller: &Caller) -> Result<Bucket, OpError> {
        in_view(view, caller, self.call, &self.name)
    }
}

//! DeleteBucket: a bucket without objects goes, and with it its uploads in progress; its name is given back to the control
//! plane by a job.

use super::{
    Caller, Cell, OpError,
    action::Call,
    bucket,
    context::{replayed, unexpected},
};
use crate::meta::command::{Command, Done, Refusal};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
}

/// # Errors
/// `NoSuchBucket`, `BucketNotEmpty`.
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<(), OpError> {
    let view = cell.view(caller).await?;
    match bucket::in_view(&view, caller, Call::DeleteBucket, &request.bucket) {
        Ok(_) => {}
        // Gone by this very request, repeated: the index knows its outcome.
        Err(OpError::Refused(Refusal::NoSuchBucket)) if replayed(&view, caller)?.is_some() => {}
        Err(error) => return Err(error),
    }
    let command = Command::DeleteBucket { name: request.bucket };
    match cell.execute(caller, caller.request, command, caller.deadline).await? {
        Done::BucketDeleted => Ok(()),
        other => Err(unexpected(&other)),
    }
}

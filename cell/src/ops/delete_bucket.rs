//! DeleteBucket: a bucket without objects goes, and with it its uploads in progress; its name is given back to the control
//! plane by a job.

use super::{
    Caller, Cell, OpError,
    action::Call,
    bucket,
    context::{replayed, unexpected},
};
use crate::meta::command::{Command, Done};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
}

/// # Errors
/// `NoSuchBucket`, `BucketNotEmpty`.
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<(), OpError> {
    let view = cell.view(caller).await?;
    if let Some(outcome) = replayed(&view, caller)? {
        return Ok(outcome.map(drop)?);
    }
    let bucket = bucket::in_view(&view, caller, Call::DeleteBucket, &request.bucket)?.id;
    let command = Command::DeleteBucket { bucket, name: request.bucket };
    match cell.execute(caller, caller.request, command, caller.deadline).await? {
        Done::BucketDeleted => Ok(()),
        other => Err(unexpected(&other)),
    }
}

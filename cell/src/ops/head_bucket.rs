//! HeadBucket and GetBucketLocation: whether a bucket exists, is the caller's, and where it is.

use super::{Caller, Cell, OpError, action::Call, bucket};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// As it was asked for at creation; `None` is `us-east-1`.
    pub location: Option<String>,
}

/// # Errors
/// `NoSuchBucket`, or [`OpError::AccessDenied`] when it is another account's.
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<Response, OpError> {
    let view = cell.view(caller).await?;
    let bucket = bucket::in_view(&view, caller, Call::HeadBucket, &request.bucket)?;
    Ok(Response { location: bucket.location })
}

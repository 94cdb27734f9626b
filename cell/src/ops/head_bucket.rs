//! HeadBucket and GetBucketLocation: whether a bucket exists, is the caller's, and where it is.

use super::{Caller, Cell, OpError};

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
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<Response, OpError> {
    todo!()
}

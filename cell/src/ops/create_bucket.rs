//! CreateBucket: claim the name at the control plane, then commit it here.
//!
//! A crash between the two leaves a claim that the control plane settles later: it asks the cell, whose answer fences the
//! claim, so a late commit of an abandoned claim is refused.

use super::{Caller, Cell, OpError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
    /// As the client asked for it; `None` is `us-east-1`.
    pub location: Option<String>,
}

/// # Errors
/// `BucketAlreadyExists` when the name is another account's, `BucketAlreadyOwnedByYou` when it is the caller's,
/// [`OpError::NamesUnavailable`] when the control plane cannot be asked.
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<(), OpError> {
    todo!()
}

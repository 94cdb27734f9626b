//! DeleteBucket: an empty bucket goes; its name is given back to the control plane by a job.

use super::{Caller, Cell, OpError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
}

/// # Errors
/// `NoSuchBucket`, `BucketNotEmpty` (objects or uploads).
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<(), OpError> {
    todo!()
}

//! ListObjectVersions of buckets without versioning: every object has one version, `null`, and it is the latest.

use super::{
    Caller, Cell, OpError,
    action::Call,
    list_objects::{self, Request, Response},
};

/// The objects of a page; each is the `null` version of its key. `after` is the key marker.
///
/// # Errors
/// `NoSuchBucket`.
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<Response, OpError> {
    list_objects::list(cell, caller, Call::ListObjectVersions, request).await
}

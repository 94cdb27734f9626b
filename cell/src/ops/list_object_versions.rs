//! ListObjectVersions of buckets without versioning: every object has one version, `null`, and it is the latest.

use super::{
    Caller, Cell, OpError,
    list_objects::{Request, Response},
};

/// The objects of a page; each is the `null` version of its key. `after` is the key marker.
///
/// # Errors
/// `NoSuchBucket`.
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<Response, OpError> {
    todo!()
}

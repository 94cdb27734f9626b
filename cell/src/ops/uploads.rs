//! Finding the upload a part is for.
//!
//! An upload's record never changes, so one found in the local view is good: whether the upload is still there is decided by `apply`. Only
//! an absence needs a linearizable view.

use super::{Caller, Cell, OpError, bucket::Target};
use crate::meta::{
    command::Refusal,
    record::{Upload, UploadId},
};

/// The record of an upload into `target`.
///
/// # Errors
/// `NoSuchUpload`.
pub(super) async fn find(
    cell: &Cell,
    caller: &Caller,
    target: &Target,
    key: &str,
    upload: UploadId,
) -> Result<Upload, OpError> {
    if let Some(record) = cell.index.local().upload(target.bucket.id, key, upload)? {
        return Ok(record);
    }
    let view = cell.view(caller).await?;
    let bucket = target.in_view(&view, caller)?;
    Ok(view.upload(bucket.id, key, upload)?.ok_or(Refusal::NoSuchUpload)?)
}

//! Uploads in progress, in the order `ListMultipartUploads` shows them: by key, then by when they were initiated.
//!
//! | key | value |
//! |---|---|
//! | bucket id, escaped object key, upload id | [`Upload`] |

use super::{Row, escaped, short, take_u64};
use crate::meta::record::{BucketId, Upload, UploadId};
use bulkhead_replica::{Family, StoreError};

/// Family `uploads`.
pub const FAMILY: Family = Family { index: 5, name: "uploads", large_values: false };

const WHAT: &str = "an upload's key";

/// The upload of this key and id.
pub fn row(bucket: BucketId, key: &str, upload: UploadId) -> Row<Upload> {
    let mut bytes = of_key(bucket, key);
    bytes.extend_from_slice(&upload.0.to_be_bytes());
    Row::new(FAMILY, bytes)
}

/// What the keys of all uploads of one object key begin with.
pub fn of_key(bucket: BucketId, key: &str) -> Vec<u8> {
    let mut bytes = bucket.0.to_be_bytes().to_vec();
    escaped::push(&mut bytes, key);
    bytes
}

/// What the keys of all uploads begin with whose object keys begin with `prefix`.
pub fn of_prefix(bucket: BucketId, prefix: &str) -> Vec<u8> {
    let mut bytes = bucket.0.to_be_bytes().to_vec();
    escaped::push_open(&mut bytes, prefix);
    bytes
}

/// The object key and the upload id in a key of this family.
///
/// # Errors
/// When the key is not one of [`row`].
pub fn parse(bytes: &[u8]) -> Result<(String, UploadId), StoreError> {
    let (_, rest) = take_u64(WHAT, bytes)?;
    let (key, rest) = escaped::take(WHAT, rest)?;
    let upload: [u8; 16] = rest.try_into().map_err(|_| short(WHAT))?;
    Ok((key, UploadId(u128::from_be_bytes(upload))))
}

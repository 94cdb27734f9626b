//! Parts of uploads in progress, by number.
//!
//! | key | value |
//! |---|---|
//! | bucket id, escaped object key, upload id, part number | [`Part`] |

use super::{Row, short, uploads};
use crate::meta::record::{BucketId, Part, UploadId};
use bulkhead_replica::{Family, StoreError};

/// Family `parts`.
pub const FAMILY: Family = Family { index: 6, name: "parts", large_values: false };

/// A part of an upload.
pub fn row(bucket: BucketId, key: &str, upload: UploadId, number: u16) -> Row<Part> {
    let mut bytes = of_upload(bucket, key, upload);
    bytes.extend_from_slice(&number.to_be_bytes());
    Row::new(FAMILY, bytes)
}

/// What the keys of all parts of an upload begin with.
pub fn of_upload(bucket: BucketId, key: &str, upload: UploadId) -> Vec<u8> {
    uploads::row(bucket, key, upload).key
}

/// The part number behind [`of_upload`].
///
/// # Errors
/// When it is not two bytes.
pub fn number(rest: &[u8]) -> Result<u16, StoreError> {
    let number: [u8; 2] = rest.try_into().map_err(|_| short("a part's key"))?;
    Ok(u16::from_be_bytes(number))
}

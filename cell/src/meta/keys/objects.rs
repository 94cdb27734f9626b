//! Objects, current versions only: a GET is one lookup, and a listing never steps over history.
//!
//! | key | value |
//! |---|---|
//! | bucket id, object key | [`Object`] |

use super::{Row, text};
use crate::meta::record::{BucketId, Object};
use bulkhead_replica::{Family, StoreError};

/// Family `objects`.
pub const FAMILY: Family = Family { index: 3, name: "objects", large_values: false };

/// The object of this key.
pub fn row(bucket: BucketId, key: &str) -> Row<Object> {
    Row::new(FAMILY, at(bucket, key.as_bytes()))
}

/// What the keys of all objects begin with whose own keys begin with `prefix`.
pub fn at(bucket: BucketId, prefix: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + prefix.len());
    bytes.extend_from_slice(&bucket.0.to_be_bytes());
    bytes.extend_from_slice(prefix);
    bytes
}

/// The object key behind the bucket id.
///
/// # Errors
/// When it is not UTF-8.
pub fn key(rest: &[u8]) -> Result<String, StoreError> {
    text("an object's key", rest)
}

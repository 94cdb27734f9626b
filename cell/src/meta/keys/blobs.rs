//! Blobs in the chunk store that are named, or were until lately: what garbage collection asks before it frees bytes.
//!
//! | key | value |
//! |---|---|
//! | upload epoch, blob number | [`BlobState`] |

use super::{Row, short};
use crate::meta::{bookkeeping::BlobState, record::BlobId};
use bulkhead_replica::{Family, StoreError};

/// Family `blobs`.
pub const FAMILY: Family = Family { index: 7, name: "blobs", large_values: false };

/// What is known of this blob.
pub fn row(blob: BlobId) -> Row<BlobState> {
    Row::new(FAMILY, bytes(blob).to_vec())
}

/// A blob id as it stands in keys.
pub fn bytes(blob: BlobId) -> [u8; 16] {
    u128::from(blob).to_be_bytes()
}

/// The blob id that a key holds.
///
/// # Errors
/// When it is not one.
pub fn blob(key: &[u8]) -> Result<BlobId, StoreError> {
    let bytes: [u8; 16] = key.try_into().map_err(|_| short("a blob's key"))?;
    Ok(u128::from_be_bytes(bytes).into())
}

//! Blobs in the chunk store that are named, and by whom: what garbage collection asks before it frees bytes.
//!
//! | key | value |
//! |---|---|
//! | upload epoch, blob number | [`BlobOwner`] |

use super::Row;
use crate::meta::{bookkeeping::BlobOwner, record::BlobId};
use bulkhead_replica::Family;

/// Family `blobs`.
pub const FAMILY: Family = Family { index: 7, name: "blobs", large_values: false };

/// Who references this blob.
pub fn row(blob: BlobId) -> Row<BlobOwner> {
    Row::new(FAMILY, bytes(blob).to_vec())
}

/// A blob id as it stands in keys.
pub fn bytes(blob: BlobId) -> [u8; 16] {
    ((u128::from(blob.epoch.0) << 64) | u128::from(blob.number)).to_be_bytes()
}

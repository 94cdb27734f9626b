//! Segments that are named no more, oldest first. Their bytes are still there.
//!
//! | key | value |
//! |---|---|
//! | time released, upload epoch, blob number | [`Segment`] |

use super::{Row, blobs, take_u64};
use crate::meta::record::{BlobId, Segment};
use bulkhead_model::Timestamp;
use bulkhead_replica::{Family, StoreError};

/// Family `garbage`.
pub const FAMILY: Family = Family { index: 8, name: "garbage", large_values: false };

/// The segment of this blob, released at this time.
pub fn row(released: Timestamp, blob: BlobId) -> Row<Segment> {
    let mut bytes = released.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(&blobs::bytes(blob));
    Row::new(FAMILY, bytes)
}

/// When the segment under a key was released, and its blob.
///
/// # Errors
/// When the key is too short or too long.
pub fn released(key: &[u8]) -> Result<(Timestamp, BlobId), StoreError> {
    let (released, rest) = take_u64("a garbage row's key", key)?;
    Ok((Timestamp(released), blobs::blob(rest)?))
}

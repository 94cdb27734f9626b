//! Bodies of small objects. The only family with large values.
//!
//! | key | value |
//! |---|---|
//! | upload epoch, blob number | the body, behind its format version: see [`crate::meta::format::encode_body`] |

use super::blobs;
use crate::meta::record::BlobId;
use bulkhead_replica::Family;

/// Family `inline`.
pub const FAMILY: Family = Family { index: 11, name: "inline", large_values: true };

/// The key of this blob's body.
pub fn key(blob: BlobId) -> Vec<u8> {
    blobs::bytes(blob).to_vec()
}

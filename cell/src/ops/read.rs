//! What GetObject, HeadObject and GetObjectAttributes share: find the object, check the conditions, choose the bytes.

use crate::meta::record::{Checksum, ContentHeaders, Etag, Object};
use bulkhead_model::Timestamp;

/// An object without its bytes and where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    /// Bytes of the whole object.
    pub len: u64,
    pub etag: Etag,
    pub modified: Timestamp,
    /// The whole object's; of one part when a part was asked for and its checksum is known.
    pub checksum: Option<Checksum>,
    pub headers: ContentHeaders,
    /// How many parts it was completed from (`x-amz-mp-parts-count`).
    pub parts: Option<u32>,
}

impl From<&Object> for ObjectHead {
    fn from(object: &Object) -> Self {
        Self {
            len: object.len,
            etag: object.etag,
            modified: object.modified,
            checksum: object.checksum.clone(),
            headers: object.headers.clone(),
            parts: object.etag.parts,
        }
    }
}

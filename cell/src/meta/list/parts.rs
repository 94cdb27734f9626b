//! A page of an upload's parts, by number.

use crate::meta::{
    format,
    keys::{self, within},
    record::{BucketId, Part, UploadId},
};
use bulkhead_replica::{Reader, StoreError};

/// Which parts to list.
#[derive(Debug, Clone, Copy)]
pub struct PartsQuery<'q> {
    pub key: &'q str,
    pub upload: UploadId,
    /// Begins behind this part; 0 is the beginning.
    pub after: u16,
    pub max_parts: usize,
}

/// A page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartsPage {
    pub parts: Vec<(u16, Part)>,
    /// The last part of the page, when more follow.
    pub next: Option<u16>,
}

/// A page of the parts of an upload; empty when there is no such upload.
///
/// # Errors
/// When the store cannot be read.
pub fn list_parts<R: Reader + ?Sized>(
    reader: &R,
    bucket: BucketId,
    query: &PartsQuery<'_>,
) -> Result<PartsPage, StoreError> {
    let mut page = PartsPage::default();
    let Some(first) = query.after.checked_add(1) else { return Ok(page) };
    let of_upload = keys::parts::of_upload(bucket, query.key, query.upload);
    let mut cursor = reader.cursor(keys::parts::FAMILY);
    cursor.seek(&keys::parts::row(bucket, query.key, query.upload, first).key)?;
    while let Some((rest, value)) = within(&*cursor, &of_upload) {
        if page.parts.len() == query.max_parts {
            page.next = page.parts.last().map(|(number, _)| *number);
            break;
        }
        page.parts.push((keys::parts::number(rest)?, format::decode(value)?));
        cursor.advance()?;
    }
    Ok(page)
}

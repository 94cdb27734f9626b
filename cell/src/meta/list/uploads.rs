//! A page of a bucket's uploads in progress, by key and then by when they were initiated.

use super::fold::Fold;
use crate::meta::{
    format,
    keys::{self, after_prefix},
    record::{BucketId, Upload, UploadId},
};
use bulkhead_replica::{Reader, StoreError};

/// Which uploads to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct UploadsQuery<'q> {
    pub prefix: &'q str,
    /// Folds keys into common prefixes. Empty is none.
    pub delimiter: Option<&'q str>,
    /// Begins behind all uploads of this key, or behind everything that this common prefix folds.
    pub key_marker: Option<&'q str>,
    /// With a key marker: begins behind this upload of that key.
    pub upload_id_marker: Option<UploadId>,
    /// Uploads and common prefixes together.
    pub max_uploads: usize,
}

/// An upload as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedUpload {
    pub key: String,
    pub upload: UploadId,
    pub record: Upload,
}

/// Where the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadMarker {
    pub key: String,
    /// `None` behind a common prefix.
    pub upload: Option<UploadId>,
}

/// A page. Uploads and common prefixes are each in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadsPage {
    pub uploads: Vec<ListedUpload>,
    pub common_prefixes: Vec<String>,
    /// The last upload or common prefix of the page, when more follow.
    pub next: Option<UploadMarker>,
    /// Entries of the index that were sought or stepped to.
    pub touched: u64,
}

/// A page of the uploads of `bucket`.
///
/// # Errors
/// When the store cannot be read.
pub fn list_uploads<R: Reader + ?Sized>(
    reader: &R,
    bucket: BucketId,
    query: &UploadsQuery<'_>,
) -> Result<UploadsPage, StoreError> {
    let mut page = UploadsPage::default();
    let fold = Fold::new(query.prefix, query.delimiter);
    let Some(start) = start(bucket, query, &fold) else { return Ok(page) };
    if query.max_uploads == 0 {
        return Ok(page);
    }
    let with_prefix = keys::uploads::of_prefix(bucket, query.prefix);
    let mut cursor = reader.cursor(keys::uploads::FAMILY);
    cursor.seek(&start)?;
    page.touched += 1;
    let mut last = None;
    while let Some((bytes, value)) = cursor.entry() {
        if !bytes.starts_with(&with_prefix) {
            break;
        }
        if page.uploads.len() + page.common_prefixes.len() == query.max_uploads {
            page.next = last;
            break;
        }
        let (key, upload) = keys::uploads::parse(bytes)?;
        if let Some(common) = fold.common(key.as_bytes()).and_then(|len| key.get(..len)) {
            let behind = after_prefix(&keys::uploads::of_prefix(bucket, common));
            last = Some(UploadMarker { key: common.to_owned(), upload: None });
            page.common_prefixes.push(common.to_owned());
            let Some(behind) = behind else { break };
            cursor.seek(&behind)?;
        } else {
            last = Some(UploadMarker { key: key.clone(), upload: Some(upload) });
            page.uploads.push(ListedUpload { key, upload, record: format::decode(value)? });
            cursor.advance()?;
        }
        page.touched += 1;
    }
    Ok(page)
}

/// Where the page begins in the family; `None` when nothing can be there.
fn start(bucket: BucketId, query: &UploadsQuery<'_>, fold: &Fold<'_>) -> Option<Vec<u8>> {
    let first = keys::uploads::of_prefix(bucket, query.prefix);
    let behind = match (query.key_marker, query.upload_id_marker) {
        (None, _) => return Some(first),
        (Some(marker), None) if fold.is_common(marker) => after_prefix(&keys::uploads::of_prefix(bucket, marker))?,
        (Some(marker), None) => after_prefix(&keys::uploads::of_key(bucket, marker))?,
        (Some(marker), Some(upload)) => after_prefix(&keys::uploads::row(bucket, marker, upload).key)?,
    };
    Some(behind.max(first))
}

//! ListMultipartUploads: the uploads of a bucket in the order of their keys, then of their ids.

use super::{Caller, Cell, OpError, Owner, action::Call, bucket, context::off_thread};
use crate::{
    limits::LIST_KEYS_MAX,
    meta::{
        list::{ListedUpload, UploadMarker, UploadsPage, UploadsQuery},
        record::{ChecksumAlgorithm, ChecksumKind, UploadId},
    },
};
use bulkhead_model::Timestamp;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
    /// Empty for all keys.
    pub prefix: String,
    /// Never `Some("")`.
    pub delimiter: Option<String>,
    /// `key-marker`, with `upload-id-marker`: only what comes after that upload, or after all uploads of the key.
    pub after: Option<(String, Option<UploadId>)>,
    /// Uploads and common prefixes together; more than [`crate::limits::LIST_KEYS_MAX`] is cut to it.
    pub max: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub uploads: Vec<Entry>,
    pub prefixes: Vec<String>,
    /// Where the next page begins: a key and upload of this page, or a common prefix alone.
    pub next: Option<(String, Option<UploadId>)>,
    pub owner: Owner,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub upload: UploadId,
    pub initiated: Timestamp,
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
}

/// # Errors
/// `NoSuchBucket`.
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<Response, OpError> {
    let view = cell.view(caller).await?;
    let bucket = bucket::in_view(&view, caller, Call::ListMultipartUploads, &request.bucket)?;
    let owner = Owner::of(&view, bucket.owner)?;
    let page = off_thread(cell, move || {
        let query = UploadsQuery {
            prefix: &request.prefix,
            delimiter: request.delimiter.as_deref(),
            key_marker: request.after.as_ref().map(|(key, _)| key.as_str()),
            upload_id_marker: request.after.as_ref().and_then(|(_, upload)| *upload),
            max_uploads: request.max.min(LIST_KEYS_MAX),
        };
        Ok(view.list_uploads(bucket.id, &query)?)
    });
    let UploadsPage { uploads, common_prefixes, next, touched } = page.await?;
    metrics::counter!("bulkhead_cell_list_entries_touched_total").increment(touched);
    let next = next.map(|UploadMarker { key, upload }| (key, upload));
    Ok(Response { uploads: uploads.into_iter().map(entry).collect(), prefixes: common_prefixes, next, owner })
}

fn entry(ListedUpload { key, upload, record }: ListedUpload) -> Entry {
    Entry { key, upload, initiated: record.initiated, checksum: record.checksum }
}

//! ListParts: the parts of an upload, in the order of their numbers.

use super::{Caller, Cell, OpError, Owner, action::Call, bucket, context::off_thread};
use crate::{
    limits::LIST_KEYS_MAX,
    meta::{
        command::Refusal,
        list::{PartsPage, PartsQuery},
        record::{Checksum, ChecksumAlgorithm, ChecksumKind, Etag, Part, UploadId},
    },
};
use bulkhead_model::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
    pub key: String,
    pub upload: UploadId,
    /// Only parts with a greater number; 0 for all.
    pub after: u16,
    /// More than [`crate::limits::LIST_KEYS_MAX`] is cut to it.
    pub max: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub parts: Vec<Entry>,
    /// The last part of this page, when there are more.
    pub next: Option<u16>,
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
    pub owner: Owner,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub number: u16,
    pub len: u64,
    pub etag: Etag,
    pub modified: Timestamp,
    pub checksum: Option<Checksum>,
}

/// # Errors
/// `NoSuchUpload`.
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<Response, OpError> {
    let Request { bucket, key, upload, after, max } = request;
    let view = cell.view(caller).await?;
    let bucket = bucket::in_view(&view, caller, Call::ListParts, &bucket)?;
    let owner = Owner::of(&view, bucket.owner)?;
    let record = view.upload(bucket.id, &key, upload)?.ok_or(Refusal::NoSuchUpload)?;
    let page = off_thread(cell, move || {
        let query = PartsQuery { key: &key, upload, after, max_parts: max.min(LIST_KEYS_MAX) };
        Ok(view.list_parts(bucket.id, &query)?)
    });
    let PartsPage { parts, next } = page.await?;
    Ok(Response { parts: parts.into_iter().map(entry).collect(), next, checksum: record.checksum, owner })
}

fn entry((number, part): (u16, Part)) -> Entry {
    let Part { len, etag, modified, checksum, .. } = part;
    Entry { number, len, etag, modified, checksum }
}

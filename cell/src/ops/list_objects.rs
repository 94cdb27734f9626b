//! ListObjects, both versions: one page of a bucket's current objects in byte order, folded at a delimiter.

use super::{Caller, Cell, OpError, Owner, action::Call, bucket, context::off_thread};
use crate::{
    limits::LIST_KEYS_MAX,
    meta::{
        list::{ListPage, ListQuery, ListedObject},
        record::{ChecksumAlgorithm, ChecksumKind, Etag, ObjectHead},
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
    /// `marker`, `start-after`, or [`Response::next`] of the page before: only what comes after it. When it is a common
    /// prefix, everything below that prefix is skipped.
    pub after: Option<String>,
    /// Keys and common prefixes together; more than [`crate::limits::LIST_KEYS_MAX`] is cut to it.
    pub max: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub objects: Vec<Entry>,
    pub prefixes: Vec<String>,
    /// The last key or common prefix of this page, when there is more.
    pub next: Option<String>,
    pub owner: Owner,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub len: u64,
    pub etag: Etag,
    pub modified: Timestamp,
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
}

/// # Errors
/// `NoSuchBucket`.
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<Response, OpError> {
    list(cell, caller, Call::ListObjects, request).await
}

/// The one listing behind ListObjects, ListObjectsV2 and ListObjectVersions.
pub(super) async fn list(cell: &Cell, caller: &Caller, call: Call, request: Request) -> Result<Response, OpError> {
    let view = cell.view(caller).await?;
    let bucket = bucket::in_view(&view, caller, call, &request.bucket)?;
    let owner = Owner::of(&view, bucket.owner)?;
    // A page may be read from disk key by key: not on an async thread.
    let page = off_thread(cell, move || {
        let query = ListQuery {
            prefix: &request.prefix,
            delimiter: request.delimiter.as_deref(),
            after: request.after.as_deref(),
            max_keys: request.max.min(LIST_KEYS_MAX),
        };
        Ok(view.list_objects(bucket.id, &query)?)
    });
    let ListPage { objects, common_prefixes, next, touched } = page.await?;
    metrics::counter!("bulkhead_cell_list_entries_touched_total").increment(touched);
    tracing::debug!(touched, objects = objects.len(), prefixes = common_prefixes.len(), "listed");
    Ok(Response { objects: objects.into_iter().map(entry).collect(), prefixes: common_prefixes, next, owner })
}

fn entry(ListedObject { key, head }: ListedObject) -> Entry {
    let ObjectHead { len, etag, modified, checksum } = head;
    Entry { key, len, etag, modified, checksum: checksum.map(|checksum| (checksum.algorithm, checksum.kind)) }
}

//! PutObject: bytes first, then the name.

use super::{
    Caller, Cell, OpError,
    action::Call,
    body::Body,
    bucket::{self, Target},
    context::{replayed, unexpected},
    ingest::Ingested,
    store::{self, Taken},
    validate,
};
use crate::{
    limits::EARLY_CHECK_BYTES_MIN,
    meta::{
        apply::condition,
        command::{self, Command, Condition, Done},
        record::{Checksum, ContentHeaders, Etag, Layout},
    },
};
use bulkhead_model::Timestamp;

pub struct Request {
    pub bucket: String,
    pub key: String,
    pub headers: ContentHeaders,
    pub condition: Condition,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub etag: Etag,
    pub modified: Timestamp,
    pub len: u64,
    pub checksum: Option<Checksum>,
}

/// # Errors
/// Nothing is named when there is one, unless it is [`OpError::Unknown`].
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<Response, OpError> {
    let Request { bucket, key, headers, condition, body } = request;
    validate::key(&key)?;
    validate::headers(&headers)?;
    let target = bucket::for_write(cell, caller, Call::PutObject, &bucket).await?;
    if body.len.is_none_or(|len| len >= EARLY_CHECK_BYTES_MIN) {
        check_early(cell, caller, &bucket, &key, &condition).await?;
    }
    let taken = store::take(cell, caller, target.bucket.owner, cell.cut, body).await?;
    let new = New { key, headers, condition };
    name(cell, caller, &target, taken, new).await
}

/// What an object is made of besides its bytes.
pub(super) struct New {
    pub key: String,
    pub headers: ContentHeaders,
    pub condition: Condition,
}

/// Gives the bytes taken in their name. Shared with CopyObject.
pub(super) async fn name(
    cell: &Cell,
    caller: &Caller,
    target: &Target,
    taken: Taken,
    new: New,
) -> Result<Response, OpError> {
    let layout = match &taken.body.inline {
        Some(_) => Layout::Inline(taken.lease.blob()),
        None => Layout::Segments(vec![taken.segment()]),
    };
    let Taken { lease: _held_until_named, body, .. } = taken;
    let Ingested { len, etag, checksum, inline } = body;
    let command = |bucket| {
        Command::PutObject(command::PutObject {
            bucket,
            key: new.key.clone(),
            condition: new.condition.clone(),
            len,
            etag,
            checksum: checksum.clone(),
            headers: new.headers.clone(),
            layout: layout.clone(),
            body: inline.clone(),
        })
    };
    match target.execute(cell, caller, caller.request, cell.commit_deadline(), command).await? {
        Done::ObjectPut { etag, modified } => Ok(Response { etag, modified, len, checksum }),
        other => Err(unexpected(&other)),
    }
}

/// Refuses a large body before it is read, if its condition does not hold now. The view is linearizable, so the refusal is as good as
/// the one `apply` would give; small bodies are not worth the round. A repetition of a request that has succeeded is left
/// to `apply`, which knows its outcome.
async fn check_early(
    cell: &Cell,
    caller: &Caller,
    bucket: &str,
    key: &str,
    condition: &Condition,
) -> Result<(), OpError> {
    if *condition == Condition::default() {
        return Ok(());
    }
    let view = cell.view(caller).await?;
    if replayed(&view, caller)?.is_some() {
        return Ok(());
    }
    let bucket = bucket::in_view(&view, caller, Call::PutObject, bucket)?;
    let current = view.object(bucket.id, key)?;
    Ok(condition::check(condition, current.map(|object| object.etag))?)
}

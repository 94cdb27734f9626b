//! GetObjectAttributes: an object's ETag, size, checksum and parts.

use super::{Caller, Cell, OpError, action::Call, bucket, read::ObjectHead};
use crate::{
    limits::LIST_KEYS_MAX,
    meta::{command::Refusal, record::PartSummary},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
    pub key: String,
    /// Only parts with a greater number.
    pub after_part: u16,
    /// More than [`crate::limits::LIST_KEYS_MAX`] is cut to it.
    pub max_parts: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub head: ObjectHead,
    /// Of a multipart object, ascending; empty of any other.
    pub parts: Vec<PartSummary>,
    /// The last part of this page, when there are more.
    pub next: Option<u16>,
}

/// # Errors
/// `NoSuchBucket`, `NoSuchKey`.
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<Response, OpError> {
    let view = cell.view(caller).await?;
    let bucket = bucket::in_view(&view, caller, Call::GetObjectAttributes, &request.bucket)?;
    let object = view.object(bucket.id, &request.key)?.ok_or(Refusal::NoSuchKey)?;
    let head = ObjectHead::from(&object);
    let mut parts: Vec<_> = object.parts.into_iter().filter(|part| part.number > request.after_part).collect();
    let max = request.max_parts.min(LIST_KEYS_MAX);
    let more = parts.len() > max;
    parts.truncate(max);
    let next = parts.last().filter(|_| more).map(|part| part.number);
    Ok(Response { head, parts, next })
}

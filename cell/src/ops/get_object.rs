//! GetObject: the current version's bytes, a range of them, or one part's.
//!
//! The first bytes are fetched and verified before `run` returns, so an object that cannot be read is an error response and
//! not a body cut short.

use super::{
    Caller, Cell, OpError,
    action::Call,
    bucket,
    conditions::ReadConditions,
    egress::ReadStream,
    range::RangeSpec,
    read::{self, ObjectHead, Selection},
    store,
};
use crate::meta::command::Refusal;
use std::ops::Range;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
    pub key: String,
    /// Not together with `part_number`.
    pub range: Option<RangeSpec>,
    pub part_number: Option<u16>,
    pub conditions: ReadConditions,
}

pub struct Response {
    pub head: ObjectHead,
    /// Which bytes the body holds; `None` when it is all of them and neither a range nor a part was asked for.
    pub range: Option<Range<u64>>,
    /// Bytes of the body.
    pub len: u64,
    pub body: ReadStream,
}

/// # Errors
/// `NoSuchBucket`, `NoSuchKey`, [`OpError::NotModified`], [`OpError::ReadConditionFailed`], [`OpError::InvalidRange`],
/// [`OpError::InvalidPartNumber`].
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<Response, OpError> {
    let Request { bucket, key, range, part_number, conditions } = request;
    let view = cell.view(caller).await?;
    let bucket = bucket::in_view(&view, caller, Call::GetObject, &bucket)?;
    let object = view.object(bucket.id, &key)?.ok_or(Refusal::NoSuchKey)?;
    let Selection { head, range, bytes } = read::select(&object, &conditions, range, part_number)?;
    let len = bytes.end - bytes.start;
    let body = store::read(cell, caller, &view, object.layout, bytes).await?;
    Ok(Response { head, range, len, body })
}

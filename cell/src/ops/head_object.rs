//! HeadObject: what GetObject would say, without the body.

use super::{
    Caller, Cell, OpError,
    action::Call,
    bucket,
    get_object::Request,
    read::{self, ObjectHead, Selection},
};
use crate::meta::command::Refusal;
use std::ops::Range;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub head: ObjectHead,
    /// Which bytes a GET would send; `None` when all of them and neither a range nor a part was asked for.
    pub range: Option<Range<u64>>,
    /// Bytes a GET would send.
    pub len: u64,
}

/// # Errors
/// As [`super::get_object::run`], except those of reading the bytes.
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<Response, OpError> {
    let Request { bucket, key, range, part_number, conditions } = request;
    let view = cell.view(caller).await?;
    let bucket = bucket::in_view(&view, caller, Call::HeadObject, &bucket)?;
    let object = view.object(bucket.id, &key)?.ok_or(Refusal::NoSuchKey)?;
    let Selection { head, range, bytes } = read::select(&object, &conditions, range, part_number)?;
    Ok(Response { head, range, len: bytes.end - bytes.start })
}

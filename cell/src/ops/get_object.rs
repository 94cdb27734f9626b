//! GetObject: the current version's bytes, a range of them, or one part's.
//!
//! The first bytes are fetched and verified before `run` returns, so an object that cannot be read is an error response and
//! not a body cut short.

use super::{
    Caller, Cell, OpError, conditions::ReadConditions, egress::ReadStream, range::RangeSpec, read::ObjectHead,
};
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
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<Response, OpError> {
    todo!()
}

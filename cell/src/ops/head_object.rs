//! HeadObject: what GetObject would say, without the body.

use super::{Caller, Cell, OpError, get_object::Request, read::ObjectHead};
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
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<Response, OpError> {
    todo!()
}

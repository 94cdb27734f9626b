//! GetObjectAttributes: an object's ETag, size, checksum and parts.

use super::{Caller, Cell, OpError, read::ObjectHead};
use crate::meta::record::PartSummary;

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
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<Response, OpError> {
    todo!()
}

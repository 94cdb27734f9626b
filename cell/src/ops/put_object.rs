//! PutObject: bytes first, then the name.

use super::{Caller, Cell, OpError, body::Body};
use crate::meta::{
    command::Condition,
    record::{Checksum, ContentHeaders, Etag},
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
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<Response, OpError> {
    todo!()
}

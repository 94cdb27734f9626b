//! CopyObject: the source's bytes are streamed into a new object, as a PUT of them would be.

use super::{Caller, Cell, OpError, conditions::ReadConditions};
use crate::meta::{
    command::Condition,
    record::{Checksum, ChecksumAlgorithm, ContentHeaders, Etag},
};
use bulkhead_model::Timestamp;

/// What is copied, and what must hold of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub bucket: String,
    pub key: String,
    pub conditions: ReadConditions,
}

/// `x-amz-metadata-directive`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MetadataDirective {
    #[default]
    Copy,
    Replace,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub source: Source,
    pub bucket: String,
    pub key: String,
    pub directive: MetadataDirective,
    /// As in the request. With [`MetadataDirective::Copy`] only the website redirect counts.
    pub headers: ContentHeaders,
    /// The algorithm asked for; the source's is used when absent.
    pub checksum: Option<ChecksumAlgorithm>,
    /// What must hold of the destination.
    pub condition: Condition,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub etag: Etag,
    pub modified: Timestamp,
    pub checksum: Option<Checksum>,
}

/// # Errors
/// As GET for the source (its conditions fail with `412` only) and as PUT for the destination.
pub async fn run(_cell: &Cell, _caller: &Caller, _request: Request) -> Result<Response, OpError> {
    todo!()
}

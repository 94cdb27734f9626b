//! ListBuckets: the caller's buckets in the order of their names.

use super::{Caller, Cell, OpError, Owner};
use crate::meta::{
    list::{BucketsPage, BucketsQuery},
    record::Bucket,
};
use bulkhead_model::Timestamp;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    pub prefix: Option<String>,
    /// The last name of the page before.
    pub after: Option<String>,
    /// At most so many buckets; all of them when absent.
    pub max: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub owner: Owner,
    pub buckets: Vec<Entry>,
    /// [`Request::after`] of the next page; `None` when this was the last.
    pub next: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub created: Timestamp,
    /// `None` is `us-east-1`.
    pub location: Option<String>,
}

/// # Errors
/// When the index cannot be read in time.
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<Response, OpError> {
    let view = cell.view(caller).await?;
    let owner = Owner::of(&view, caller.account)?;
    let Request { prefix, after, max } = request;
    let query = BucketsQuery {
        prefix: prefix.as_deref().unwrap_or_default(),
        after: after.as_deref(),
        max_buckets: max.unwrap_or(usize::MAX),
    };
    let BucketsPage { buckets, next } = view.list_buckets(caller.account, &query)?;
    let entry = |(name, bucket): (String, Bucket)| Entry { name, created: bucket.created, location: bucket.location };
    Ok(Response { owner, buckets: buckets.into_iter().map(entry).collect(), next })
}

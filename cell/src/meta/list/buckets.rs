//! A page of an account's buckets, by name.

use crate::meta::{
    keys::{self, within},
    record::Bucket,
};
use bulkhead_model::AccountId;
use bulkhead_replica::{Reader, StoreError};

/// Which buckets to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct BucketsQuery<'q> {
    pub prefix: &'q str,
    /// Begins behind this name.
    pub after: Option<&'q str>,
    pub max_buckets: usize,
}

/// A page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BucketsPage {
    pub buckets: Vec<(String, Bucket)>,
    /// The last name of the page, when more follow.
    pub next: Option<String>,
}

/// A page of the buckets of `owner`.
///
/// # Errors
/// When the store cannot be read.
pub fn list_buckets<R: Reader + ?Sized>(
    reader: &R,
    owner: AccountId,
    query: &BucketsQuery<'_>,
) -> Result<BucketsPage, StoreError> {
    let mut page = BucketsPage::default();
    let of_owner = keys::buckets::of_owner(owner);
    let mut start = keys::buckets::by_owner(owner, query.prefix).key;
    if let Some(after) = query.after {
        let mut behind = keys::buckets::by_owner(owner, after).key;
        behind.push(0);
        start = start.max(behind);
    }
    let mut cursor = reader.cursor(keys::buckets::FAMILY);
    cursor.seek(&start)?;
    while let Some((rest, _)) = within(&*cursor, &of_owner) {
        if !rest.starts_with(query.prefix.as_bytes()) {
            break;
        }
        if page.buckets.len() == query.max_buckets {
            page.next = page.buckets.last().map(|(name, _)| name.clone());
            break;
        }
        let name = keys::buckets::name(rest)?;
        if let Some(bucket) = keys::buckets::by_name(&name).get(reader)? {
            page.buckets.push((name, bucket));
        }
        cursor.advance()?;
    }
    Ok(page)
}

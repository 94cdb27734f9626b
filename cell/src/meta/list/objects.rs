//! A page of a bucket's objects.

use super::fold::Fold;
use crate::meta::{
    format,
    keys::{self, after_prefix, within},
    record::{BucketId, ObjectHead},
};
use bulkhead_replica::{Reader, StoreError};

/// Which objects to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListQuery<'q> {
    pub prefix: &'q str,
    /// Folds keys into common prefixes. Empty is none.
    pub delimiter: Option<&'q str>,
    /// Begins behind this: V1's `marker`, V2's `start-after`, or [`ListPage::next`] of the page before. Behind a common
    /// prefix, everything it folds is skipped.
    pub after: Option<&'q str>,
    /// Objects and common prefixes together.
    pub max_keys: usize,
}

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    pub key: String,
    pub head: ObjectHead,
}

/// A page. Objects and common prefixes are each in byte order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    pub objects: Vec<ListedObject>,
    pub common_prefixes: Vec<String>,
    /// The last key or common prefix of the page, when more follow.
    pub next: Option<String>,
    /// Entries of the index that were sought or stepped to.
    pub touched: u64,
}

/// A page of the objects of `bucket`. No keys are asked for: none are there, and none follow.
///
/// # Errors
/// When the store cannot be read.
pub fn list_objects<R: Reader + ?Sized>(
    reader: &R,
    bucket: BucketId,
    query: &ListQuery<'_>,
) -> Result<ListPage, StoreError> {
    let mut page = ListPage::default();
    let fold = Fold::new(query.prefix, query.delimiter);
    let Some(start) = start(bucket, query, &fold) else { return Ok(page) };
    if query.max_keys == 0 {
        return Ok(page);
    }
    let in_bucket = keys::objects::at(bucket, &[]);
    let mut cursor = reader.cursor(keys::objects::FAMILY);
    cursor.seek(&start)?;
    page.touched += 1;
    let mut last = None;
    while let Some((key, value)) = within(&*cursor, &in_bucket) {
        if !key.starts_with(query.prefix.as_bytes()) {
            break;
        }
        if page.objects.len() + page.common_prefixes.len() == query.max_keys {
            page.next = last;
            break;
        }
        let full = page.objects.len() + page.common_prefixes.len() + 1 == query.max_keys;
        if let Some(len) = fold.common(key) {
            let common = keys::objects::key(&key[..len])?;
            let behind = after_prefix(&keys::objects::at(bucket, common.as_bytes()));
            last = full.then(|| common.clone());
            page.common_prefixes.push(common);
            let Some(behind) = behind else { break };
            cursor.seek(&behind)?;
        } else {
            let key = keys::objects::key(key)?;
            last = full.then(|| key.clone());
            page.objects.push(ListedObject { key, head: format::decode(value)? });
            cursor.advance()?;
        }
        page.touched += 1;
    }
    Ok(page)
}

/// Where the page begins in the family; `None` when nothing can be there.
fn start(bucket: BucketId, query: &ListQuery<'_>, fold: &Fold<'_>) -> Option<Vec<u8>> {
    let first = keys::objects::at(bucket, query.prefix.as_bytes());
    let Some(after) = query.after else { return Some(first) };
    let mut behind = keys::objects::at(bucket, after.as_bytes());
    if fold.is_common(after) {
        behind = after_prefix(&behind)?;
    } else {
        behind.push(0);
    }
    Some(behind.max(first))
}

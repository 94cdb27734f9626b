//! Buckets by name, by owner and by id, and the claims on names that were given up.
//!
//! | key | value |
//! |---|---|
//! | `01`, name | [`Bucket`] |
//! | `02`, owner, name | – |
//! | `03`, bucket id | [`BucketState`] |
//! | `04`, name | [`Fence`] |

use super::{Row, text};
use crate::meta::{
    bookkeeping::{BucketState, Fence},
    record::{Bucket, BucketId},
};
use bulkhead_model::AccountId;
use bulkhead_replica::{Family, StoreError};

/// Family `buckets`.
pub const FAMILY: Family = Family { index: 2, name: "buckets", large_values: false };

const BY_NAME: u8 = 1;
const BY_OWNER: u8 = 2;
const BY_ID: u8 = 3;
const FENCE: u8 = 4;

/// The bucket of this name.
pub fn by_name(name: &str) -> Row<Bucket> {
    Row::new(FAMILY, tagged(BY_NAME, name.as_bytes()))
}

/// Says that `owner` has a bucket of this name.
pub fn by_owner(owner: AccountId, name: &str) -> Row<()> {
    let mut key = of_owner(owner);
    key.extend_from_slice(name.as_bytes());
    Row::new(FAMILY, key)
}

/// What the keys of all of an owner's buckets begin with.
pub fn of_owner(owner: AccountId) -> Vec<u8> {
    tagged(BY_OWNER, &owner.value().to_be_bytes())
}

/// The name in a key of [`by_owner`], behind [`of_owner`].
///
/// # Errors
/// When it is not UTF-8.
pub fn name(rest: &[u8]) -> Result<String, StoreError> {
    text("an owner's bucket", rest)
}

/// What the bucket of this id holds.
pub fn state(bucket: BucketId) -> Row<BucketState> {
    Row::new(FAMILY, tagged(BY_ID, &bucket.0.to_be_bytes()))
}

/// The newest claim on this name that was given up.
pub fn fence(name: &str) -> Row<Fence> {
    Row::new(FAMILY, tagged(FENCE, name.as_bytes()))
}

fn tagged(tag: u8, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + rest.len());
    key.push(tag);
    key.extend_from_slice(rest);
    key
}

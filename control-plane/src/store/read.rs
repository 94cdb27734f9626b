//! Typed reads of the directory, on any [`Reader`].

use super::{
    format, keys,
    record::{Account, Bucket, Cell, Key, Meta},
};
use bulkhead_model::{AccessKeyId, AccountId, CellId, routing};
use bulkhead_replica::{Family, Reader, StoreError};
use serde::de::DeserializeOwned;

fn get<T: DeserializeOwned>(view: &dyn Reader, family: Family, key: &[u8]) -> Result<Option<T>, StoreError> {
    view.get(family, key)?.map(|bytes| format::decode(family.name, &bytes)).transpose()
}

/// Entries of a family from `from` on, at most `max`, each through `read`.
fn scan<T>(
    view: &dyn Reader,
    family: Family,
    from: &[u8],
    max: usize,
    mut read: impl FnMut(&[u8], &[u8]) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut found = Vec::new();
    let mut cursor = view.cursor(family);
    cursor.seek(from)?;
    while let Some((key, value)) = cursor.entry() {
        if found.len() == max {
            break;
        }
        found.push(read(key, value)?);
        cursor.advance()?;
    }
    Ok(found)
}

/// Reads an id out of a key that is its text.
fn text_id<T: std::str::FromStr<Err: std::fmt::Display>>(what: &'static str, key: &[u8]) -> Result<T, StoreError> {
    let text = std::str::from_utf8(key).map_err(|error| StoreError::Corrupt { what, why: error.to_string() })?;
    text.parse().map_err(|error: T::Err| StoreError::Corrupt { what, why: error.to_string() })
}

fn big_endian(what: &'static str, key: &[u8]) -> Result<u64, StoreError> {
    let bytes = key.try_into().map_err(|_| StoreError::Corrupt { what, why: format!("{} bytes, not 8", key.len()) })?;
    Ok(u64::from_be_bytes(bytes))
}

fn account_key(key: &[u8]) -> Result<AccountId, StoreError> {
    let value = big_endian("account key", key)?;
    AccountId::new(value).map_err(|error| StoreError::Corrupt { what: "account key", why: error.to_string() })
}

/// The counters; all zero in an empty directory.
///
/// # Errors
/// When the store cannot be read; so for all reads below.
pub fn meta(view: &dyn Reader) -> Result<Meta, StoreError> {
    Ok(get(view, keys::META, keys::META_KEY)?.unwrap_or_default())
}

/// An account.
pub fn account(view: &dyn Reader, id: AccountId) -> Result<Option<Account>, StoreError> {
    get(view, keys::ACCOUNTS, &keys::account(id))
}

/// All accounts, in the order of their ids.
pub fn accounts(view: &dyn Reader) -> Result<Vec<(AccountId, Account)>, StoreError> {
    scan(view, keys::ACCOUNTS, &[], usize::MAX, |key, value| Ok((account_key(key)?, format::decode("account", value)?)))
}

/// The account that has an email address, given in its unique form.
pub fn email(view: &dyn Reader, unique: &str) -> Result<Option<AccountId>, StoreError> {
    get(view, keys::EMAILS, unique.as_bytes())
}

/// An access key.
pub fn key(view: &dyn Reader, id: &AccessKeyId) -> Result<Option<Key>, StoreError> {
    get(view, keys::KEYS, &keys::key(id))
}

/// All access keys.
pub fn all_keys(view: &dyn Reader) -> Result<Vec<(AccessKeyId, Key)>, StoreError> {
    scan(view, keys::KEYS, &[], usize::MAX, |key, value| {
        Ok((text_id("access key", key)?, format::decode("key", value)?))
    })
}

/// A bucket name.
pub fn bucket(view: &dyn Reader, name: &str) -> Result<Option<Bucket>, StoreError> {
    get(view, keys::BUCKETS, name.as_bytes())
}

/// All bucket names.
pub fn buckets(view: &dyn Reader) -> Result<Vec<(String, Bucket)>, StoreError> {
    scan(view, keys::BUCKETS, &[], usize::MAX, |key, value| {
        Ok((text_id("bucket", key)?, format::decode("bucket", value)?))
    })
}

/// A cell.
pub fn cell(view: &dyn Reader, id: &CellId) -> Result<Option<Cell>, StoreError> {
    get(view, keys::CELLS, &keys::cell(id))
}

/// All cells, in the order of their names.
pub fn cells(view: &dyn Reader) -> Result<Vec<(CellId, Cell)>, StoreError> {
    scan(view, keys::CELLS, &[], usize::MAX, |key, value| Ok((text_id("cell", key)?, format::decode("cell", value)?)))
}

/// Up to `max` things that are between two settled states, of all kinds, starting with the smallest key after `after`.
pub fn unsettled(view: &dyn Reader, after: &[u8], max: usize) -> Result<Vec<keys::Unsettled>, StoreError> {
    let from = [after, &[0]].concat();
    scan(view, keys::UNSETTLED, &from, max, |key, _| {
        let why = || format!("unknown kind: {}", String::from_utf8_lossy(key));
        keys::Unsettled::decode(key).ok_or_else(|| StoreError::Corrupt { what: "unsettled key", why: why() })
    })
}

/// Up to `max` routing changes after `version`, oldest first. `None` when some of them are no longer kept.
pub fn changes(view: &dyn Reader, version: u64, max: usize) -> Result<Option<Vec<routing::Versioned>>, StoreError> {
    let next = version.saturating_add(1);
    let found = scan(view, keys::CHANGES, &keys::change(next), max, |key, value| {
        Ok(routing::Versioned { version: big_endian("change", key)?, change: format::decode("change", value)? })
    })?;
    let reaches_back = found.first().is_none_or(|first| first.version == next);
    Ok(reaches_back.then_some(found))
}

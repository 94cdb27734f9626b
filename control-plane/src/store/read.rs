//! Typed reads of the directory, on any [`Reader`].

use super::{
    format::{self, Stored},
    keys,
    record::{
        Account, AuditRecord, Bucket, Cell, CertificateRecord, Counters, Idempotent, Key, Meta, OperationRecord,
        TokenRecord,
        setting::{SettingRecord, SettingsVersion},
    },
};
use bulkhead_model::{AccessKeyId, AccountId, CellId, routing};
use bulkhead_replica::{Family, Reader, StoreError};

fn get<T: Stored>(view: &dyn Reader, family: Family, key: &[u8]) -> Result<Option<T>, StoreError> {
    view.get(family, key)?.map(|bytes| format::decode(&bytes)).transpose()
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
    scan(view, keys::ACCOUNTS, &[], usize::MAX, |key, value| Ok((account_key(key)?, format::decode(value)?)))
}

/// Up to `max` ids of accounts behind `after`, in their order.
pub fn accounts_after(view: &dyn Reader, after: Option<AccountId>, max: usize) -> Result<Vec<AccountId>, StoreError> {
    let from = after.map(|after| after.value().saturating_add(1).to_be_bytes());
    scan(view, keys::ACCOUNTS, from.as_ref().map_or(&[], |from| from.as_slice()), max, |key, _| account_key(key))
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
    scan(view, keys::KEYS, &[], usize::MAX, |key, value| Ok((text_id("access key", key)?, format::decode(value)?)))
}

/// A bucket name.
pub fn bucket(view: &dyn Reader, name: &str) -> Result<Option<Bucket>, StoreError> {
    get(view, keys::BUCKETS, name.as_bytes())
}

/// All bucket names.
pub fn buckets(view: &dyn Reader) -> Result<Vec<(String, Bucket)>, StoreError> {
    scan(view, keys::BUCKETS, &[], usize::MAX, |key, value| Ok((text_id("bucket", key)?, format::decode(value)?)))
}

/// A cell.
pub fn cell(view: &dyn Reader, id: &CellId) -> Result<Option<Cell>, StoreError> {
    get(view, keys::CELLS, &keys::cell(id))
}

/// All cells, in the order of their names.
pub fn cells(view: &dyn Reader) -> Result<Vec<(CellId, Cell)>, StoreError> {
    scan(view, keys::CELLS, &[], usize::MAX, |key, value| Ok((text_id("cell", key)?, format::decode(value)?)))
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
        Ok(routing::Versioned { version: big_endian("change", key)?, change: format::decode(value)? })
    })?;
    let reaches_back = found.first().is_none_or(|first| first.version == next);
    Ok(reaches_back.then_some(found))
}

/// The counters of version 2; all zero before there are any.
pub fn counters(view: &dyn Reader) -> Result<Counters, StoreError> {
    Ok(get(view, keys::META, keys::COUNTERS_KEY)?.unwrap_or_default())
}

/// A cell's certificate as it was signed.
pub fn certificate(view: &dyn Reader, cell: &CellId) -> Result<Option<CertificateRecord>, StoreError> {
    get(view, keys::CERTIFICATES, &keys::cell(cell))
}

/// Whether a group of accounts that stay apart has one in a cell.
pub fn is_apart(view: &dyn Reader, group: &str, cell: &CellId) -> Result<bool, StoreError> {
    Ok(get::<()>(view, keys::APART, &keys::apart(group, cell))?.is_some())
}

/// An operation.
pub fn operation(view: &dyn Reader, number: u64) -> Result<Option<OperationRecord>, StoreError> {
    get(view, keys::OPERATIONS, &keys::number(number))
}

/// The last `max` operations, oldest first.
pub fn operations(view: &dyn Reader, max: usize) -> Result<Vec<(u64, OperationRecord)>, StoreError> {
    let from = counters(view)?.last_operation.saturating_sub(max as u64) + 1;
    scan(view, keys::OPERATIONS, &keys::number(from), max, |key, value| {
        Ok((big_endian("operation key", key)?, format::decode(value)?))
    })
}

/// Up to `max` entries of the audit log after `after`, oldest first.
pub fn audit(view: &dyn Reader, after: u64, max: usize) -> Result<Vec<(u64, AuditRecord)>, StoreError> {
    scan(view, keys::AUDIT, &keys::number(after.saturating_add(1)), max, |key, value| {
        Ok((big_endian("audit key", key)?, format::decode(value)?))
    })
}

/// A token of the API.
pub fn token(view: &dyn Reader, name: &str) -> Result<Option<TokenRecord>, StoreError> {
    get(view, keys::TOKENS, name.as_bytes())
}

/// All tokens of the API, in the order of their names.
pub fn tokens(view: &dyn Reader) -> Result<Vec<(String, TokenRecord)>, StoreError> {
    scan(view, keys::TOKENS, &[], usize::MAX, |key, value| Ok((text_id("token", key)?, format::decode(value)?)))
}

/// What is known of a request by its key.
pub fn idempotent(view: &dyn Reader, key: &str) -> Result<Option<Idempotent>, StoreError> {
    get(view, keys::IDEMPOTENT, &keys::idempotent(key))
}

/// The key of the request that was the `number`th to be remembered, if it is still.
pub fn idempotent_number(view: &dyn Reader, number: u64) -> Result<Option<String>, StoreError> {
    get(view, keys::IDEMPOTENT, &keys::idempotent_number(number))
}

/// What is said of a setting; `None` when nothing ever was.
pub fn setting(view: &dyn Reader, name: &str) -> Result<Option<SettingRecord>, StoreError> {
    get(view, keys::SETTINGS, name.as_bytes())
}

/// All settings of which something was said, by name.
pub fn settings(view: &dyn Reader) -> Result<Vec<(String, SettingRecord)>, StoreError> {
    scan(view, keys::SETTINGS, &[], usize::MAX, |key, value| Ok((text_id("setting", key)?, format::decode(value)?)))
}

/// The version of all settings; 0 before there are any.
pub fn settings_version(view: &dyn Reader) -> Result<SettingsVersion, StoreError> {
    Ok(get(view, keys::META, keys::SETTINGS_KEY)?.unwrap_or_default())
}

//! The keyspace: which family holds what under which key.

use bulkhead_model::{AccessKeyId, AccountId, CellId};
use bulkhead_replica::Family;

/// Account id (8 bytes, big-endian) → [`super::record::Account`].
pub const ACCOUNTS: Family = family(0, "accounts");
/// Email address in its unique form → account id.
pub const EMAILS: Family = family(1, "emails");
/// Access key id → [`super::record::Key`].
pub const KEYS: Family = family(2, "keys");
/// Bucket name → [`super::record::Bucket`].
pub const BUCKETS: Family = family(3, "buckets");
/// Cell id → [`super::record::Cell`].
pub const CELLS: Family = family(4, "cells");
/// Routing version (8 bytes, big-endian) → routing change; the last [`crate::limits::CHANGES_KEPT`] of them.
pub const CHANGES: Family = family(5, "changes");
/// [`META_KEY`] → [`super::record::Meta`], [`COUNTERS_KEY`] → [`super::record::Counters`],
/// [`SETTINGS_KEY`] → [`super::record::setting::SettingsVersion`].
pub const META: Family = family(6, "meta");
/// What a reconciler has to look after ([`Unsettled`]) → nothing. A thing is in it exactly while it is unsettled.
pub const UNSETTLED: Family = family(7, "unsettled");

/// Cell id → [`super::record::CertificateRecord`].
pub const CERTIFICATES: Family = family(8, "certificates");
/// A group of accounts that stay apart, 0, cell id → nothing: the group has an account in that cell.
pub const APART: Family = family(9, "apart");
/// Number (8 bytes, big-endian) → [`super::record::OperationRecord`].
pub const OPERATIONS: Family = family(10, "operations");
/// Number (8 bytes, big-endian) → [`super::record::AuditRecord`]; the last [`crate::limits::AUDIT_KEPT`] of them.
pub const AUDIT: Family = family(11, "audit");
/// Name → [`super::record::TokenRecord`].
pub const TOKENS: Family = family(12, "tokens");
/// `k` and an idempotency key → [`super::record::Idempotent`]; `n` and a number (8 bytes, big-endian) → the key that was the
/// so-manieth to be remembered. The last [`crate::limits::IDEMPOTENT_KEPT`] of them.
pub const IDEMPOTENT: Family = family(13, "idempotent");

/// Name → [`super::record::setting::SettingRecord`].
pub const SETTINGS: Family = family(14, "settings");

/// All of them, each at its index.
pub const FAMILIES: &[Family] = &[
    ACCOUNTS,
    EMAILS,
    KEYS,
    BUCKETS,
    CELLS,
    CHANGES,
    META,
    UNSETTLED,
    CERTIFICATES,
    APART,
    OPERATIONS,
    AUDIT,
    TOKENS,
    IDEMPOTENT,
    SETTINGS,
];

/// Where [`META`] holds [`super::record::Meta`].
pub const META_KEY: &[u8] = b"meta";
/// Where [`META`] holds [`super::record::Counters`].
pub const COUNTERS_KEY: &[u8] = b"counters";
/// Where [`META`] holds [`super::record::setting::SettingsVersion`].
pub const SETTINGS_KEY: &[u8] = b"settings";

const fn family(index: u8, name: &'static str) -> Family {
    Family { index, name, large_values: false }
}

/// Key of an account.
pub fn account(account: AccountId) -> Vec<u8> {
    account.value().to_be_bytes().to_vec()
}

/// Key of an access key.
pub fn key(key: &AccessKeyId) -> Vec<u8> {
    key.as_str().into()
}

/// Key of a cell.
pub fn cell(cell: &CellId) -> Vec<u8> {
    cell.as_str().into()
}

/// Key of a routing change.
pub fn change(version: u64) -> Vec<u8> {
    version.to_be_bytes().to_vec()
}

/// Key of whatever is numbered.
pub fn number(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// Key of a request that is carried out once.
pub fn idempotent(key: &str) -> Vec<u8> {
    [b"k", key.as_bytes()].concat()
}

/// Key of the note which request was remembered when.
pub fn idempotent_number(number: u64) -> Vec<u8> {
    [b"n".as_slice(), &number.to_be_bytes()].concat()
}

/// Key of the mark that a group of accounts that stay apart has one in a cell.
pub fn apart(group: &str, cell: &CellId) -> Vec<u8> {
    [group.as_bytes(), &[0], cell.as_str().as_bytes()].concat()
}

/// Something between two settled states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsettled {
    /// Being created or deleted.
    Account(AccountId),
    /// Being created or deleted.
    Key(AccessKeyId),
    /// Claimed and not yet confirmed by the cell.
    Bucket(String),
    /// Its limits were changed and the cell has not confirmed them.
    Limits(AccountId),
    /// Its quota, suspension or a key of it was changed and the cell has not confirmed that.
    Settings(AccountId),
}

impl Unsettled {
    /// Its key in [`UNSETTLED`]: a letter for the kind, then the id as text.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Account(account) => format!("a{account}").into(),
            Self::Key(key) => format!("k{key}").into(),
            Self::Bucket(bucket) => format!("b{bucket}").into(),
            Self::Limits(account) => format!("l{account}").into(),
            Self::Settings(account) => format!("s{account}").into(),
        }
    }

    /// Reads a key of [`UNSETTLED`]; `None` when it is none.
    pub fn decode(key: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(key).ok()?;
        let (kind, id) = text.split_at_checked(1)?;
        match kind {
            "a" => id.parse().ok().map(Self::Account),
            "k" => id.parse().ok().map(Self::Key),
            "b" => Some(Self::Bucket(id.into())),
            "l" => id.parse().ok().map(Self::Limits),
            "s" => id.parse().ok().map(Self::Settings),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_is_at_its_index() {
        for (position, family) in FAMILIES.iter().enumerate() {
            assert_eq!(usize::from(family.index), position, "{}", family.name);
        }
    }

    #[test]
    fn unsettled_things_survive_their_key() {
        let account = AccountId::new(123_456_789_012).expect("twelve digits");
        let key = "BKAAAAAAAAAAAAAAAAAA".parse().expect("an access key id");
        let things = [
            Unsettled::Account(account),
            Unsettled::Key(key),
            Unsettled::Bucket("abc".into()),
            Unsettled::Limits(account),
            Unsettled::Settings(account),
        ];
        for thing in things {
            assert_eq!(Unsettled::decode(&thing.encode()), Some(thing));
        }
        assert_eq!(Unsettled::decode(b"?x"), None);
    }
}

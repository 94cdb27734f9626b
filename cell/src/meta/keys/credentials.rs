//! Credentials by access key id, and the access keys of an account.
//!
//! | key | value |
//! |---|---|
//! | `01`, access key id | [`Credential`] |
//! | `02`, account, access key id | – |

use super::{Row, short, text};
use crate::meta::record::Credential;
use bulkhead_model::{AccessKeyId, AccountId};
use bulkhead_replica::{Family, StoreError};

/// Family `credentials`.
pub const FAMILY: Family = Family { index: 1, name: "credentials", large_values: false };

const BY_KEY: u8 = 1;
const BY_ACCOUNT: u8 = 2;

/// The credential of an access key.
pub fn by_key(key: &AccessKeyId) -> Row<Credential> {
    let mut bytes = vec![BY_KEY];
    bytes.extend_from_slice(key.as_str().as_bytes());
    Row::new(FAMILY, bytes)
}

/// Says that `account` has access key `key`.
pub fn by_account(account: AccountId, key: &AccessKeyId) -> Row<()> {
    let mut bytes = of_account(account);
    bytes.extend_from_slice(key.as_str().as_bytes());
    Row::new(FAMILY, bytes)
}

/// What the keys of all of an account's access keys begin with.
pub fn of_account(account: AccountId) -> Vec<u8> {
    let mut bytes = vec![BY_ACCOUNT];
    bytes.extend_from_slice(&account.value().to_be_bytes());
    bytes
}

/// The access key in a key of [`by_account`], behind [`of_account`].
///
/// # Errors
/// When it is none.
pub fn access_key(rest: &[u8]) -> Result<AccessKeyId, StoreError> {
    const WHAT: &str = "an account's access key";
    text(WHAT, rest)?.parse().map_err(|_| short(WHAT))
}

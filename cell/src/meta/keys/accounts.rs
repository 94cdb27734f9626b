//! Accounts: the record, and what the account holds.
//!
//! | key | value |
//! |---|---|
//! | `01`, account | [`Account`] |
//! | `02`, account | [`AccountTotals`] |
//! | `03`, account | [`LimitsRecord`] |
//! | `04`, account | [`Settings`] |

use super::Row;
use crate::meta::{
    bookkeeping::AccountTotals,
    record::{Account, LimitsRecord, Settings},
};
use bulkhead_model::AccountId;
use bulkhead_replica::Family;

/// Family `accounts`.
pub const FAMILY: Family = Family { index: 0, name: "accounts", large_values: false };

const RECORD: u8 = 1;
const TOTALS: u8 = 2;
const LIMITS: u8 = 3;
const SETTINGS: u8 = 4;

/// The account itself.
pub fn record(account: AccountId) -> Row<Account> {
    Row::new(FAMILY, tagged(RECORD, account))
}

/// What it holds. Exists exactly as long as the account does.
pub fn totals(account: AccountId) -> Row<AccountTotals> {
    Row::new(FAMILY, tagged(TOTALS, account))
}

/// What was set for it. Absent until something is.
pub fn limits(account: AccountId) -> Row<LimitsRecord> {
    Row::new(FAMILY, tagged(LIMITS, account))
}

/// What it may hold, and who of it is refused. Absent until something is set.
pub fn settings(account: AccountId) -> Row<Settings> {
    Row::new(FAMILY, tagged(SETTINGS, account))
}

fn tagged(tag: u8, account: AccountId) -> Vec<u8> {
    let mut key = vec![tag];
    key.extend_from_slice(&account.value().to_be_bytes());
    key
}

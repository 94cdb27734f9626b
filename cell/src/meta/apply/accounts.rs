//! Accounts and their access keys.

use super::{Decision, draft::Draft};
use crate::{
    limits::KEYS_PER_ACCOUNT_MAX,
    meta::{
        bookkeeping::AccountTotals,
        command::{CapacityDimension, Done, Refusal},
        keys::{self, within},
        record::{Account, Credential, LimitsRecord, Settings},
    },
};
use bulkhead_model::{AccessKeyId, AccountId};

/// Creates or updates an account. Its epoch never goes back.
pub(super) fn put(draft: &mut Draft<'_>, account: AccountId, record: &Account) -> Decision {
    match draft.get(&keys::accounts::record(account))? {
        Some(Account { epoch: current, .. }) if current > record.epoch => {
            return Err(Refusal::Moved { current }.into());
        }
        Some(_) => {}
        None => {
            let (used, max) = (draft.cell.accounts, draft.capacity.accounts);
            if used >= max {
                return Err(Refusal::CellFull { what: CapacityDimension::Accounts, used, max }.into());
            }
            draft.cell.accounts += 1;
            draft.put(keys::accounts::totals(account), &AccountTotals::default());
        }
    }
    draft.put(keys::accounts::record(account), record);
    Ok(Done::Ok)
}

/// Says what an account may ask for. Of two changes that cross on their way the later one holds; an account that is gone stays gone.
pub(super) fn put_limits(draft: &mut Draft<'_>, account: AccountId, limits: &LimitsRecord) -> Decision {
    draft.get(&keys::accounts::record(account))?.ok_or(Refusal::NoSuchAccount)?;
    let row = keys::accounts::limits(account);
    let known = draft.get(&row)?.map_or(0, |known| known.version);
    if limits.version > known {
        draft.put(row, limits);
    }
    Ok(Done::Ok)
}

/// Says what an account may hold, and who of it is refused. What it holds beyond that stays.
pub(super) fn put_settings(draft: &mut Draft<'_>, account: AccountId, settings: &Settings) -> Decision {
    draft.get(&keys::accounts::record(account))?.ok_or(Refusal::NoSuchAccount)?;
    let row = keys::accounts::settings(account);
    let known = draft.get(&row)?.map_or(0, |known| known.version);
    if settings.version > known {
        draft.put(row, settings);
    }
    Ok(Done::Ok)
}

/// Deletes an account that has no buckets, with its access keys. One that is gone already is no error.
pub(super) fn delete(draft: &mut Draft<'_>, account: AccountId) -> Decision {
    let Some(totals) = draft.get(&keys::accounts::totals(account))? else { return Ok(Done::Ok) };
    if totals.buckets > 0 {
        return Err(Refusal::AccountNotEmpty { buckets: totals.buckets }.into());
    }
    let mut cursor = draft.cursor(keys::credentials::FAMILY);
    let of_account = keys::credentials::of_account(account);
    cursor.seek(&of_account)?;
    while let Some((rest, _)) = within(&*cursor, &of_account) {
        let key = keys::credentials::access_key(rest)?;
        draft.delete(keys::credentials::by_key(&key));
        draft.delete(keys::credentials::by_account(account, &key));
        cursor.advance()?;
    }
    draft.delete(keys::accounts::record(account));
    draft.delete(keys::accounts::totals(account));
    draft.delete(keys::accounts::limits(account));
    draft.delete(keys::accounts::settings(account));
    draft.cell.accounts = draft.cell.accounts.saturating_sub(1);
    Ok(Done::Ok)
}

/// Creates or replaces an access key of an account.
pub(super) fn put_credential(draft: &mut Draft<'_>, key: &AccessKeyId, credential: &Credential) -> Decision {
    let account = credential.account;
    let totals_row = keys::accounts::totals(account);
    let mut totals = draft.get(&totals_row)?.ok_or(Refusal::NoSuchAccount)?;
    match draft.get(&keys::credentials::by_key(key))? {
        Some(other) if other.account != account => return Err(Refusal::KeyOfAnotherAccount.into()),
        Some(_) => {}
        None if totals.keys >= KEYS_PER_ACCOUNT_MAX => {
            return Err(Refusal::TooManyKeys { used: totals.keys, max: KEYS_PER_ACCOUNT_MAX }.into());
        }
        None => {
            totals.keys += 1;
            draft.put(totals_row, &totals);
            draft.put(keys::credentials::by_account(account, key), &());
        }
    }
    draft.put(keys::credentials::by_key(key), credential);
    Ok(Done::Ok)
}

/// Deletes an access key. One that is gone already is no error.
pub(super) fn delete_credential(draft: &mut Draft<'_>, key: &AccessKeyId, account: AccountId) -> Decision {
    let row = keys::credentials::by_key(key);
    let Some(credential) = draft.get(&row)? else { return Ok(Done::Ok) };
    if credential.account != account {
        return Err(Refusal::KeyOfAnotherAccount.into());
    }
    draft.delete(row);
    draft.delete(keys::credentials::by_account(account, key));
    let totals_row = keys::accounts::totals(account);
    if let Some(mut totals) = draft.get(&totals_row)? {
        totals.keys = totals.keys.saturating_sub(1);
        draft.put(totals_row, &totals);
    }
    Ok(Done::Ok)
}

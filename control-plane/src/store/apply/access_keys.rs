//! Access keys beyond an account's first: the public halves only.

use super::change_set::ChangeSet;
use crate::{
    domain::account::is_routed,
    limits::KEYS_PER_ACCOUNT_MAX,
    store::{
        command::{Done, Outcome, Refusal},
        keys::Unsettled,
        read,
        record::{Key, KeyState},
    },
};
use bulkhead_model::{AccessKeyId, AccountId, api::control_plane::AccountState, routing::Change};
use bulkhead_replica::StoreError;

/// Reserves a key id.
pub fn create(set: &mut ChangeSet<'_>, id: AccountId, key: AccessKeyId) -> Result<Outcome, StoreError> {
    let Some(mut account) = read::account(set.view, id)? else { return Ok(Err(Refusal::NoSuchAccount(id))) };
    if account.state != AccountState::Active {
        return Ok(Err(Refusal::AccountNotActive { account: id, state: account.state }));
    }
    if account.keys.len() >= KEYS_PER_ACCOUNT_MAX {
        let (keys, max) = (account.keys.len() as u64, KEYS_PER_ACCOUNT_MAX as u64);
        return Ok(Err(Refusal::TooManyKeys { account: id, keys, max }));
    }
    if read::key(set.view, &key)?.is_some() {
        return Ok(Err(Refusal::KeyIdTaken));
    }
    set.put_key(&key, &Key { account: id, state: KeyState::Creating, created: set.time(), disabled: false })?;
    set.unsettled(&Unsettled::Key(key.clone()));
    account.keys.push(key);
    set.put_account(id, &account)?;
    Ok(Ok(Done::Ok))
}

/// Opens a key to tenants. Repeating it is harmless.
pub fn activate(set: &mut ChangeSet<'_>, key: AccessKeyId) -> Result<Outcome, StoreError> {
    let Some(record) = read::key(set.view, &key)? else { return Ok(Err(Refusal::KeyGone(key))) };
    match record.state {
        KeyState::Active => return Ok(Ok(Done::Ok)),
        KeyState::Deleting => return Ok(Err(Refusal::KeyGone(key))),
        KeyState::Creating => {}
    }
    if let Some(state) = account_state(set, record.account)?.filter(|&state| state != AccountState::Active) {
        return Ok(Err(Refusal::AccountNotActive { account: record.account, state }));
    }
    set.put_key(&key, &Key { state: KeyState::Active, ..record.clone() })?;
    set.settled(&Unsettled::Key(key.clone()));
    set.publish(&Change::Key { key, account: record.account });
    Ok(Ok(Done::Ok))
}

/// Marks a key for deletion. Repeating it is harmless.
pub fn begin_delete(set: &mut ChangeSet<'_>, id: AccountId, key: AccessKeyId) -> Result<Outcome, StoreError> {
    let Some(record) = read::key(set.view, &key)?.filter(|record| record.account == id) else {
        return Ok(Err(Refusal::NoSuchKey { account: id, key }));
    };
    if record.state == KeyState::Deleting {
        return Ok(Ok(Done::Ok));
    }
    if record.state == KeyState::Active && account_state(set, id)?.is_some_and(is_routed) {
        set.publish(&Change::KeyGone { key: key.clone() });
    }
    set.put_key(&key, &Key { state: KeyState::Deleting, ..record })?;
    set.unsettled(&Unsettled::Key(key));
    Ok(Ok(Done::Ok))
}

/// Removes a key that its cell no longer has. Repeating it is harmless.
pub fn forget(set: &mut ChangeSet<'_>, key: AccessKeyId) -> Result<Outcome, StoreError> {
    let Some(record) = read::key(set.view, &key)? else { return Ok(Ok(Done::Ok)) };
    if record.state != KeyState::Deleting {
        return Ok(Err(Refusal::KeyNotDeleting(key)));
    }
    if let Some(mut account) = read::account(set.view, record.account)? {
        account.keys.retain(|held| *held != key);
        set.put_account(record.account, &account)?;
    }
    set.delete_key(&key)?;
    set.settled(&Unsettled::Key(key));
    Ok(Ok(Done::Ok))
}

fn account_state(set: &ChangeSet<'_>, id: AccountId) -> Result<Option<AccountState>, StoreError> {
    Ok(read::account(set.view, id)?.map(|account| account.state))
}

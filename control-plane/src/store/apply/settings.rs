//! What an account may hold, whether it is suspended, which of its keys are disabled: set here, then by the reconciler in its cell.

use super::{change_set::ChangeSet, placement};
use crate::{
    domain::account,
    store::{
        command::{Done, Outcome, Refusal},
        keys::Unsettled,
        read,
        record::{Account, Key, KeyState},
    },
};
use bulkhead_model::{
    AccessKeyId, AccountId,
    api::control_plane::{AccountState, OperationKind, Quota},
};
use bulkhead_replica::StoreError;

/// Replaces what an account may hold. What it holds beyond that stays; only growth is refused.
pub fn set_quota(set: &mut ChangeSet<'_>, id: AccountId, quota: Quota) -> Result<Outcome, StoreError> {
    let Some(mut record) = read::account(set.view, id)? else { return Ok(Err(Refusal::NoSuchAccount(id))) };
    if let Some(refusal) = not_settled(id, &record) {
        return Ok(Err(refusal));
    }
    if record.more.quota != quota {
        record.more.quota = quota;
        placement::reserve(set, &mut record)?;
        changed(set, id, &mut record)?;
    }
    Ok(Ok(Done::Ok))
}

/// Suspends an account, lets it go on, or begins to delete all it holds. Repeating it is harmless.
pub fn move_account(set: &mut ChangeSet<'_>, id: AccountId, to: AccountState) -> Result<Outcome, StoreError> {
    let Some(mut record) = read::account(set.view, id)? else { return Ok(Err(Refusal::NoSuchAccount(id))) };
    let purges = to == AccountState::Purging;
    if record.state == to {
        return Ok(Ok(record
            .more
            .operation
            .filter(|_| purges)
            .map_or(Done::Ok, |operation| Done::Operation { operation })));
    }
    let is_plain = matches!(to, AccountState::Active | AccountState::Suspended | AccountState::Purging);
    if record.state == AccountState::Creating || !is_plain || !account::may_become(record.state, to) {
        return Ok(Err(Refusal::IllegalAccountMove { account: id, state: record.state, to }));
    }
    (record.state, record.since) = (to, set.time());
    let mut done = Done::Ok;
    if purges {
        let operation =
            set.begin_operation(OperationKind::PurgeAccount, id.to_string(), "its own keys are locked out")?;
        record.more.operation = Some(operation);
        set.unsettled(&Unsettled::Account(id));
        done = Done::Operation { operation };
    }
    changed(set, id, &mut record)?;
    Ok(Ok(done))
}

/// Disables a key, or enables it again. Repeating it is harmless.
pub fn switch_key(
    set: &mut ChangeSet<'_>,
    id: AccountId,
    key: AccessKeyId,
    disabled: bool,
) -> Result<Outcome, StoreError> {
    let Some(mut record) = read::account(set.view, id)? else { return Ok(Err(Refusal::NoSuchAccount(id))) };
    let Some(known) = read::key(set.view, &key)?.filter(|known| known.account == id) else {
        return Ok(Err(Refusal::NoSuchKey { account: id, key }));
    };
    if known.state != KeyState::Active {
        return Ok(Err(Refusal::KeyGone(key)));
    }
    if let Some(refusal) = not_settled(id, &record) {
        return Ok(Err(refusal));
    }
    if known.disabled != disabled {
        set.put_key(&key, &Key { disabled, ..known })?;
        changed(set, id, &mut record)?;
    }
    Ok(Ok(Done::Ok))
}

/// Notes what the cell has. What was changed meanwhile stays with the reconciler.
pub fn in_force(set: &mut ChangeSet<'_>, id: AccountId, version: u64) -> Result<Outcome, StoreError> {
    let Some(mut record) = read::account(set.view, id)? else {
        set.settled(&Unsettled::Settings(id));
        return Ok(Ok(Done::Ok));
    };
    if version > record.more.settings_in_cell {
        record.more.settings_in_cell = version;
        set.put_account(id, &record)?;
    }
    if record.more.settings_in_cell >= record.more.settings_version {
        set.settled(&Unsettled::Settings(id));
    }
    Ok(Ok(Done::Ok))
}

fn changed(set: &mut ChangeSet<'_>, id: AccountId, record: &mut Account) -> Result<(), StoreError> {
    record.more.settings_version += 1;
    set.put_account(id, record)?;
    set.unsettled(&Unsettled::Settings(id));
    Ok(())
}

/// Why an account's settings cannot be changed now.
fn not_settled(id: AccountId, record: &Account) -> Option<Refusal> {
    match record.state {
        AccountState::Active | AccountState::Suspended => None,
        state @ (AccountState::Creating | AccountState::Deleting | AccountState::Purging) => {
            Some(Refusal::AccountNotActive { account: id, state })
        }
    }
}

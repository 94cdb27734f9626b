//! Accounts: reserved in a cell, activated once the cell has them, forgotten once the cell has forgotten them.

use super::change_set::ChangeSet;
use crate::{
    domain::{account, placement},
    limits::KEYS_PER_ACCOUNT_MAX,
    store::{
        command::{CreateAccount, Done, Outcome, Refusal},
        keys::Unsettled,
        read,
        record::{Account, Cell, Key, KeyState, MoreOfAccount},
    },
};
use bulkhead_model::{
    AccessKeyId, AccountId, CellId, Epoch,
    api::control_plane::{AccountState, OperationState},
    routing::{Change, Home},
};
use bulkhead_replica::StoreError;

const _: () = assert!(KEYS_PER_ACCOUNT_MAX >= 1);

/// Reserves id, email, key and a place in the candidate with the most headroom.
pub fn create(set: &mut ChangeSet<'_>, create: CreateAccount) -> Result<Outcome, StoreError> {
    let unique = account::unique_email(&create.email);
    if let Some(refusal) = taken(set, &unique, create.account, &create.key)? {
        return Ok(Err(refusal));
    }
    let Some((cell, mut home)) = best(set, &create.candidates)? else { return Ok(Err(Refusal::NoRoom)) };
    home.accounts += 1;
    set.reserve(&cell, &home);
    set.put_email(&unique, create.account);
    set.put_key(
        &create.key,
        &Key { account: create.account, state: KeyState::Creating, created: set.time(), disabled: false },
    )?;
    let record = Account {
        display_name: create.display_name,
        email: create.email,
        cell: cell.clone(),
        epoch: Epoch(1),
        state: AccountState::Creating,
        created: set.time(),
        since: set.time(),
        buckets: 0,
        keys: vec![create.key],
        limits: create.limits,
        limits_version: u64::from(!create.limits.is_default()),
        limits_in_cell: 0,
        more: MoreOfAccount::default(),
    };
    set.put_account(create.account, &record)?;
    set.unsettled(&Unsettled::Account(create.account));
    set.meta.accounts += 1;
    Ok(Ok(Done::AccountPlaced { cell, epoch: record.epoch }))
}

/// What of a new account is another's already.
pub(super) fn taken(
    set: &ChangeSet<'_>,
    unique_email: &str,
    id: AccountId,
    key: &AccessKeyId,
) -> Result<Option<Refusal>, StoreError> {
    if let Some(holder) = read::email(set.view, unique_email)? {
        let state = read::account(set.view, holder)?.map_or(AccountState::Deleting, |record| record.state);
        return Ok(Some(Refusal::EmailTaken { account: holder, state }));
    }
    if read::account(set.view, id)?.is_some() {
        return Ok(Some(Refusal::AccountIdTaken(id)));
    }
    Ok(read::key(set.view, key)?.map(|_| Refusal::KeyIdTaken))
}

fn best(set: &ChangeSet<'_>, candidates: &[CellId]) -> Result<Option<(CellId, Cell)>, StoreError> {
    let mut eligible = Vec::new();
    for id in candidates {
        if let Some(cell) = read::cell(set.view, id)?.filter(Cell::was_eligible) {
            eligible.push((id.clone(), cell));
        }
    }
    let loads: Vec<_> = eligible.iter().map(|(_, cell)| cell.first_load()).collect();
    Ok(placement::choose(&loads).map(|position| eligible.swap_remove(position)))
}

/// Opens an account and its first key to tenants. Repeating it is harmless.
pub fn activate(set: &mut ChangeSet<'_>, id: AccountId, key: AccessKeyId) -> Result<Outcome, StoreError> {
    let Some(mut record) = read::account(set.view, id)? else { return Ok(Err(Refusal::NoSuchAccount(id))) };
    if record.state == AccountState::Active {
        return Ok(Ok(Done::Ok));
    }
    let Some(first) = read::key(set.view, &key)?.filter(|first| first.account == id) else {
        return Ok(Err(Refusal::NoSuchKey { account: id, key }));
    };
    if let Err(refusal) = change_state(set, id, &mut record, AccountState::Active) {
        return Ok(Err(refusal));
    }
    // Written into the cell together with the account and the key.
    record.limits_in_cell = record.limits_version;
    record.more.settings_in_cell = record.more.settings_version;
    set.put_key(&key, &Key { state: KeyState::Active, ..first })?;
    set.put_account(id, &record)?;
    set.settled(&Unsettled::Account(id));
    set.publish(&Change::Account { account: id, home: Home { cell: record.cell, epoch: record.epoch } });
    set.publish(&Change::Key { key, account: id });
    Ok(Ok(Done::Ok))
}

/// Closes an account that has no bucket, so that none can be created any more. Repeating it is harmless.
pub fn begin_delete(set: &mut ChangeSet<'_>, id: AccountId) -> Result<Outcome, StoreError> {
    let Some(mut record) = read::account(set.view, id)? else { return Ok(Err(Refusal::NoSuchAccount(id))) };
    if record.state == AccountState::Deleting {
        return Ok(Ok(Done::Ok));
    }
    if record.buckets > 0 {
        return Ok(Err(Refusal::AccountNotEmpty { account: id, buckets: record.buckets }));
    }
    let was_published = match record.state {
        AccountState::Active | AccountState::Suspended | AccountState::Purging => true,
        AccountState::Creating | AccountState::Deleting => false,
    };
    if let Err(refusal) = change_state(set, id, &mut record, AccountState::Deleting) {
        return Ok(Err(refusal));
    }
    set.put_account(id, &record)?;
    set.unsettled(&Unsettled::Account(id));
    if was_published {
        unpublish(set, id, &record)?;
    }
    Ok(Ok(Done::Ok))
}

/// Routers know an account and its keys exactly while both are active.
fn unpublish(set: &mut ChangeSet<'_>, id: AccountId, record: &Account) -> Result<(), StoreError> {
    for key in &record.keys {
        if read::key(set.view, key)?.is_some_and(|key| key.state == KeyState::Active) {
            set.publish(&Change::KeyGone { key: key.clone() });
        }
    }
    set.publish(&Change::AccountGone { account: id });
    Ok(())
}

/// Removes an account that its cell no longer has, with everything that is its own. Repeating it is harmless.
pub fn forget(set: &mut ChangeSet<'_>, id: AccountId) -> Result<Outcome, StoreError> {
    let Some(record) = read::account(set.view, id)? else { return Ok(Ok(Done::Ok)) };
    if record.state != AccountState::Deleting {
        return Ok(Err(Refusal::AccountNotDeleting { account: id, state: record.state }));
    }
    for key in &record.keys {
        set.delete_key(key)?;
        set.settled(&Unsettled::Key(key.clone()));
    }
    if let Some(mut cell) = read::cell(set.view, &record.cell)? {
        cell.accounts = cell.accounts.saturating_sub(1);
        cell.more.reserved = cell.more.reserved.zip(record.more.reserved, u64::saturating_sub);
        set.reserve(&record.cell, &cell);
    }
    if let Some(group) = &record.more.apart {
        set.delete_apart(group, &record.cell);
    }
    let done = Some("the account is deleted".to_owned());
    set.note_operation(record.more.operation, done, OperationState::Succeeded)?;
    set.delete_email(&account::unique_email(&record.email));
    set.delete_account(id)?;
    set.settled(&Unsettled::Account(id));
    set.settled(&Unsettled::Limits(id));
    set.settled(&Unsettled::Settings(id));
    set.meta.accounts = set.meta.accounts.saturating_sub(1);
    Ok(Ok(Done::Ok))
}

fn change_state(set: &ChangeSet<'_>, id: AccountId, record: &mut Account, to: AccountState) -> Result<(), Refusal> {
    if !account::may_become(record.state, to) {
        return Err(Refusal::AccountNotActive { account: id, state: record.state });
    }
    record.state = to;
    record.since = set.time();
    Ok(())
}

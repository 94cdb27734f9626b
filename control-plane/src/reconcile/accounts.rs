//! Accounts and keys whose creation or deletion stopped half-way, and limits that the cell has not confirmed.
//!
//! A creation nobody finished is undone: its secret was in the memory of a process that is gone, so nobody holds it.

use super::Rhythm;
use crate::{
    cells::{CellError, Cells},
    limits::{CREATION_GRACE, RECONCILE_BATCH},
    store::{Directory, DirectoryError, command::Command, keys::Unsettled, read, record::KeyState},
};
use bulkhead_model::{
    AccessKeyId, AccountId, Timestamp,
    api::{
        cell::{PutLimits, PutSettings},
        control_plane::AccountState,
    },
};
use bulkhead_service::Env;

/// Looks after accounts and keys until the process stops.
pub async fn run(mut rhythm: Rhythm, directory: Directory, cells: Cells, env: Env) {
    while rhythm.next().await.is_some() {
        if let Err(error) = pass(&directory, &cells, env.clock.wall()).await {
            tracing::warn!(%error, "unsettled accounts could not be read");
        }
    }
}

/// Takes up every unsettled account and key once. What fails is left for the next pass.
///
/// # Errors
/// When the directory cannot be read.
pub async fn pass(directory: &Directory, cells: &Cells, now: Timestamp) -> Result<(), DirectoryError> {
    let mut after = Vec::new();
    loop {
        let batch = read::unsettled(&directory.view().await?, &after, RECONCILE_BATCH)?;
        let Some(last) = batch.last() else { return Ok(()) };
        after = last.encode();
        for thing in batch {
            let settled = match &thing {
                Unsettled::Account(account) => settle_account(directory, cells, *account, now).await,
                Unsettled::Key(key) => settle_key(directory, cells, key, now).await,
                Unsettled::Limits(account) => finish_limits(directory, cells, *account).await,
                Unsettled::Settings(account) => finish_settings(directory, cells, *account).await,
                Unsettled::Bucket(_) => Ok(()),
            };
            if let Err(error) = settled {
                tracing::warn!(?thing, %error, "it stays unsettled");
            }
        }
    }
}

async fn settle_account(
    directory: &Directory,
    cells: &Cells,
    account: AccountId,
    now: Timestamp,
) -> Result<(), CellError> {
    let record = read::account(&directory.view().await?, account).map_err(DirectoryError::from)?;
    let Some(record) = record else { return Ok(()) };
    match record.state {
        // What is being purged is looked after by the reconciler of purges.
        AccountState::Active | AccountState::Suspended | AccountState::Purging => Ok(()),
        AccountState::Creating if now < record.since.plus(CREATION_GRACE) => Ok(()),
        AccountState::Creating => {
            tracing::info!(%account, "undoing a creation that was not finished");
            directory.propose(Command::BeginDeleteAccount { account }).await?;
            finish_deletion(directory, cells, account).await
        }
        AccountState::Deleting => finish_deletion(directory, cells, account).await,
    }
}

async fn settle_key(directory: &Directory, cells: &Cells, key: &AccessKeyId, now: Timestamp) -> Result<(), CellError> {
    let record = read::key(&directory.view().await?, key).map_err(DirectoryError::from)?;
    let Some(record) = record else { return Ok(()) };
    match record.state {
        KeyState::Active => Ok(()),
        KeyState::Creating if now < record.created.plus(CREATION_GRACE) => Ok(()),
        KeyState::Creating => {
            directory.propose(Command::BeginDeleteKey { account: record.account, key: key.clone() }).await?;
            finish_key_deletion(directory, cells, key).await
        }
        KeyState::Deleting => finish_key_deletion(directory, cells, key).await,
    }
}

/// Has the cell forget an account that is being deleted, then the directory.
///
/// # Errors
/// When either does not confirm; the account stays `Deleting` and is taken up again.
pub async fn finish_deletion(directory: &Directory, cells: &Cells, account: AccountId) -> Result<(), CellError> {
    let record = read::account(&directory.view().await?, account).map_err(DirectoryError::from)?;
    let Some(record) = record else { return Ok(()) };
    cells.delete_account(&record.cell, account).await?;
    directory.propose(Command::ForgetAccount { account }).await?;
    tracing::info!(%account, cell = %record.cell, "account deleted");
    Ok(())
}

/// Brings an account's limits to its cell, as they are now. An account that is being deleted needs none.
///
/// # Errors
/// When cell or directory does not confirm; the limits are taken up again.
pub async fn finish_limits(directory: &Directory, cells: &Cells, account: AccountId) -> Result<(), CellError> {
    let record = read::account(&directory.view().await?, account).map_err(DirectoryError::from)?;
    let version = match record {
        Some(record) if is_in_cell(record.state) => {
            let put = PutLimits { limits: record.limits, version: record.limits_version };
            cells.put_limits(&record.cell, account, &put).await?;
            record.limits_version
        }
        Some(_) => return Ok(()),
        None => 0,
    };
    directory.propose(Command::LimitsInForce { account, version }).await?;
    tracing::info!(%account, version, "limits are in force");
    Ok(())
}

/// Brings an account's quota, suspension and disabled keys to its cell, as they are now.
///
/// # Errors
/// When cell or directory does not confirm; they are taken up again.
pub async fn finish_settings(directory: &Directory, cells: &Cells, account: AccountId) -> Result<(), CellError> {
    let view = directory.view().await?;
    let record = read::account(&view, account).map_err(DirectoryError::from)?;
    let version = match record {
        Some(record) if is_in_cell(record.state) => {
            let mut disabled_keys = Vec::new();
            for key in &record.keys {
                let known = read::key(&view, key).map_err(DirectoryError::from)?;
                // An account that is being purged has none but the one that purges it, which is not among these.
                let locked = record.state == AccountState::Purging || known.is_some_and(|known| known.disabled);
                disabled_keys.extend(locked.then(|| key.clone()));
            }
            drop(view);
            let put = PutSettings {
                quota: record.more.quota,
                suspended: record.state == AccountState::Suspended,
                disabled_keys,
                version: record.more.settings_version,
            };
            cells.put_settings(&record.cell, account, &put).await?;
            record.more.settings_version
        }
        Some(_) => return Ok(()),
        None => 0,
    };
    directory.propose(Command::SettingsInForce { account, version }).await?;
    tracing::info!(%account, version, "settings are in force");
    Ok(())
}

/// Whether its cell has the account, and will go on to.
fn is_in_cell(state: AccountState) -> bool {
    match state {
        AccountState::Active | AccountState::Suspended | AccountState::Purging => true,
        AccountState::Creating | AccountState::Deleting => false,
    }
}

/// Has the cell forget a key that is being deleted, then the directory.
///
/// # Errors
/// When either does not confirm; the key stays `Deleting` and is taken up again.
pub async fn finish_key_deletion(directory: &Directory, cells: &Cells, key: &AccessKeyId) -> Result<(), CellError> {
    let view = directory.view().await?;
    let Some(record) = read::key(&view, key).map_err(DirectoryError::from)? else { return Ok(()) };
    let home = read::account(&view, record.account).map_err(DirectoryError::from)?;
    drop(view);
    if let Some(account) = home {
        cells.delete_key(&account.cell, record.account, key).await?;
    }
    directory.propose(Command::ForgetKey { key: key.clone() }).await?;
    tracing::info!(account = %record.account, %key, "access key deleted");
    Ok(())
}

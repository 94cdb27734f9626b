//! `/v1/accounts/{account}/keys`: reserved, written into the cell, opened; the secret is in the answer and nowhere else.

use super::{Api, accounts, error::Failure, extract};
use crate::{
    domain::keys,
    reconcile::accounts as reconciler,
    store::{
        DirectoryError,
        command::{Command, Refusal},
        read,
        record::KeyState,
    },
};
use axum::{
    Json,
    extract::{Path, State},
};
use bulkhead_model::{
    AccessKeyId, AccountId,
    api::{
        cell::PutKey,
        control_plane::{CreatedKey, Key},
    },
};
use http::StatusCode;

pub async fn create(
    State(api): State<Api>,
    Path(account): Path<String>,
) -> Result<(StatusCode, Json<CreatedKey>), Failure> {
    let created = another(&api, extract::id(&account)?).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// Makes a key in the place of another, which is disabled once the new one is good. It may be enabled again.
pub async fn rotate(
    State(api): State<Api>,
    Path((account, key)): Path<(String, String)>,
) -> Result<(StatusCode, Json<CreatedKey>), Failure> {
    let (account, key): (AccountId, AccessKeyId) = (extract::id(&account)?, extract::id(&key)?);
    let known = read::key(&api.directory.view().await?, &key)?;
    if known.is_none_or(|known| known.account != account || known.state != KeyState::Active) {
        return Err(Refusal::NoSuchKey { account, key }.into());
    }
    let created = another(&api, account).await?;
    let switched = async {
        api.directory.propose(Command::SwitchKey { account, key: key.clone(), disabled: true }).await?;
        accounts::settle(&api, account).await
    };
    if let Err(error) = switched.await {
        // The new secret must not be lost over it.
        tracing::warn!(%account, %key, ?error, "a key that was rotated is not known to be disabled in its cell yet");
    }
    Ok((StatusCode::CREATED, Json(created)))
}

pub async fn disable(state: State<Api>, path: Path<(String, String)>) -> Result<Json<Vec<Key>>, Failure> {
    switch(state, path, true).await
}

pub async fn enable(state: State<Api>, path: Path<(String, String)>) -> Result<Json<Vec<Key>>, Failure> {
    switch(state, path, false).await
}

async fn switch(
    State(api): State<Api>,
    Path((of, key)): Path<(String, String)>,
    disabled: bool,
) -> Result<Json<Vec<Key>>, Failure> {
    let (account, key): (AccountId, AccessKeyId) = (extract::id(&of)?, extract::id(&key)?);
    api.directory.propose(Command::SwitchKey { account, key, disabled }).await?;
    accounts::settle(&api, account).await?;
    list(State(api), Path(of)).await
}

async fn another(api: &Api, account: AccountId) -> Result<CreatedKey, Failure> {
    let (key, secret) = (keys::access_key_id(&api.env.rng), keys::secret(&api.env.rng));
    api.directory.propose(Command::CreateKey { account, key: key.clone() }).await?;
    let home = read::account(&api.directory.view().await?, account).map_err(DirectoryError::from)?;
    let cell = home.ok_or(Refusal::NoSuchAccount(account))?.cell;
    let body = PutKey { secret_access_key: secret.clone() };
    if let Err(error) = api.cells.put_key(&cell, account, &key, &body).await {
        let message = format!("{error}; the half-created key is undone within two minutes, create another");
        return Err(Failure::unknown(message));
    }
    api.directory.propose(Command::ActivateKey { key: key.clone() }).await?;
    tracing::info!(%account, %key, "access key created");
    Ok(CreatedKey { account_id: account, access_key_id: key, secret_access_key: secret })
}

pub async fn list(State(api): State<Api>, Path(account): Path<String>) -> Result<Json<Vec<Key>>, Failure> {
    let id: AccountId = extract::id(&account)?;
    let view = api.directory.view().await?;
    let account = read::account(&view, id).map_err(DirectoryError::from)?.ok_or(Refusal::NoSuchAccount(id))?;
    let mut shown = Vec::new();
    for access_key_id in account.keys {
        let record = read::key(&view, &access_key_id).map_err(DirectoryError::from)?;
        if let Some(record) = record.filter(|record| record.state == KeyState::Active) {
            let (created_at, disabled) = (record.created, record.disabled);
            shown.push(Key { access_key_id, account_id: id, created_at, disabled });
        }
    }
    Ok(Json(shown))
}

pub async fn delete(
    State(api): State<Api>,
    Path((account, key)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    let (account, key): (AccountId, AccessKeyId) = (extract::id(&account)?, extract::id(&key)?);
    api.directory.propose(Command::BeginDeleteKey { account, key: key.clone() }).await?;
    match reconciler::finish_key_deletion(&api.directory, &api.cells, &key).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(Failure::unknown(format!("{error}; the deletion is recorded and goes on by itself"))),
    }
}

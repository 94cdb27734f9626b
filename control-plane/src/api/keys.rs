//! `/v1/accounts/{account}/keys`: reserved, written into the cell, opened; the secret is in the answer and nowhere else.

use super::{Api, error::Failure, extract};
use crate::{
    domain::keys,
    reconcile::accounts,
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
    let account: AccountId = extract::id(&account)?;
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
    let created = CreatedKey { account_id: account, access_key_id: key, secret_access_key: secret };
    Ok((StatusCode::CREATED, Json(created)))
}

pub async fn list(State(api): State<Api>, Path(account): Path<String>) -> Result<Json<Vec<Key>>, Failure> {
    let id: AccountId = extract::id(&account)?;
    let view = api.directory.view().await?;
    let account = read::account(&view, id).map_err(DirectoryError::from)?.ok_or(Refusal::NoSuchAccount(id))?;
    let mut shown = Vec::new();
    for access_key_id in account.keys {
        let record = read::key(&view, &access_key_id).map_err(DirectoryError::from)?;
        if let Some(record) = record.filter(|record| record.state == KeyState::Active) {
            shown.push(Key { access_key_id, account_id: id, created_at: record.created });
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
    match accounts::finish_key_deletion(&api.directory, &api.cells, &key).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(Failure::unknown(format!("{error}; the deletion is recorded and goes on by itself"))),
    }
}

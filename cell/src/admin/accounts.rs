//! Accounts and access keys, as the control plane puts them here.

use super::{Admin, error::AdminError};
use crate::meta::{
    command::Command,
    record::{Account, LimitsRecord, Settings},
};
use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
};
use bulkhead_model::{
    AccessKeyId, AccountId,
    api::{
        cell::{AccountUsage, PutAccount, PutKey, PutLimits, PutSettings},
        control_plane::Quota,
    },
};
use http::StatusCode;
use serde::de::DeserializeOwned;
use std::str::FromStr;

/// `PUT /admin/v1/accounts/{account}`
pub(super) async fn put(
    State(admin): State<Admin>,
    Path(account): Path<String>,
    body: Bytes,
) -> Result<StatusCode, AdminError> {
    let account = id(&account)?;
    let PutAccount { display_name, email, epoch } = json(&body)?;
    admin.execute(Command::PutAccount { account, record: Account { display_name, email, epoch } }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /admin/v1/accounts/{account}`
pub(super) async fn show(
    State(admin): State<Admin>,
    Path(account): Path<String>,
) -> Result<Json<AccountUsage>, AdminError> {
    let account = id(&account)?;
    let view = admin.index.read(admin.deadline()).await?;
    let record = view.account(account)?.ok_or(AdminError::NotFound)?;
    let totals = view.account_totals(account)?;
    let LimitsRecord { limits, version } = view.account_limits(account)?;
    Ok(Json(AccountUsage {
        account,
        display_name: record.display_name,
        epoch: record.epoch,
        buckets: totals.buckets,
        objects: totals.usage.objects,
        bytes: totals.usage.bytes,
        limits: limits.over(&admin.account_limits),
        limits_version: version,
    }))
}

/// `PUT /admin/v1/accounts/{account}/limits`
pub(super) async fn put_limits(
    State(admin): State<Admin>,
    Path(account): Path<String>,
    body: Bytes,
) -> Result<StatusCode, AdminError> {
    let account = id(&account)?;
    let PutLimits { limits, version } = json(&body)?;
    limits.validate().map_err(|error| AdminError::Invalid(error.to_string()))?;
    admin.execute(Command::PutLimits { account, limits: LimitsRecord { limits, version } }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /admin/v1/accounts/{account}/settings`
pub(super) async fn put_settings(
    State(admin): State<Admin>,
    Path(account): Path<String>,
    body: Bytes,
) -> Result<StatusCode, AdminError> {
    let account = id(&account)?;
    let PutSettings { quota, suspended, disabled_keys, version } = json(&body)?;
    let Quota { bytes, objects, buckets } = quota;
    let settings = Settings { bytes, objects, buckets, suspended, disabled_keys, version };
    admin.execute(Command::PutSettings { account, settings }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /admin/v1/accounts/{account}`
pub(super) async fn delete(State(admin): State<Admin>, Path(account): Path<String>) -> Result<StatusCode, AdminError> {
    admin.execute(Command::DeleteAccount { account: id(&account)? }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /admin/v1/accounts/{account}/keys/{key}`: the secret is sealed before it leaves this function.
pub(super) async fn put_key(
    State(admin): State<Admin>,
    Path((account, key)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, AdminError> {
    let (account, key): (AccountId, AccessKeyId) = (id(&account)?, id(&key)?);
    let PutKey { secret_access_key: secret } = json(&body)?;
    if secret.is_empty() {
        return Err(AdminError::Invalid("secret_access_key is empty".into()));
    }
    let credential = admin.cell_key.seal(&admin.env.rng, account, &key, &secret);
    admin.execute(Command::PutCredential { key, credential }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /admin/v1/accounts/{account}/keys/{key}`
pub(super) async fn delete_key(
    State(admin): State<Admin>,
    Path((account, key)): Path<(String, String)>,
) -> Result<StatusCode, AdminError> {
    let (account, key) = (id(&account)?, id(&key)?);
    admin.execute(Command::DeleteCredential { key, account }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An identifier out of a path.
fn id<T: FromStr<Err: ToString>>(text: &str) -> Result<T, AdminError> {
    text.parse().map_err(|error: T::Err| AdminError::Invalid(error.to_string()))
}

/// A body. Its content is not repeated in the error: it may hold a secret.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, AdminError> {
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let why = match error.classify() {
            serde_json::error::Category::Syntax | serde_json::error::Category::Eof => "is not JSON",
            serde_json::error::Category::Data | serde_json::error::Category::Io => "is not of the expected shape",
        };
        AdminError::Invalid(format!("the body {why} at line {line}, column {column}"))
    })
}

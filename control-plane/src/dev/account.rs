//! The account that `dev up` creates once and finds again afterwards.

use super::{
    configs::REGION,
    env_file::{self, Credentials},
    layout::Layout,
};
use crate::{
    cli::{CliError, Connection},
    provision::local::files::replace,
};
use bulkhead_model::{
    AccountId, AccountLimits,
    api::control_plane::{Account, AccountState, CreateAccount, CreatedAccount, CreatedKey, Key, Quota},
};
use std::fs;

const NAME: &str = "dev";
const EMAIL: &str = "dev@localhost";

/// The account's credentials: those in `dev.env` while they are good, else new ones, written there.
pub async fn credentials(layout: &Layout, api: &Connection) -> Result<Credentials, CliError> {
    let accounts: Vec<Account> = api.get("/v1/accounts").await?;
    let known = accounts.into_iter().find(|account| account.email == EMAIL && account.state == AccountState::Active);
    let file = layout.file("dev.env");
    let credentials = match known {
        None => create(api).await?,
        Some(account) => {
            let saved = fs::read_to_string(&file).ok().and_then(|text| env_file::parse(&text));
            match saved {
                Some(saved) if is_key_of(api, account.account_id, &saved).await? => saved,
                Some(_) | None => another_key(api, account.account_id).await?,
            }
        }
    };
    replace(&file, &env_file::render(layout.router_s3(), REGION, &credentials))?;
    Ok(credentials)
}

async fn create(api: &Connection) -> Result<Credentials, CliError> {
    let body = CreateAccount {
        name: NAME.into(),
        email: EMAIL.into(),
        limits: AccountLimits::default(),
        quota: Quota::default(),
        regions: Vec::new(),
        apart: None,
    };
    let created: CreatedAccount = api.post("/v1/accounts", &body).await?;
    let CreatedAccount { access_key_id, secret_access_key, .. } = created;
    Ok(Credentials { access_key_id: access_key_id.to_string(), secret_access_key })
}

async fn is_key_of(api: &Connection, account: AccountId, saved: &Credentials) -> Result<bool, CliError> {
    let keys: Vec<Key> = api.get(&format!("/v1/accounts/{account}/keys")).await?;
    Ok(keys.iter().any(|key| key.access_key_id.as_str() == saved.access_key_id))
}

/// The secret of the first key is lost with `dev.env`, so another key is made.
async fn another_key(api: &Connection, account: AccountId) -> Result<Credentials, CliError> {
    let created: CreatedKey = api.post(&format!("/v1/accounts/{account}/keys"), &()).await?;
    let CreatedKey { access_key_id, secret_access_key, .. } = created;
    Ok(Credentials { access_key_id: access_key_id.to_string(), secret_access_key })
}

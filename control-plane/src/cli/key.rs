//! `bulkhead key`.

use super::{
    CliError, Connection, Output,
    output::{facts, table, time},
};
use bulkhead_model::{
    AccessKeyId, AccountId,
    api::control_plane::{CreatedKey, Key},
};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create another key for an account. Shows the secret, once.
    #[command(after_help = "Example: bulkhead key create 123456789012")]
    Create { account: AccountId },
    /// List an account's keys, without secrets.
    #[command(after_help = "Example: bulkhead key list 123456789012")]
    List { account: AccountId },
    /// Refuse requests signed with a key. It can be enabled again.
    #[command(after_help = "Example: bulkhead key disable 123456789012 BKAAAAAAAAAAAAAAAAAA")]
    Disable { account: AccountId, key: AccessKeyId },
    /// Let a disabled key go on.
    #[command(after_help = "Example: bulkhead key enable 123456789012 BKAAAAAAAAAAAAAAAAAA")]
    Enable { account: AccountId, key: AccessKeyId },
    /// Create a key in the place of another, and disable that. Shows the new secret, once.
    #[command(after_help = "Example: bulkhead key rotate 123456789012 BKAAAAAAAAAAAAAAAAAA")]
    Rotate { account: AccountId, key: AccessKeyId },
    /// Delete a key; whoever uses it is locked out at once.
    #[command(after_help = "Example: bulkhead key delete 123456789012 BKAAAAAAAAAAAAAAAAAA")]
    Delete { account: AccountId, key: AccessKeyId },
}

impl Command {
    pub async fn run(self, api: &Connection) -> Result<Output, CliError> {
        match self {
            Self::Create { account } => {
                let created: CreatedKey = api.post(&format!("/v1/accounts/{account}/keys"), &()).await?;
                Ok(Output::new(created_text(&created), &created))
            }
            Self::Rotate { account, key } => {
                let path = format!("/v1/accounts/{account}/keys/{key}/rotate");
                let created: CreatedKey = api.post(&path, &()).await?;
                let text = format!(
                    "{}\n{key} is disabled; `bulkhead key enable {account} {key}` lets it go on.\n",
                    created_text(&created)
                );
                Ok(Output::new(text, &created))
            }
            Self::Disable { account, key } => {
                let keys: Vec<Key> = api.post(&format!("/v1/accounts/{account}/keys/{key}/disable"), &()).await?;
                Ok(Output::new(list_text(account, &keys), &keys))
            }
            Self::Enable { account, key } => {
                let keys: Vec<Key> = api.post(&format!("/v1/accounts/{account}/keys/{key}/enable"), &()).await?;
                Ok(Output::new(list_text(account, &keys), &keys))
            }
            Self::List { account } => {
                let keys: Vec<Key> = api.get(&format!("/v1/accounts/{account}/keys")).await?;
                Ok(Output::new(list_text(account, &keys), &keys))
            }
            Self::Delete { account, key } => {
                api.delete(&format!("/v1/accounts/{account}/keys/{key}")).await?;
                Ok(Output::done(format!("Key {key} is deleted.")))
            }
        }
    }
}

fn created_text(created: &CreatedKey) -> String {
    let shown = facts(&[
        ("account", created.account_id.to_string()),
        ("access key id", created.access_key_id.to_string()),
        ("secret access key", created.secret_access_key.clone()),
    ]);
    format!("{shown}\nKeep the secret: it is stored in the cell only and is never shown again.\n")
}

fn list_text(account: AccountId, keys: &[Key]) -> String {
    let state = |key: &Key| if key.disabled { "disabled" } else { "good" }.to_owned();
    let rows: Vec<_> =
        keys.iter().map(|key| [key.access_key_id.to_string(), state(key), time(key.created_at)]).collect();
    let hint = format!("Account {account} has no keys; create one with `bulkhead key create {account}`.");
    table(["access key id", "state", "created"], &rows, &hint)
}

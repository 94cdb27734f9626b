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
    /// Delete a key; whoever uses it is locked out at once.
    #[command(after_help = "Example: bulkhead key delete 123456789012 BKAAAAAAAAAAAAAAAAAA")]
    Delete { account: AccountId, key: AccessKeyId },
}

impl Command {
    pub async fn run(self, api: &Connection) -> Result<Output, CliError> {
        match self {
            Self::Create { account } => {
                let created: CreatedKey = api.post(&format!("/v1/accounts/{account}/keys"), &()).await?;
                let shown = facts(&[
                    ("account", created.account_id.to_string()),
                    ("access key id", created.access_key_id.to_string()),
                    ("secret access key", created.secret_access_key.clone()),
                ]);
                let text =
                    format!("{shown}\nKeep the secret: it is stored in the cell only and is never shown again.\n");
                Ok(Output::new(text, &created))
            }
            Self::List { account } => {
                let keys: Vec<Key> = api.get(&format!("/v1/accounts/{account}/keys")).await?;
                let rows: Vec<_> =
                    keys.iter().map(|key| [key.access_key_id.to_string(), time(key.created_at)]).collect();
                let hint = format!("Account {account} has no keys; create one with `bulkhead key create {account}`.");
                Ok(Output::new(table(["access key id", "created"], &rows, &hint), &keys))
            }
            Self::Delete { account, key } => {
                api.delete(&format!("/v1/accounts/{account}/keys/{key}")).await?;
                Ok(Output::done(format!("Key {key} is deleted.")))
            }
        }
    }
}

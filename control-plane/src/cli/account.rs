//! `bulkhead account`.

use super::{
    CliError, Connection, Output, limits,
    output::{facts, table, time},
};
use bulkhead_model::{
    AccountId, AccountLimits,
    api::control_plane::{Account, AccountState, CreateAccount, CreatedAccount},
};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create an account with a first key. Shows the secret, once.
    #[command(after_help = "Example: bulkhead account create --name Ada --email ada@example.com --json")]
    Create {
        /// Shown as the owner of the account's buckets.
        #[arg(long)]
        name: String,
        /// Unique in the fleet.
        #[arg(long)]
        email: String,
        #[command(flatten)]
        limits: limits::Wanted,
    },
    /// List all accounts.
    #[command(after_help = "Example: bulkhead account list")]
    List,
    /// Show one account.
    #[command(after_help = "Example: bulkhead account show 123456789012")]
    Show { account: AccountId },
    /// Change what an account may ask for. What is not named stays as it is.
    #[command(after_help = "Example: bulkhead account limits 123456789012 --write-requests 500 --bytes-out default")]
    Limits {
        account: AccountId,
        #[command(flatten)]
        limits: limits::Wanted,
    },
    /// Delete an account that has no buckets, and its keys.
    #[command(after_help = "Example: bulkhead account delete 123456789012")]
    Delete { account: AccountId },
}

impl Command {
    pub async fn run(self, api: &Connection) -> Result<Output, CliError> {
        match self {
            Self::Create { name, email, limits } => {
                let limits = limits.over(AccountLimits::default());
                let created: CreatedAccount = api.post("/v1/accounts", &CreateAccount { name, email, limits }).await?;
                Ok(Output::new(created_text(&created), &created))
            }
            Self::List => {
                let accounts: Vec<Account> = api.get("/v1/accounts").await?;
                Ok(Output::new(list_text(&accounts), &accounts))
            }
            Self::Show { account } => {
                let account: Account = api.get(&format!("/v1/accounts/{account}")).await?;
                Ok(Output::new(show_text(&account), &account))
            }
            Self::Limits { account, limits } => {
                let path = format!("/v1/accounts/{account}");
                let now: Account = api.get(&path).await?;
                let account: Account = api.put(&format!("{path}/limits"), &limits.over(now.limits)).await?;
                Ok(Output::new(show_text(&account), &account))
            }
            Self::Delete { account } => {
                api.delete(&format!("/v1/accounts/{account}")).await?;
                Ok(Output::done(format!("Account {account} is deleted.")))
            }
        }
    }
}

fn created_text(created: &CreatedAccount) -> String {
    let shown = facts(&[
        ("account", created.account_id.to_string()),
        ("name", created.display_name.clone()),
        ("email", created.email.clone()),
        ("cell", created.cell.to_string()),
        ("canonical id", created.canonical_id.clone()),
        ("access key id", created.access_key_id.to_string()),
        ("secret access key", created.secret_access_key.clone()),
    ]);
    format!("{shown}\nKeep the secret: it is stored in the cell only and is never shown again.\n")
}

fn list_text(accounts: &[Account]) -> String {
    let row = |account: &Account| {
        [
            account.account_id.to_string(),
            account.display_name.clone(),
            account.email.clone(),
            account.cell.to_string(),
            state(account.state).into(),
            time(account.created_at),
        ]
    };
    let rows: Vec<_> = accounts.iter().map(row).collect();
    let hint = "There are no accounts yet; create one with `bulkhead account create --name NAME --email EMAIL`.";
    table(["account", "name", "email", "cell", "state", "created"], &rows, hint)
}

fn show_text(account: &Account) -> String {
    facts(&[
        ("account", account.account_id.to_string()),
        ("name", account.display_name.clone()),
        ("email", account.email.clone()),
        ("cell", format!("{} (epoch {})", account.cell, account.epoch)),
        ("state", state(account.state).into()),
        ("canonical id", account.canonical_id.clone()),
        ("created", time(account.created_at)),
        ("limits", limits::text(account)),
    ])
}

fn state(state: AccountState) -> &'static str {
    match state {
        AccountState::Creating => "creating",
        AccountState::Active => "active",
        AccountState::Deleting => "deleting",
    }
}

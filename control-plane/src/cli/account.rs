//! `bulkhead account`.

use super::{
    CliError, Connection, Output, limits,
    operation::{self, Wait},
    output::{facts, table, time},
};
use bulkhead_model::{
    AccountId, AccountLimits,
    api::control_plane::{Account, AccountState, CreateAccount, CreatedAccount, Explained, Operation, Quota},
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
        #[command(flatten)]
        quota: limits::WantedQuota,
        /// Its data must stay in this region; may be given several times.
        #[arg(long = "region")]
        regions: Vec<String>,
        /// A group of accounts that are never placed in the same cell.
        #[arg(long)]
        apart: Option<String>,
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
    /// Show why an account lives where it does: the cells that were looked at, and what was left of each.
    #[command(after_help = "Example: bulkhead account explain 123456789012")]
    Explain { account: AccountId },
    /// Change what an account may hold. What is not named stays as it is.
    #[command(after_help = "Example: bulkhead account quota 123456789012 --bytes 1073741824 --objects none")]
    Quota {
        account: AccountId,
        #[command(flatten)]
        quota: limits::WantedQuota,
    },
    /// Refuse all requests of an account. Everything it holds stays.
    #[command(after_help = "Example: bulkhead account suspend 123456789012")]
    Suspend { account: AccountId },
    /// Let a suspended account go on.
    #[command(after_help = "Example: bulkhead account resume 123456789012")]
    Resume { account: AccountId },
    /// Delete an account that has no buckets, and its keys; or with --purge everything it holds first.
    #[command(after_help = "Example: bulkhead account delete 123456789012 --purge")]
    Delete {
        account: AccountId,
        /// Delete its objects and buckets first. They cannot be had back. Needs role admin.
        #[arg(long)]
        purge: bool,
        #[command(flatten)]
        wait: Wait,
    },
}

impl Command {
    pub async fn run(self, api: &Connection) -> Result<Output, CliError> {
        match self {
            Self::Create { name, email, limits, quota, regions, apart } => {
                let (limits, quota) = (limits.over(AccountLimits::default()), quota.over(Quota::default()));
                let wanted = CreateAccount { name, email, limits, quota, regions, apart };
                let created: CreatedAccount = api.post("/v1/accounts", &wanted).await?;
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
            Self::Explain { account } => {
                let explained: Explained = api.get(&format!("/v1/accounts/{account}/explain")).await?;
                Ok(Output::new(explain_text(&explained), &explained))
            }
            Self::Quota { account, quota } => {
                let path = format!("/v1/accounts/{account}");
                let now: Account = api.get(&path).await?;
                shown(api.put(&format!("{path}/quota"), &quota.over(now.quota)).await?)
            }
            Self::Suspend { account } => shown(api.post(&format!("/v1/accounts/{account}/suspend"), &()).await?),
            Self::Resume { account } => shown(api.post(&format!("/v1/accounts/{account}/resume"), &()).await?),
            Self::Delete { account, purge: false, .. } => {
                api.delete(&format!("/v1/accounts/{account}")).await?;
                Ok(Output::done(format!("Account {account} is deleted.")))
            }
            Self::Delete { account, purge: true, wait } => {
                let begun: Operation = api.post(&format!("/v1/accounts/{account}/purge"), &()).await?;
                let ended = operation::watch(api, begun, wait, "").await?;
                Ok(Output::new(operation::show_text(&ended), &ended))
            }
        }
    }
}

fn shown(account: Account) -> Result<Output, CliError> {
    Ok(Output::new(show_text(&account), &account))
}

fn explain_text(explained: &Explained) -> String {
    let regions = if explained.regions.is_empty() { "any".to_owned() } else { explained.regions.join(", ") };
    let apart = explained.apart.clone().unwrap_or_else(|| "none".into());
    let head = facts(&[
        ("account", explained.account_id.to_string()),
        ("cell", explained.cell.to_string()),
        ("regions", regions),
        ("stays apart in group", apart),
    ]);
    let Some(placed) = &explained.placed else {
        return format!(
            "{head}\nIt was placed before reasons were written down: the cell had the most room for accounts.\n"
        );
    };
    let row = |one: &bulkhead_model::api::control_plane::Considered| {
        let left = format!("{}.{}% of {}", one.free_permille / 10, one.free_permille % 10, one.scarcest);
        let verdict = match &one.refused {
            Some(why) => why.clone(),
            None if one.cell == explained.cell => "chosen: the most is left of its scarcest dimension".into(),
            None => "less is left, or as much and it is later on the ring".into(),
        };
        [one.cell.to_string(), left, verdict]
    };
    let rows: Vec<_> = placed.considered.iter().map(row).collect();
    let mut text = format!("{head}\nPlaced at {}, among the cells nearest on the ring:\n", time(placed.at));
    text.push_str(&table(["cell", "least left", "verdict"], &rows, "None was near."));
    for (cell, why) in &placed.left_out {
        text.push_str(&format!("{cell} was no candidate: {why}\n"));
    }
    text
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
        ("quota", limits::quota_text(&account.quota)),
        ("buckets", account.buckets.to_string()),
    ])
}

fn state(state: AccountState) -> &'static str {
    match state {
        AccountState::Creating => "creating",
        AccountState::Active => "active",
        AccountState::Deleting => "deleting",
        AccountState::Suspended => "suspended",
        AccountState::Purging => "purging",
    }
}

//! `bulkhead token`: who may call the control plane.

use super::{
    CliError, Connection, Output,
    output::{facts, table, time},
};
use bulkhead_model::api::control_plane::{CreateToken, CreatedToken, Role, Token};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a token with a role: read-only, operator or admin. Shows it, once.
    #[command(after_help = "Example: bulkhead token create --name ci --role read-only")]
    Create {
        /// 1 to 32 of a-z, 0-9 and '-'. It stands in the audit log.
        #[arg(long)]
        name: String,
        /// read-only, operator or admin; each may do what those before it may.
        #[arg(long)]
        role: Role,
    },
    /// List all tokens by name and role.
    #[command(after_help = "Example: bulkhead token list")]
    List,
    /// Revoke a token: whoever presents it is refused at once.
    #[command(after_help = "Example: bulkhead token revoke ci")]
    Revoke { name: String },
}

impl Command {
    pub async fn run(self, api: &Connection) -> Result<Output, CliError> {
        match self {
            Self::Create { name, role } => {
                let created: CreatedToken = api.post("/v1/tokens", &CreateToken { name, role }).await?;
                let shown = facts(&[
                    ("name", created.name.clone()),
                    ("role", created.role.to_string()),
                    ("token", created.token.clone()),
                ]);
                let text = format!(
                    "{shown}\nKeep the token in a file and name it with --token-file: it is never shown again.\n"
                );
                Ok(Output::new(text, &created))
            }
            Self::List => {
                let tokens: Vec<Token> = api.get("/v1/tokens").await?;
                let row = |one: &Token| [one.name.clone(), one.role.to_string(), time(one.created_at)];
                let rows: Vec<_> = tokens.iter().map(row).collect();
                let hint =
                    "There is only the first token; make another with `bulkhead token create --name NAME --role ROLE`.";
                Ok(Output::new(table(["name", "role", "created"], &rows, hint), &tokens))
            }
            Self::Revoke { name } => {
                api.delete(&format!("/v1/tokens/{name}")).await?;
                Ok(Output::done(format!("Token {name} is revoked.")))
            }
        }
    }
}

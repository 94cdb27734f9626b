//! The commands of `bulkhead`: each calls the control plane's API, or works on this machine's run files, and returns an [`Output`].
//!
//! Knows nothing of the directory: what it shows is what the API answers.

mod account;
mod audit;
mod blueprint;
mod cell;
mod connection;
mod dev;
mod dns;
mod error;
mod fleet;
mod key;
mod limits;
mod load;
mod node;
mod operation;
mod output;
mod quarantine;
mod replace;
mod setting;
mod status;
mod storage;
mod token;

#[cfg(test)]
mod tests;

pub use connection::{Connection, Settings};
pub use error::CliError;
pub use fleet::certificate;
pub use operation::{Wait, watch};
pub use output::Output;

use clap::{Parser, Subcommand};

/// Bulkhead: object storage that grows by adding watertight cells.
///
/// Examples:
///   bulkhead dev up                     a fleet on this machine
///   bulkhead fleet                      its cells, and what will be done next
///   bulkhead account create --name Ada --email ada@example.com
///   bulkhead node list                  every process of this machine
#[derive(Debug, Parser)]
#[command(name = "bulkhead", version, verbatim_doc_comment, max_term_width = 120)]
pub struct Arguments {
    #[command(flatten)]
    settings: Settings,
    /// Answer JSON, for programs.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tenants of the fleet.
    #[command(subcommand, after_help = "Example: bulkhead account list")]
    Account(Box<account::Command>),
    /// Access keys of an account.
    #[command(subcommand, after_help = "Example: bulkhead key list 123456789012")]
    Key(key::Command),
    /// Cells of the fleet.
    #[command(subcommand, after_help = "Example: bulkhead cell list")]
    Cell(cell::Command),
    /// Every cell against what it may hold: bars, certificate, build, health, and what will be done next.
    #[command(after_help = "Example: bulkhead fleet")]
    Fleet,
    /// The names of accounts and the routers they lead to, as lines of a zone file.
    #[command(after_help = "Example: bulkhead dns")]
    Dns,
    /// Long work: cells being stamped or removed, accounts being purged.
    #[command(subcommand, after_help = "Example: bulkhead operation list")]
    Operation(operation::Command),
    /// Who changed what, and when.
    #[command(after_help = "Example: bulkhead audit --after 120 --full")]
    Audit(audit::Audit),
    /// Settings of routers and cells that change while they run.
    #[command(subcommand, after_help = "Example: bulkhead setting list")]
    Setting(setting::Command),
    /// Who may call the control plane, and with which role.
    #[command(subcommand, after_help = "Example: bulkhead token list")]
    Token(token::Command),
    /// Processes of this machine. Works while the control plane is down.
    #[command(subcommand, after_help = "Example: bulkhead node list --json")]
    Node(node::Command),
    /// Blueprints of cells. Works without a control plane.
    #[command(subcommand, after_help = "Example: bulkhead blueprint show blueprints/dev.toml")]
    Blueprint(blueprint::Command),
    /// What the control plane is doing.
    #[command(after_help = "Example: bulkhead status")]
    Status,
    /// A whole fleet on this machine.
    #[command(subcommand, after_help = "Example: bulkhead dev up --port 9000")]
    Dev(dev::Command),
}

/// Runs one command.
///
/// # Errors
/// [`CliError`] says what was wrong and what to do next.
pub async fn run(arguments: Arguments) -> Result<Output, CliError> {
    let settings = &arguments.settings;
    match arguments.command {
        Command::Account(command) => command.run(&settings.connect()?).await,
        Command::Key(command) => command.run(&settings.connect()?).await,
        Command::Cell(command) => command.run(&settings.connect()?).await,
        Command::Node(node::Command::Replace(replace)) => replace.run(&settings.connect()?).await,
        Command::Node(command) => command.run(&settings.processes()).await,
        Command::Blueprint(command) => command.run(),
        Command::Fleet => fleet::show(&settings.connect()?).await,
        Command::Dns => dns::zone(&settings.connect()?).await,
        Command::Operation(command) => command.run(&settings.connect()?).await,
        Command::Audit(audit) => audit.run(&settings.connect()?).await,
        Command::Setting(command) => command.run(&settings.connect()?).await,
        Command::Token(command) => command.run(&settings.connect()?).await,
        Command::Status => status::show(&settings.connect()?).await,
        Command::Dev(command) => command.run(settings).await,
    }
}

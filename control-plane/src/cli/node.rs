//! `bulkhead node`: the processes of this machine, from their run files. All but `replace` need no control plane.

use super::{CliError, Output, output::table};
use crate::provision::local::{
    process::{End, Processes, Started},
    run_file::{Role, RunFile},
};
use bulkhead_model::{Az, CellId, NodeId};
use bulkhead_service::env::Clock;
use clap::Subcommand;
use serde::Serialize;
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List all processes: cells' nodes, routers, control plane.
    #[command(after_help = "Example: bulkhead node list --json")]
    List,
    /// Start processes that do not run, as they were started before.
    #[command(after_help = "Example: bulkhead node start c1-2")]
    Start {
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Stop processes after their requests in flight (SIGTERM). They stay stopped until they are started.
    #[command(after_help = "Example: bulkhead node stop router-1")]
    Stop {
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Kill processes at once (SIGKILL), as a crash would. They stay dead until they are started.
    #[command(after_help = "Example: bulkhead node kill c1-1 c1-2 c1-3")]
    Kill {
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Replace a node whose machine or disk is gone (or shall go) by a new one in its AZ, under an id that was never used, and
    /// wait until the cell is whole. Repeat it to go on waiting. This needs the control plane.
    #[command(after_help = "Example: bulkhead node replace --cell c1 --node 1")]
    Replace(super::replace::Replace),
}

/// A process, for programs.
#[derive(Debug, Serialize)]
pub struct Shown {
    name: String,
    role: Role,
    cell: Option<CellId>,
    az: Option<Az>,
    node: NodeId,
    pid: u32,
    alive: bool,
    /// Stopped by an operator; nobody else starts it.
    held: bool,
    addresses: BTreeMap<String, SocketAddr>,
    argv: Vec<String>,
    log: PathBuf,
}

impl From<RunFile> for Shown {
    fn from(run: RunFile) -> Self {
        let (alive, pid) = (run.is_alive(), run.instance.pid);
        let RunFile { name, role, cell, az, node, instance: _, argv, addresses, log, held } = run;
        Self { name, role, cell, az, node, pid, alive, held, addresses, argv, log }
    }
}

impl Command {
    pub async fn run(self, processes: &Processes) -> Result<Output, CliError> {
        match self {
            Self::List => {
                let shown: Vec<Shown> = processes.list()?.into_iter().map(Shown::from).collect();
                Ok(Output::new(list_text(&shown), &shown))
            }
            Self::Start { names } => {
                let mut lines = Vec::new();
                for name in names {
                    lines.push(match processes.start_again(processes.get(&name)?)? {
                        Started::Now => format!("{name} is started."),
                        Started::Already | Started::Held => format!("{name} runs already."),
                    });
                }
                Ok(Output::done(lines.join("\n")))
            }
            Self::Stop { names } => end(processes, names, End::Stop).await,
            Self::Kill { names } => end(processes, names, End::Kill).await,
            // Asked of the control plane, in `cli/mod.rs`.
            Self::Replace(_) => Ok(Output::done("Nothing is replaced without a control plane.")),
        }
    }
}

/// Ends all of them together: a fault that hits several nodes hits them at once.
async fn end(processes: &Processes, names: Vec<String>, end: End) -> Result<Output, CliError> {
    let clock = Clock::system();
    let all = names.iter().map(|name| processes.end(name, end, &clock));
    futures::future::try_join_all(all).await?;
    let verb = match end {
        End::Stop => "stopped",
        End::Kill => "killed",
    };
    let lines: Vec<_> =
        names.iter().map(|name| format!("{name} is {verb}; `bulkhead node start {name}` starts it.")).collect();
    Ok(Output::done(lines.join("\n")))
}

fn list_text(shown: &[Shown]) -> String {
    let row = |one: &Shown| {
        let alive = match (one.alive, one.held) {
            (true, _) => "running",
            (false, true) => "stopped",
            (false, false) => "dead",
        };
        let addresses: Vec<_> = one.addresses.iter().map(|(name, address)| format!("{name}={address}")).collect();
        let az = one.az.as_ref().map(ToString::to_string).unwrap_or_default();
        [one.name.clone(), alive.into(), one.pid.to_string(), az, addresses.join(" ")]
    };
    let rows: Vec<_> = shown.iter().map(row).collect();
    table(
        ["name", "state", "pid", "az", "addresses"],
        &rows,
        "No process was started here; `bulkhead dev up` starts a fleet.",
    )
}

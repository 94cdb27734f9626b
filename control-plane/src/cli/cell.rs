//! `bulkhead cell`.

use super::{
    CliError, Connection, Output, load,
    output::{facts, table, time},
    quarantine, storage,
};
use crate::domain::cell;
use bulkhead_model::{
    CellId,
    api::control_plane::{Cell, CellLoad, CellState, CellStorage, StampCell},
};
use clap::Subcommand;
use serde::Serialize;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stamp a new cell out of a blueprint, and wait until it serves. Repeat it to go on with one that failed.
    #[command(after_help = "Example: bulkhead cell stamp --blueprint dev --name c3")]
    Stamp {
        /// 1 to 32 of a-z, 0-9 and '-'.
        #[arg(long)]
        name: CellId,
        /// A blueprint the control plane knows.
        #[arg(long, default_value = "dev")]
        blueprint: String,
    },
    /// List all cells.
    #[command(after_help = "Example: bulkhead cell list")]
    List,
    /// Show one cell, its nodes, and how their chunks are: missing and damaged copies, scrub, repair, space.
    #[command(after_help = "Example: bulkhead cell show c1")]
    Show { cell: CellId },
    /// Show what a cell executes for tenants, and which accounts wait or are refused most.
    #[command(after_help = "Example: bulkhead cell load c1")]
    Load { cell: CellId },
    /// List the requests that ended processes of a cell and are refused there for a while.
    #[command(after_help = "Example: bulkhead cell quarantine c1")]
    Quarantine { cell: CellId },
    /// Let go of a request that is refused. When it ends a process again, it is refused again.
    #[command(after_help = "Example: bulkhead cell lift c1 00c0ffee00c0ffee")]
    Lift {
        cell: CellId,
        /// 16 hex digits, as `bulkhead cell quarantine` shows them.
        shape: String,
    },
}

/// What `show` gives to programs.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    cell: Cell,
    storage: CellStorage,
}

impl Command {
    pub async fn run(self, api: &Connection) -> Result<Output, CliError> {
        let one = match self {
            Self::Stamp { name, blueprint } => api.post("/v1/cells", &StampCell { name, blueprint }).await?,
            Self::Show { cell } => {
                let one: Cell = api.get(&format!("/v1/cells/{cell}")).await?;
                let storage: CellStorage = api.get(&format!("/v1/cells/{cell}/storage")).await?;
                let text = format!("{}\n{}", show_text(&one), storage::text(&storage));
                return Ok(Output::new(text, &Shown { cell: one, storage }));
            }
            Self::Load { cell } => {
                let shown: CellLoad = api.get(&format!("/v1/cells/{cell}/load")).await?;
                return Ok(Output::new(load::text(&shown), &shown));
            }
            Self::Quarantine { cell } => return quarantine::list(api, &cell).await,
            Self::Lift { cell, shape } => return quarantine::lift(api, &cell, &shape).await,
            Self::List => {
                let cells: Vec<Cell> = api.get("/v1/cells").await?;
                return Ok(Output::new(list_text(&cells), &cells));
            }
        };
        Ok(Output::new(show_text(&one), &one))
    }
}

fn list_text(cells: &[Cell]) -> String {
    let row = |one: &Cell| {
        [
            one.cell.to_string(),
            cell::name(&one.state).into(),
            one.blueprint.clone(),
            one.nodes.len().to_string(),
            one.accounts.to_string(),
            time(one.created_at),
        ]
    };
    let rows: Vec<_> = cells.iter().map(row).collect();
    let hint = "There are no cells yet; stamp one with `bulkhead cell stamp --blueprint dev --name c1`.";
    table(["cell", "state", "blueprint", "nodes", "accounts", "created"], &rows, hint)
}

fn show_text(one: &Cell) -> String {
    let mut shown = vec![
        ("cell", one.cell.to_string()),
        ("state", cell::name(&one.state).into()),
        ("blueprint", format!("{} ({})", one.blueprint, one.blueprint_hash)),
        ("accounts", one.accounts.to_string()),
        ("created", time(one.created_at)),
    ];
    if let CellState::Failed { why } = &one.state {
        shown.push(("cause", why.clone()));
    }
    if let Some(replacement) = &one.replacement {
        shown.push(("replacement", super::replace::progress(replacement).trim_end().into()));
    }
    let rows: Vec<_> = one
        .nodes
        .iter()
        .map(|n| [n.node.to_string(), n.az.to_string(), n.s3.to_string(), n.admin.to_string(), n.peer.to_string()])
        .collect();
    let nodes = table(["node", "az", "s3", "admin", "peer"], &rows, "Its nodes are not planned yet.");
    format!("{}\n{nodes}", facts(&shown))
}

//! `bulkhead cell`.

use super::{
    CliError, Connection, Output, fleet, load,
    operation::{self, Wait},
    output::{facts, table, time},
    quarantine, replace, storage,
};
use crate::domain::cell;
use bulkhead_model::{
    CellId,
    api::control_plane::{Cell, CellLoad, CellState, CellStorage, Operation, StampCell},
};
use clap::Subcommand;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stamp a new cell out of a blueprint: provision, form its group, certify, open it. Tells each step, and waits. Repeat it to
    /// go on waiting, or to go on with one that failed.
    #[command(after_help = "Example: bulkhead cell stamp --blueprint dev --region eu-west --name c3")]
    Stamp {
        /// 1 to 32 of a-z, 0-9 and '-'.
        #[arg(long)]
        name: CellId,
        /// A blueprint the control plane knows.
        #[arg(long, default_value = "dev")]
        blueprint: String,
        /// Where it is; by default where the control plane is.
        #[arg(long)]
        region: Option<String>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Go on with a cell that failed.
    #[command(after_help = "Example: bulkhead cell resume c3")]
    Resume {
        cell: CellId,
        #[command(flatten)]
        wait: Wait,
    },
    /// Remove a cell that failed or is being stamped, and all it left: processes, directories, ports. Its name may be used again.
    #[command(after_help = "Example: bulkhead cell teardown c3")]
    Teardown {
        cell: CellId,
        #[command(flatten)]
        wait: Wait,
    },
    /// List all cells.
    #[command(after_help = "Example: bulkhead cell list")]
    List,
    /// Show one cell, its nodes, and how their chunks are: missing and damaged copies, scrub, repair, space.
    #[command(after_help = "Example: bulkhead cell show c1")]
    Show { cell: CellId },
    /// Print a cell's certificate as it was signed. `bulkhead-loadtest verify` checks it.
    #[command(after_help = "Example: bulkhead cell certificate c1")]
    Certificate { cell: CellId },
    /// Put a certificate beside a cell that another run of `bulkhead-loadtest certify` made. One that does not hold is refused.
    #[command(after_help = "Example: bulkhead cell certify c1 --certificate certificate.json")]
    Certify {
        cell: CellId,
        /// The file that the load test wrote.
        #[arg(long)]
        certificate: PathBuf,
    },
    /// Let a cell take no new accounts. Those it has notice nothing.
    #[command(after_help = "Example: bulkhead cell close c1")]
    Close { cell: CellId },
    /// Let a closed cell take accounts again.
    #[command(after_help = "Example: bulkhead cell open c1")]
    Open { cell: CellId },
    /// Close a cell without accounts for good, so that it can be retired. Refused while it has accounts.
    #[command(after_help = "Example: bulkhead cell drain c1")]
    Drain { cell: CellId },
    /// Remove a drained cell. Its name is never used again.
    #[command(after_help = "Example: bulkhead cell retire c1")]
    Retire {
        cell: CellId,
        #[command(flatten)]
        wait: Wait,
    },
    /// Replace a node: the same as `bulkhead node replace`.
    #[command(after_help = "Example: bulkhead cell replace-node --cell c1 --node 1")]
    ReplaceNode(replace::Replace),
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
        match self {
            Self::Stamp { name, blueprint, region, wait } => {
                let begun = api.post("/v1/cells", &StampCell { name: name.clone(), blueprint, region }).await?;
                stamped(api, &name, begun, wait).await
            }
            Self::Resume { cell, wait } => {
                let begun = api.post(&format!("/v1/cells/{cell}/resume"), &()).await?;
                stamped(api, &cell, begun, wait).await
            }
            Self::Teardown { cell, wait } => removed(api, &cell, "teardown", wait).await,
            Self::Retire { cell, wait } => removed(api, &cell, "retire", wait).await,
            Self::Show { cell } => show(api, &cell).await,
            Self::Certificate { cell } => {
                let document = api.text(&format!("/v1/cells/{cell}/certificate")).await?;
                let programs: serde_json::Value = serde_json::from_str(&document).unwrap_or_default();
                Ok(Output::new(document, &programs))
            }
            Self::Certify { cell, certificate } => {
                let document = std::fs::read_to_string(&certificate)
                    .map_err(|why| CliError::Refused(format!("{} cannot be read: {why}", certificate.display())))?;
                one(api.put_document(&format!("/v1/cells/{cell}/certificate"), document).await?)
            }
            Self::Close { cell } => one(api.post(&format!("/v1/cells/{cell}/close"), &()).await?),
            Self::Open { cell } => one(api.post(&format!("/v1/cells/{cell}/open"), &()).await?),
            Self::Drain { cell } => one(api.post(&format!("/v1/cells/{cell}/drain"), &()).await?),
            Self::ReplaceNode(replace) => replace.run(api).await,
            Self::Load { cell } => {
                let shown: CellLoad = api.get(&format!("/v1/cells/{cell}/load")).await?;
                Ok(Output::new(load::text(&shown), &shown))
            }
            Self::Quarantine { cell } => quarantine::list(api, &cell).await,
            Self::Lift { cell, shape } => quarantine::lift(api, &cell, &shape).await,
            Self::List => {
                let cells: Vec<Cell> = api.get("/v1/cells").await?;
                Ok(Output::new(list_text(&cells), &cells))
            }
        }
    }
}

fn one(cell: Cell) -> Result<Output, CliError> {
    Ok(Output::new(show_text(&cell), &cell))
}

async fn show(api: &Connection, cell: &CellId) -> Result<Output, CliError> {
    let one: Cell = api.get(&format!("/v1/cells/{cell}")).await?;
    let storage: CellStorage = api.get(&format!("/v1/cells/{cell}/storage")).await?;
    let text = format!("{}\n{}", show_text(&one), storage::text(&storage));
    Ok(Output::new(text, &Shown { cell: one, storage }))
}

/// Watches a cell come to be.
pub async fn stamped(api: &Connection, cell: &CellId, begun: Operation, wait: Wait) -> Result<Output, CliError> {
    let hint = format!(
        "\nGo on with `bulkhead cell resume {cell}`, or leave nothing behind with `bulkhead cell teardown {cell}`."
    );
    operation::watch(api, begun, wait, &hint).await?;
    one(api.get(&format!("/v1/cells/{cell}")).await?)
}

async fn removed(api: &Connection, cell: &CellId, how: &str, wait: Wait) -> Result<Output, CliError> {
    let begun: Operation = api.post(&format!("/v1/cells/{cell}/{how}"), &()).await?;
    let ended = operation::watch(api, begun, wait, "").await?;
    Ok(Output::new(operation::show_text(&ended), &ended))
}

fn list_text(cells: &[Cell]) -> String {
    let row = |one: &Cell| {
        [
            one.cell.to_string(),
            cell::name(&one.state).into(),
            one.blueprint.clone(),
            one.region.clone(),
            fleet::certificate(&one.certificate),
            one.nodes.len().to_string(),
            one.accounts.to_string(),
            time(one.created_at),
        ]
    };
    let rows: Vec<_> = cells.iter().map(row).collect();
    let hint = "There are no cells yet; stamp one with `bulkhead cell stamp --blueprint dev --name c1`.";
    table(["cell", "state", "blueprint", "region", "certificate", "nodes", "accounts", "created"], &rows, hint)
}

/// One cell and its nodes.
pub fn show_text(one: &Cell) -> String {
    let mut shown = vec![
        ("cell", one.cell.to_string()),
        ("state", cell::name(&one.state).into()),
        ("blueprint", format!("{} ({})", one.blueprint, one.blueprint_hash)),
        ("region", one.region.clone()),
        ("certificate", fleet::certificate(&one.certificate)),
        ("accounts", one.accounts.to_string()),
        ("takes accounts", one.refuses.clone().map_or_else(|| "yes".into(), |why| format!("no: {why}"))),
        ("created", time(one.created_at)),
    ];
    if let CellState::Failed { why } = &one.state {
        shown.push(("cause", why.clone()));
    }
    if let Some(replacement) = &one.replacement {
        shown.push(("replacement", replace::progress(replacement).trim_end().into()));
    }
    let rows: Vec<_> = one
        .nodes
        .iter()
        .map(|n| [n.node.to_string(), n.az.to_string(), n.s3.to_string(), n.admin.to_string(), n.peer.to_string()])
        .collect();
    let nodes =
        table(["node", "az", "s3", "admin", "peer"], &rows, "It has no nodes: they are not planned yet, or gone.");
    format!("{}\n{nodes}", facts(&shown))
}

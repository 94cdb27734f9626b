//! The local provisioner: a cell's nodes as detached processes of this machine, one for each node, each its own AZ.
//!
//! Processes outlive whoever started them; a run file for each is how they are found again. Nothing here is remembered in memory.

pub mod certifier;
pub mod files;
pub mod plan;
pub mod process;
pub mod run_file;
pub mod tokens;

use crate::store::record::Cell;
use bulkhead_model::{Blueprint, CellId, NodeId, api::control_plane::CellNode, blueprint::BlueprintError};
use bulkhead_service::env::Clock;
use process::{ProcessError, Processes, Spec, Started};
use run_file::Role;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};
use tokens::Tokens;

/// The `[provision.local]` table of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalConfig {
    /// Holds a directory for each cell.
    pub dir: PathBuf,
    /// Holds a run file for each process.
    pub run: PathBuf,
    /// Where the `bulkhead-cell` binary is.
    pub binaries: PathBuf,
    /// Ports are taken from here upward.
    pub port_base: u16,
    /// Addresses of this machine that nodes listen on: the first node of each cell on the first, and so on, in turn. For tests that
    /// put every node into a network of its own; by default all listen on the loopback interface.
    #[serde(default)]
    pub hosts: Vec<IpAddr>,
    /// The region that cells answer to clients.
    pub region: String,
    /// Base domains for virtual-host style requests.
    #[serde(default)]
    pub domains: Vec<String>,
    /// Passed on to the cells' `[telemetry]`.
    #[serde(default)]
    pub otlp_endpoint: Option<String>,
}

/// Why a cell cannot be provisioned here. The text becomes the cause of the cell's failure.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    #[error("{}: {why}", file.display())]
    File { file: PathBuf, why: std::io::Error },
    #[error(transparent)]
    Blueprint(#[from] BlueprintError),
    #[error(
        "blueprint {blueprint} has changed since cell {cell} was requested: its hash is {found}, but was {expected}"
    )]
    BlueprintChanged { cell: CellId, blueprint: String, found: String, expected: String },
    #[error("no {wanted} free ports among the {tried} from {base} upward")]
    NoPorts { wanted: usize, tried: u16, base: u16 },
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// The local provisioner. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Local {
    config: LocalConfig,
    processes: Processes,
    surroundings: files::Surroundings,
    blueprints: PathBuf,
    /// Holds the seed of the key that certificates are signed with.
    certification_key: PathBuf,
}

impl Local {
    /// `surroundings` is what every node of every cell is told.
    pub fn new(
        config: LocalConfig,
        surroundings: files::Surroundings,
        blueprints: PathBuf,
        certification_key: PathBuf,
    ) -> Self {
        let processes = Processes::new(config.run.clone());
        Self { config, processes, surroundings, blueprints, certification_key }
    }

    /// Where cells are when nothing else is said.
    pub fn region(&self) -> &str {
        &self.config.region
    }

    /// The cells' own admin tokens.
    pub fn tokens(&self) -> Tokens {
        Tokens::new(self.config.dir.clone())
    }

    /// The blueprint a cell was requested with: its own copy once there is one, else the file of that name.
    ///
    /// # Errors
    /// When it is not the one that was requested.
    pub fn blueprint(&self, cell: &CellId, name: &str, hash: &str) -> Result<Blueprint, ProvisionError> {
        let own = files::blueprint_file(&self.config.dir, cell);
        let source = self.blueprints.join(format!("{name}.toml"));
        let file = if own.exists() { own } else { source };
        let text = read(&file)?;
        let blueprint = Blueprint::parse(&text)?;
        if blueprint.hash() == hash {
            return Ok(blueprint);
        }
        let (blueprint, found) = (name.into(), blueprint.hash());
        Err(ProvisionError::BlueprintChanged { cell: cell.clone(), blueprint, found, expected: hash.into() })
    }

    /// A blueprint as it is now, for a new cell.
    ///
    /// # Errors
    /// When there is none of that name, or it is not valid.
    pub fn fresh_blueprint(&self, name: &str) -> Result<Blueprint, ProvisionError> {
        Ok(Blueprint::parse(&read(&self.blueprints.join(format!("{name}.toml")))?)?)
    }

    /// Addresses for a cell's nodes, on free ports outside `taken`.
    ///
    /// # Errors
    /// When there are not enough ports.
    pub fn plan(&self, blueprint: &Blueprint, taken: &BTreeSet<u16>) -> Result<Vec<CellNode>, ProvisionError> {
        let is_free = |port| !taken.contains(&port) && plan::is_free(port);
        plan::nodes(blueprint, self.config.port_base, &self.config.hosts, is_free)
    }

    /// Writes whatever a cell's nodes need and do not have yet.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn prepare(&self, id: &CellId, cell: &Cell) -> Result<(), ProvisionError> {
        let blueprint = self.blueprint(id, &cell.blueprint, &cell.blueprint_hash)?;
        files::write_cell(&self.in_region_of(cell), &self.surroundings, id, &blueprint, &cell.nodes)
    }

    /// Addresses and files for a node that takes the place of `old`, in its AZ.
    ///
    /// # Errors
    /// When there are not enough ports.
    pub fn plan_one(&self, node: NodeId, old: &CellNode, taken: &BTreeSet<u16>) -> Result<CellNode, ProvisionError> {
        let is_free = |port| !taken.contains(&port) && plan::is_free(port);
        plan::node(node, old.az.clone(), self.config.port_base, &self.config.hosts, is_free)
    }

    /// Writes what a node needs that takes another's place, and does not have yet.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn prepare_one(&self, id: &CellId, cell: &Cell, node: &CellNode) -> Result<(), ProvisionError> {
        let blueprint = self.blueprint(id, &cell.blueprint, &cell.blueprint_hash)?;
        files::write_cell(&self.in_region_of(cell), &self.surroundings, id, &blueprint, std::slice::from_ref(node))
    }

    /// A cell of version 1 knows no region of its own.
    fn in_region_of(&self, cell: &Cell) -> LocalConfig {
        let region = if cell.more.region.is_empty() { &self.config.region } else { &cell.more.region };
        LocalConfig { region: region.clone(), ..self.config.clone() }
    }

    /// Ends a node that is replaced and sees to it that nobody starts it again. Its directory stays, for an operator to delete.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn retire(&self, cell: &CellId, node: NodeId, clock: &Clock) -> Result<(), ProvisionError> {
        let name = Self::process_name(cell, node);
        match self.processes.find(&name)? {
            Some(run) if run.is_alive() || !run.held => {
                Ok(self.processes.end(&name, process::End::Stop, clock).await?)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Forgets the process of a node that was retired.
    ///
    /// # Errors
    /// When its run file cannot be deleted.
    pub fn forget(&self, cell: &CellId, node: NodeId) -> Result<(), ProvisionError> {
        Ok(self.processes.forget(&Self::process_name(cell, node))?)
    }

    /// The name of a node's process and run file.
    pub fn process_name(cell: &CellId, node: NodeId) -> String {
        format!("{cell}-{node}")
    }

    /// Whether a process runs.
    ///
    /// # Errors
    /// When its run file cannot be read.
    pub fn is_running(&self, name: &str) -> Result<bool, ProvisionError> {
        Ok(self.processes.find(name)?.is_some_and(|run| run.is_alive()))
    }

    /// Whether a process was ever started.
    ///
    /// # Errors
    /// When its run file cannot be read.
    pub fn was_started(&self, name: &str) -> Result<bool, ProvisionError> {
        Ok(self.processes.find(name)?.is_some())
    }

    /// Starts a node's process, unless it runs or an operator stopped it.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(&self, cell: &CellId, node: &CellNode) -> Result<Started, ProvisionError> {
        Ok(self.processes.start(&self.spec(cell, node), process::Hold::Respect)?)
    }

    /// Ends the processes of a cell that failed. They hold nothing that anybody was promised.
    ///
    /// # Errors
    /// When a process cannot be signalled.
    pub fn stop(&self, cell: &CellId, nodes: &[CellNode]) -> Result<(), ProvisionError> {
        for node in nodes {
            let name = Self::process_name(cell, node.node);
            if let Some(run) = self.processes.find(&name)? {
                run.signal(rustix::process::Signal::TERM)?;
            }
        }
        Ok(())
    }

    fn spec(&self, cell: &CellId, node: &CellNode) -> Spec {
        let home = files::node_dir(&self.config.dir, cell, node.node);
        let binary = self.config.binaries.join("bulkhead-cell");
        Spec {
            name: Self::process_name(cell, node.node),
            role: Role::Cell,
            cell: Some(cell.clone()),
            az: Some(node.az.clone()),
            node: node.node,
            argv: vec![text(&binary), "--config".into(), text(&home.join("config.toml"))],
            addresses: addresses([("s3", node.s3), ("admin", node.admin), ("peer", node.peer)]),
            log: home.join("log"),
        }
    }
}

/// Addresses by listener.
pub fn addresses<const N: usize>(listeners: [(&str, SocketAddr); N]) -> BTreeMap<String, SocketAddr> {
    listeners.into_iter().map(|(name, address)| (name.to_owned(), address)).collect()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn read(file: &Path) -> Result<String, ProvisionError> {
    std::fs::read_to_string(file).map_err(|why| ProvisionError::File { file: file.to_owned(), why })
}

//! A node that only says that it is one.

use anyhow::Context as _;
use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use bulkhead_model::{
    Az, CellId, NodeId,
    api::cell::{CellUsage, NodeLoad, NodeStatus},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// What it reads of the configuration that the provisioner writes.
#[derive(Debug, Clone, Deserialize)]
struct Config {
    cell: CellId,
    node: NodeId,
    az: Az,
    admin: SocketAddr,
    data: PathBuf,
}

impl Config {
    /// Written when the group is formed, for all nodes of the cell.
    fn formed(&self) -> PathBuf {
        let home = self.data.parent().and_then(Path::parent).unwrap_or(Path::new("."));
        home.join("formed")
    }
}

/// Serves until it is killed.
pub async fn run() -> anyhow::Result<()> {
    let file = std::env::args().nth(2).context("--config FILE")?;
    let config: Config = toml::from_str(&std::fs::read_to_string(file)?)?;
    let listener = tokio::net::TcpListener::bind(config.admin).await?;
    let routes = Router::new()
        .route("/admin/v1/status", get(status))
        .route("/admin/v1/form", post(form))
        .route("/admin/v1/load", get(load))
        .with_state(config);
    Ok(axum::serve(listener, routes).await?)
}

async fn form(State(config): State<Config>) -> &'static str {
    std::fs::write(config.formed(), "").expect("writable");
    "null"
}

async fn status(State(config): State<Config>) -> Json<NodeStatus> {
    let ready = config.formed().exists();
    Json(NodeStatus {
        cell: config.cell,
        node: config.node,
        az: config.az,
        blueprint_hash: String::new(),
        build: env!("CARGO_PKG_VERSION").into(),
        ready,
        waits_for: if ready { Vec::new() } else { vec!["a leader".into()] },
        leader: None,
        term: 0,
        applied: 0,
        members: Vec::new(),
        learners: Vec::new(),
        wiped: false,
        missing_copies: None,
        usage: CellUsage::default(),
    })
}

async fn load(State(config): State<Config>) -> Json<NodeLoad> {
    Json(NodeLoad {
        node: config.node,
        isolation: true,
        limit_units: 1,
        held_units: 0,
        queued: 0,
        admitted: 0,
        refused: BTreeMap::new(),
        accounts: Vec::new(),
    })
}

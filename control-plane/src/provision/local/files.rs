//! What a cell's nodes find on disk: blueprint, tokens, key, and a configuration for each.
//!
//! Secrets are generated once, readable by their owner only, and never overwritten; everything else is rewritten whole.

use super::{LocalConfig, ProvisionError};
use crate::domain::keys;
use bulkhead_model::{Blueprint, CellId, NodeId, api::control_plane::CellNode};
use bulkhead_service::{env::Rng, tls::TlsConfig};
use serde::Serialize;
use std::{
    fs,
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// What every node of every cell is told about the fleet.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The control plane's APIs.
    pub control_plane: Vec<SocketAddr>,
    /// Holds the token cells show there.
    pub machine_token_file: PathBuf,
    /// Nodes on this machine have the identity of whoever starts them.
    pub tls: Option<TlsConfig>,
    pub rng: Rng,
}

/// A node's configuration file, field for field what `bulkhead-cell` reads.
#[derive(Serialize)]
struct NodeConfig<'a> {
    cell: &'a CellId,
    node: NodeId,
    az: &'a str,
    data: PathBuf,
    s3: SocketAddr,
    admin: SocketAddr,
    peer: SocketAddr,
    blueprint: PathBuf,
    admin_token_file: PathBuf,
    peer_token_file: PathBuf,
    cell_key_file: PathBuf,
    control_plane: &'a [SocketAddr],
    control_plane_token_file: &'a Path,
    region: &'a str,
    domains: &'a [String],
    telemetry: Telemetry<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<&'a TlsConfig>,
}

#[derive(Serialize)]
struct Telemetry<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    otlp_endpoint: Option<&'a str>,
    log: &'a str,
}

/// What processes on this machine log: their own events, and of their libraries only what is wrong.
pub const LOG: &str = "info,openraft=warn,raft_log=warn,chunked_wal=warn";

/// The cell's own copy of its blueprint, which nothing changes any more.
pub fn blueprint_file(cells: &Path, cell: &CellId) -> PathBuf {
    cells.join(cell.as_str()).join("blueprint.toml")
}

/// Where a node has its configuration, data and log.
pub fn node_dir(cells: &Path, cell: &CellId, node: NodeId) -> PathBuf {
    cells.join(cell.as_str()).join(node.to_string())
}

/// Writes everything a cell needs that is not there yet. Repeating it is harmless.
pub(super) fn write_cell(
    config: &LocalConfig,
    surroundings: &Surroundings,
    cell: &CellId,
    blueprint: &Blueprint,
    nodes: &[CellNode],
) -> Result<(), ProvisionError> {
    let home = config.dir.join(cell.as_str());
    private_dir(&home)?;
    let blueprint_file = blueprint_file(&config.dir, cell);
    write_once(&blueprint_file, || to_toml(blueprint))?;
    let secret = |name: &str| {
        let file = home.join(name);
        write_once(&file, || keys::token(&surroundings.rng)).map(|()| file)
    };
    let (admin, peer, key) = (secret("admin.token")?, secret("peer.token")?, secret("cell.key")?);
    for node in nodes {
        let dir = node_dir(&config.dir, cell, node.node);
        private_dir(&dir)?;
        let text = to_toml(&NodeConfig {
            cell,
            node: node.node,
            az: node.az.as_str(),
            data: dir.join("data"),
            s3: node.s3,
            admin: node.admin,
            peer: node.peer,
            blueprint: blueprint_file.clone(),
            admin_token_file: admin.clone(),
            peer_token_file: peer.clone(),
            cell_key_file: key.clone(),
            control_plane: &surroundings.control_plane,
            control_plane_token_file: &surroundings.machine_token_file,
            region: &config.region,
            domains: &config.domains,
            telemetry: Telemetry { otlp_endpoint: config.otlp_endpoint.as_deref(), log: LOG },
            tls: surroundings.tls.as_ref(),
        });
        replace(&dir.join("config.toml"), &text)?;
    }
    Ok(())
}

/// TOML of a configuration.
pub fn to_toml<T: Serialize>(value: &T) -> String {
    toml::to_string(value).expect("configurations have string keys and no values that TOML lacks")
}

/// Creates a directory only its owner may enter, with its parents.
///
/// # Errors
/// When it cannot be created.
pub fn private_dir(dir: &Path) -> Result<(), ProvisionError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|why| failed(dir, why))
}

/// Writes a file only its owner may read, unless it exists. Whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn write_once(file: &Path, content: impl FnOnce() -> String) -> Result<(), ProvisionError> {
    if file.exists() { Ok(()) } else { replace(file, &content()) }
}

/// Writes a file only its owner may read, replacing what was there. Whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn replace(file: &Path, content: &str) -> Result<(), ProvisionError> {
    let temporary = file.with_extension("new");
    let written = || -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        let mut new = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        new.write_all(content.as_bytes())?;
        new.sync_all()?;
        fs::rename(&temporary, file)
    };
    written().map_err(|why| failed(file, why))
}

fn failed(file: &Path, why: io::Error) -> ProvisionError {
    ProvisionError::File { file: file.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn secrets_are_private_and_survive_a_second_preparation() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let config = LocalConfig {
            dir: dir.path().join("cells"),
            run: dir.path().join("run"),
            binaries: dir.path().into(),
            port_base: 9100,
            hosts: Vec::new(),
            region: "us-east-1".into(),
            domains: vec!["localhost".into()],
            otlp_endpoint: None,
        };
        let surroundings = Surroundings {
            control_plane: vec!["127.0.0.1:9002".parse().expect("an address")],
            machine_token_file: dir.path().join("machine.token"),
            tls: Some(TlsConfig {
                certificate: "/t/fleet.crt".into(),
                key: "/t/fleet.key".into(),
                ca: "/t/ca.crt".into(),
            }),
            rng: Rng::from_seed(1),
        };
        let blueprint = Blueprint::parse(include_str!("../../../../blueprints/dev.toml")).expect("valid");
        let nodes = super::super::plan::nodes(&blueprint, 9100, &[], |_| true).expect("ports");
        let cell: CellId = "c1".parse().expect("a label");
        let write = || write_cell(&config, &surroundings, &cell, &blueprint, &nodes).expect("writable");
        write();
        let secret = config.dir.join("c1/cell.key");
        let before = fs::read_to_string(&secret).expect("written");
        write();
        assert_eq!(fs::read_to_string(&secret).expect("written"), before);
        assert_eq!(before.len(), 64);
        assert_eq!(fs::metadata(&secret).expect("written").permissions().mode() & 0o777, 0o600);
        let copy = fs::read_to_string(blueprint_file(&config.dir, &cell)).expect("written");
        assert_eq!(Blueprint::parse(&copy).expect("valid").hash(), blueprint.hash());
        let text = fs::read_to_string(config.dir.join("c1/2/config.toml")).expect("written");
        for line in [
            "cell = \"c1\"",
            "node = 2",
            "az = \"az-b\"",
            "s3 = \"127.0.0.1:9103\"",
            "domains = [\"localhost\"]",
            "[tls]\ncertificate = \"/t/fleet.crt\"",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}

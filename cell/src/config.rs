//! The configuration of a node: which cell and AZ it is in, where it listens, where it keeps its state.
//!
//! What makes cells alike (sizes, capacity) is not here but in the blueprint, which every node of a cell shares.

use bulkhead_model::{Az, Blueprint, CellId, NodeId};
use bulkhead_service::{
    auth::Token,
    config::{self, ConfigError, Validate},
    telemetry::TelemetryConfig,
    tls::TlsConfig,
};
use serde::Deserialize;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The configuration file, as written by whoever provisioned the node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub cell: CellId,
    pub node: NodeId,
    pub az: Az,
    /// Holds everything the node stores.
    pub data: PathBuf,
    /// Where routers send requests of tenants.
    pub s3: SocketAddr,
    /// Where the control plane and operators call.
    pub admin: SocketAddr,
    /// Where the other nodes of the cell call.
    pub peer: SocketAddr,
    /// A blueprint's file (TOML), or its canonical form when the name ends in `.json`.
    pub blueprint: PathBuf,
    pub admin_token_file: PathBuf,
    /// The same on all nodes of the cell.
    pub peer_token_file: PathBuf,
    /// 32 bytes in hex, the same on all nodes of the cell: encrypts secrets at rest.
    pub cell_key_file: PathBuf,
    /// Where bucket names are claimed.
    pub control_plane: Vec<SocketAddr>,
    pub control_plane_token_file: PathBuf,
    pub region: String,
    /// Base domains of virtual-host style requests, for example `s3.example.org`.
    #[serde(default)]
    pub domains: Vec<String>,
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// Mutual TLS on all listeners, and in all calls. Without it all of that is plain: for one machine only.
    pub tls: Option<TlsConfig>,
    /// The node is there to be broken in drills, whoever uses it. Where it is not, it can be certified while the cell is empty, and no more.
    #[serde(default)]
    pub drills: bool,
}

impl Validate for File {
    fn validate(&self) -> Result<(), String> {
        if self.node == NodeId(0) {
            return Err("node is 0, but must be at least 1: 0 names no node".into());
        }
        if self.control_plane.is_empty() {
            return Err("control_plane is empty, but bucket names are claimed there: name at least one address".into());
        }
        let ports = [self.s3, self.admin, self.peer];
        for (at, address) in ports.iter().enumerate() {
            if address.port() != 0 && ports[..at].contains(address) {
                return Err(format!("two of s3, admin and peer are {address}, but each needs an address of its own"));
            }
        }
        self.telemetry.validate()
    }
}

/// A configuration with the files it names read.
#[derive(Debug, Clone)]
pub struct Config {
    pub file: File,
    pub blueprint: Blueprint,
    pub admin_token: Token,
    pub peer_token: Token,
    pub control_plane_token: Token,
    pub cell_key: [u8; 32],
}

impl Config {
    /// Whether drills may break this node.
    pub fn may_be_drilled(&self) -> bool {
        self.file.drills || self.blueprint.name == "dev"
    }

    /// Reads the configuration file and every file it names.
    ///
    /// # Errors
    /// The first file that cannot be read or is not valid, and why.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let file: File = config::load(path)?;
        let unreadable = |why| ConfigError::Unreadable { file: file.blueprint.clone(), why };
        let malformed = |why: String| ConfigError::Malformed { file: file.blueprint.clone(), why };
        let text = std::fs::read_to_string(&file.blueprint).map_err(unreadable)?;
        // Terraform hands on the canonical form: it cannot read TOML.
        let is_canonical = file.blueprint.extension().is_some_and(|extension| extension == "json");
        let parsed = if is_canonical { Blueprint::parse_canonical(&text) } else { Blueprint::parse(&text) };
        let blueprint = parsed.map_err(|error| malformed(error.to_string()))?;
        if !blueprint.topology.azs.contains(&file.az) {
            return Err(malformed(format!("it has no AZ {}, in which this node is said to be", file.az)));
        }
        Ok(Self {
            blueprint,
            admin_token: config::read_token(&file.admin_token_file)?,
            peer_token: config::read_token(&file.peer_token_file)?,
            control_plane_token: config::read_token(&file.control_plane_token_file)?,
            cell_key: config::read_key(&file.cell_key_file)?,
            file,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_accepts_the_configuration_that_terraform_writes() {
        let mut text = include_str!("../../terraform/modules/cell/config.toml.tftpl").to_owned();
        for (name, value) in [
            ("${cell}", "c1"),
            ("${node}", "4"),
            ("${az}", "az-a"),
            ("${ports.s3}", "9000"),
            ("${ports.admin}", "9001"),
            ("${ports.peer}", "9002"),
            ("${control_plane}", r#"["10.64.33.10:9002"]"#),
            ("${region}", "eu-west-1"),
            ("${domains}", r#"["s3.example.org"]"#),
            ("@address@", "10.64.0.7"),
        ] {
            assert!(text.contains(name), "{name} is not in the template");
            text = text.replace(name, value);
        }
        let file: File = toml::from_str(&text).expect("every value is filled in");
        assert_eq!(file.validate(), Ok(()));
        assert_eq!((file.node, file.peer.to_string()), (NodeId(4), "10.64.0.7:9002".to_owned()));
        assert!(file.blueprint.extension().is_some_and(|extension| extension == "json"));
    }
}

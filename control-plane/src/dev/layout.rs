//! Where everything of a fleet on this machine is: files below the data directory, ports above the router's.

use super::{DevError, certificates};
use crate::provision::local::{addresses, process::Spec, run_file::Role};
use bulkhead_model::NodeId;
use bulkhead_service::tls::TlsConfig;
use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// The port that is used when none is given.
const DEFAULT_PORT: u16 = 9000;
/// Cells' ports begin this far above the router's.
const CELLS_ABOVE: u16 = 10;
/// Ports a fleet may come to use above the router's: eleven cells of the `dev` blueprint.
const PORTS: u16 = 110;

/// The layout of one fleet.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Absolute.
    pub data: PathBuf,
    pub port: u16,
    /// Absolute; holds the server binaries.
    pub binaries: PathBuf,
    /// Where router and control plane listen.
    pub host: IpAddr,
    /// Where nodes listen, in turn; none means the loopback interface.
    pub node_hosts: Vec<IpAddr>,
}

impl Layout {
    /// The layout of a data directory: its own port, else `port`, else the default.
    ///
    /// # Errors
    /// When the directory was set up with another port, or a path cannot be resolved.
    pub fn resolve(data: &Path, port: Option<u16>) -> Result<Self, DevError> {
        let absolute = |path: &Path| std::path::absolute(path).map_err(|why| DevError::File { file: path.into(), why });
        let data = absolute(data)?;
        let was = read_port(&data.join("port"))?;
        let port = match (was, port) {
            (Some(was), Some(asked)) if was != asked => return Err(DevError::OtherPort { data, was, asked }),
            (Some(port), _) | (None, Some(port)) => port,
            (None, None) => DEFAULT_PORT,
        };
        if port > u16::MAX - PORTS {
            return Err(DevError::PortTooHigh { port, max: u16::MAX - PORTS });
        }
        let program = std::env::current_exe().map_err(|why| DevError::File { file: "bulkhead".into(), why })?;
        let binaries = program.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self { data, port, binaries, host: Ipv4Addr::LOCALHOST.into(), node_hosts: Vec::new() })
    }

    /// On other addresses than the loopback interface's: the first is the router's and the control plane's, the others are nodes'.
    #[must_use]
    pub fn on(mut self, hosts: &[IpAddr]) -> Self {
        if let Some((host, node_hosts)) = hosts.split_first() {
            (self.host, self.node_hosts) = (*host, node_hosts.to_vec());
        }
        self
    }

    /// Where the port is remembered.
    pub fn port_file(&self) -> PathBuf {
        self.file("port")
    }

    /// A file of the data directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    /// The certificates of a fleet that speaks mutual TLS. It was set up so, or it was not.
    pub fn tls(&self) -> Option<TlsConfig> {
        certificates::of(&self.data)
    }

    /// Where clients send S3 requests.
    pub fn router_s3(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    pub fn router_admin(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port + 1)
    }

    pub fn control_plane_api(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port + 2)
    }

    pub fn control_plane_peer(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port + 3)
    }

    /// The first port of cells.
    pub fn cells_port(&self) -> u16 {
        self.port + CELLS_ABOVE
    }

    /// How the control plane is started.
    pub fn control_plane(&self) -> Spec {
        let listeners = addresses([("api", self.control_plane_api()), ("peer", self.control_plane_peer())]);
        self.spec(Role::ControlPlane, "control-plane", "bulkhead-control-plane", listeners)
    }

    /// How the router is started.
    pub fn router(&self) -> Spec {
        let listeners = addresses([("s3", self.router_s3()), ("admin", self.router_admin())]);
        self.spec(Role::Router, "router", "bulkhead-router", listeners)
    }

    fn spec(
        &self,
        role: Role,
        name: &str,
        binary: &str,
        addresses: std::collections::BTreeMap<String, SocketAddr>,
    ) -> Spec {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        Spec {
            name: format!("{name}-1"),
            role,
            cell: None,
            az: None,
            node: NodeId(1),
            argv: vec![text(self.binaries.join(binary)), "--config".into(), text(self.file(&format!("{name}.toml")))],
            addresses,
            log: self.file(&format!("{name}.log")),
        }
    }
}

fn read_port(file: &Path) -> Result<Option<u16>, DevError> {
    match fs::read_to_string(file) {
        Ok(text) => text.trim().parse().map(Some).map_err(|_| DevError::File {
            file: file.into(),
            why: io::Error::new(io::ErrorKind::InvalidData, format!("{text:?} is not a port")),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(DevError::File { file: file.into(), why }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_keeps_its_port() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(Layout::resolve(dir.path(), None).expect("new").port, DEFAULT_PORT);
        assert_eq!(Layout::resolve(dir.path(), Some(9500)).expect("new").port, 9500);
        fs::write(dir.path().join("port"), "9500\n").expect("writable");
        assert_eq!(Layout::resolve(dir.path(), None).expect("known").port, 9500);
        let error = Layout::resolve(dir.path(), Some(9000)).expect_err("another port").to_string();
        assert!(error.contains("was set up with port 9500, but --port says 9000"), "{error}");
        assert!(matches!(Layout::resolve(&dir.path().join("x"), Some(65_500)), Err(DevError::PortTooHigh { .. })));
    }
}

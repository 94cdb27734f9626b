//! The configuration files and tokens of a fleet on this machine.

use super::{DevError, layout::Layout};
use crate::{
    domain::keys,
    provision::local::{
        ProvisionError,
        files::{LOG, private_dir, replace, to_toml, write_once},
    },
};
use bulkhead_service::{env::Rng, tls::TlsConfig};
use serde::Serialize;
use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

/// The region of a fleet on one machine.
pub const REGION: &str = "us-east-1";
/// Base domain for virtual-host style requests.
const DOMAINS: [&str; 1] = ["localhost"];

#[derive(Serialize)]
struct ControlPlane<'a> {
    node: u64,
    data: PathBuf,
    api: SocketAddr,
    peer: SocketAddr,
    token_file: PathBuf,
    machine_token_file: PathBuf,
    peer_token_file: PathBuf,
    blueprints: &'a Path,
    provision: Provision<'a>,
    certification: Certification,
    headroom: Headroom,
    telemetry: Telemetry,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<TlsConfig>,
}

#[derive(Serialize)]
struct Certification {
    key_file: PathBuf,
    waived: bool,
}

#[derive(Serialize)]
struct Headroom {
    floor_percent: u64,
}

/// What of a fleet on one machine can be chosen.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// Cells take accounts without a certificate.
    pub uncertified: bool,
    pub floor_percent: u64,
}

#[derive(Serialize)]
struct Telemetry {
    log: &'static str,
}

#[derive(Serialize)]
struct Provision<'a> {
    local: Local<'a>,
}

#[derive(Serialize)]
struct Local<'a> {
    dir: PathBuf,
    run: PathBuf,
    binaries: &'a Path,
    port_base: u16,
    hosts: &'a [IpAddr],
    region: &'a str,
    domains: [&'a str; 1],
}

#[derive(Serialize)]
struct Router<'a> {
    data: PathBuf,
    s3: SocketAddr,
    admin: SocketAddr,
    control_plane: [SocketAddr; 1],
    control_plane_token_file: PathBuf,
    domains: [&'a str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<TlsConfig>,
}

/// Where the blueprints are, once it is known that the one needed is among them.
///
/// # Errors
/// When it is not.
pub fn blueprints(dir: &Path) -> Result<PathBuf, DevError> {
    let file = dir.join("dev.toml");
    if !file.is_file() {
        return Err(DevError::NoBlueprint { file });
    }
    std::path::absolute(dir).map_err(|why| DevError::File { file: dir.into(), why })
}

/// Writes tokens that do not exist yet, and all configurations.
///
/// # Errors
/// When a file cannot be written.
pub fn write(layout: &Layout, blueprints: &Path, choice: Choice, rng: &Rng) -> Result<(), ProvisionError> {
    private_dir(&layout.data)?;
    replace(&layout.port_file(), &format!("{}\n", layout.port))?;
    for token in ["admin.token", "machine.token", "peer.token", "certify.key"] {
        write_once(&layout.file(token), || keys::token(rng))?;
    }
    let local = Local {
        dir: layout.file("cells"),
        run: layout.file("run"),
        binaries: &layout.binaries,
        port_base: layout.cells_port(),
        hosts: &layout.node_hosts,
        region: REGION,
        domains: DOMAINS,
    };
    let control_plane = ControlPlane {
        node: 1,
        data: layout.file("control-plane"),
        api: layout.control_plane_api(),
        peer: layout.control_plane_peer(),
        token_file: layout.file("admin.token"),
        machine_token_file: layout.file("machine.token"),
        peer_token_file: layout.file("peer.token"),
        blueprints,
        provision: Provision { local },
        certification: Certification { key_file: layout.file("certify.key"), waived: choice.uncertified },
        headroom: Headroom { floor_percent: choice.floor_percent },
        telemetry: Telemetry { log: LOG },
        tls: layout.tls(),
    };
    replace(&layout.file("control-plane.toml"), &to_toml(&control_plane))?;
    let router = Router {
        data: layout.file("router-1"),
        s3: layout.router_s3(),
        admin: layout.router_admin(),
        control_plane: [layout.control_plane_api()],
        control_plane_token_file: layout.file("machine.token"),
        domains: DOMAINS,
        tls: layout.tls(),
    };
    replace(&layout.file("router.toml"), &to_toml(&router))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use bulkhead_service::{config, env::Clock};

    #[test]
    fn the_control_plane_accepts_the_configuration_that_is_written_for_it() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let layout = Layout::resolve(dir.path(), Some(9500)).expect("a new directory");
        let choice = Choice { uncertified: true, floor_percent: 50 };
        write(&layout, Path::new("/blueprints"), choice, &Rng::from_seed(1)).expect("writable");
        let config: Config = config::load(&layout.file("control-plane.toml")).expect("valid");
        assert!(config.certification.waived);
        assert_eq!((config.api.port(), config.provision.local.port_base), (9502, 9510));
        let token = config::read_token(&config.token_file).expect("a token");
        write(&layout, Path::new("/blueprints"), choice, &Rng::from_seed(2)).expect("writable");
        assert_eq!(config::read_token(&config.token_file).expect("a token"), token);
        assert_eq!(config.tls, None);
    }

    #[test]
    fn a_fleet_with_certificates_has_them_in_every_configuration() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let layout = Layout::resolve(dir.path(), Some(9500)).expect("a new directory");
        crate::dev::certificates::make(&layout, &Clock::system()).expect("writable");
        let choice = Choice { uncertified: true, floor_percent: 0 };
        write(&layout, Path::new("/blueprints"), choice, &Rng::from_seed(1)).expect("writable");
        let config: Config = config::load(&layout.file("control-plane.toml")).expect("valid");
        assert!(config.tls.is_some() && config.tls == layout.tls());
        let router = std::fs::read_to_string(layout.file("router.toml")).expect("written");
        assert!(router.contains("[tls]"), "{router}");
    }
}

//! The router's configuration file.

use crate::limits;
use bulkhead_service::{config::Validate, telemetry::TelemetryConfig, tls::TlsConfig};
use serde::Deserialize;
use std::{net::SocketAddr, path::PathBuf};

/// What `--config` names.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Holds the saved table.
    pub data: PathBuf,
    /// Where clients come.
    pub s3: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
    /// Any of these will do.
    pub control_plane: Vec<SocketAddr>,
    pub control_plane_token_file: PathBuf,
    /// Base domains of virtual-host style addresses: `bucket.<domain>`. Path style always works.
    #[serde(default)]
    pub domains: Vec<String>,
    /// Connections that clients of one source address may have, of [`limits::CONNECTIONS_MAX`]. Clients behind one NAT or balancer are
    /// one source.
    #[serde(default = "connections_per_source_max")]
    pub connections_per_source_max: usize,
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// Mutual TLS to cells and control plane, and on the admin listener. Without it all of that is plain: for one machine only.
    pub tls: Option<TlsConfig>,
}

fn connections_per_source_max() -> usize {
    limits::CONNECTIONS_PER_SOURCE_MAX
}

impl Validate for Config {
    fn validate(&self) -> Result<(), String> {
        if self.control_plane.is_empty() {
            return Err("control_plane is empty: name at least one address".into());
        }
        if self.s3 == self.admin && self.s3.port() != 0 {
            return Err(format!("s3 ({}) and admin ({}) must differ: each is a listener", self.s3, self.admin));
        }
        let is_domain = |domain: &String| {
            !domain.is_empty()
                && domain.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
        };
        if let Some(domain) = self.domains.iter().find(|domain| !is_domain(domain)) {
            return Err(format!("domains holds {domain:?}: a domain is a-z, 0-9, '-' and '.', without a port"));
        }
        let (most, per_source) = (limits::CONNECTIONS_MAX, self.connections_per_source_max);
        if !(1..=most).contains(&per_source) {
            return Err(format!(
                "connections_per_source_max is {per_source}: it must be from 1 to {most}, the connections of the listener"
            ));
        }
        self.telemetry.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        data = "/d/router"
        s3 = "127.0.0.1:9000"
        admin = "127.0.0.1:9001"
        control_plane = ["127.0.0.1:9002"]
        control_plane_token_file = "/d/router.token"
    "#;

    fn check(text: &str) -> Result<(), String> {
        toml::from_str::<Config>(text).map_err(|error| error.to_string()).and_then(|config| config.validate())
    }

    #[test]
    fn what_one_source_may_have_is_configured_or_has_a_default() {
        let of = |text: &str| toml::from_str::<Config>(text).map(|config| config.connections_per_source_max);
        assert_eq!(of(GOOD), Ok(limits::CONNECTIONS_PER_SOURCE_MAX));
        assert_eq!(of(&format!("connections_per_source_max = 8000\n{GOOD}")), Ok(8_000));
    }

    #[test]
    fn a_configuration_that_cannot_work_is_refused_with_the_reason() {
        assert_eq!(check(GOOD), Ok(()));
        for (from, to, reason) in [
            ("[\"127.0.0.1:9002\"]", "[]", "control_plane is empty"),
            ("127.0.0.1:9001", "127.0.0.1:9000", "must differ"),
            ("control_plane_token_file", "domains = [\"localhost:9000\"]\ncontrol_plane_token_file", "without a port"),
            ("control_plane_token_file", "connections_per_source_max = 0\ncontrol_plane_token_file", "from 1 to 8192"),
            ("control_plane_token_file", "connections_per_source_max = 8193\ncontrol_plane_token_file", "is 8193"),
            ("control_plane_token_file", "nonsense = 1\ncontrol_plane_token_file", "unknown field"),
        ] {
            let error = check(&GOOD.replace(from, to)).expect_err(reason);
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn mutual_tls_needs_all_of_its_files_and_nothing_else() {
        let whole = format!("{GOOD}\n[tls]\ncertificate = \"c\"\nkey = \"k\"\nca = \"a\"\n");
        assert_eq!(check(&whole), Ok(()));
        for (line, reason) in [("ca = \"a\"", "missing field `ca`"), ("key = \"k\"", "missing field `key`")] {
            let error = check(&whole.replace(line, "")).expect_err(reason);
            assert!(error.contains(reason), "{error}");
        }
        let error = check(&format!("{whole}verify = false\n")).expect_err("it cannot be switched off");
        assert!(error.contains("unknown field `verify`"), "{error}");
    }

    #[test]
    fn a_router_accepts_the_configuration_that_terraform_writes() {
        let mut text = include_str!("../../terraform/modules/router/config.toml.tftpl").to_owned();
        for (name, value) in [
            ("${ports.s3}", "9000"),
            ("${ports.admin}", "9001"),
            ("${control_plane}", r#"["10.64.33.10:9002"]"#),
            ("${domains}", r#"["s3.example.org"]"#),
            ("${connections_per_source_max}", "2048"),
            ("@address@", "10.64.32.7"),
        ] {
            assert!(text.contains(name), "{name} is not in the template");
            text = text.replace(name, value);
        }
        assert_eq!(check(&text), Ok(()));
    }
}

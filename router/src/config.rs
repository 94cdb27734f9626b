//! The router's configuration file.

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
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// Mutual TLS to cells and control plane.
    pub tls: Option<TlsConfig>,
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
    fn a_configuration_that_cannot_work_is_refused_with_the_reason() {
        assert_eq!(check(GOOD), Ok(()));
        for (from, to, reason) in [
            ("[\"127.0.0.1:9002\"]", "[]", "control_plane is empty"),
            ("127.0.0.1:9001", "127.0.0.1:9000", "must differ"),
            ("control_plane_token_file", "domains = [\"localhost:9000\"]\ncontrol_plane_token_file", "without a port"),
            ("control_plane_token_file", "nonsense = 1\ncontrol_plane_token_file", "unknown field"),
        ] {
            let error = check(&GOOD.replace(from, to)).expect_err(reason);
            assert!(error.contains(reason), "{error}");
        }
    }
}

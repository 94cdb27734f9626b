//! The configuration of `bulkhead-control-plane`.

use crate::{
    certification::CertificationConfig, dns::DnsConfig, provision::local::LocalConfig,
    reconcile::headroom::HeadroomConfig,
};
use bulkhead_model::{Az, NodeId, api::cell::Member};
use bulkhead_service::{config::Validate, telemetry::TelemetryConfig, tls::TlsConfig};
use serde::Deserialize;
use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf};

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub node: NodeId,
    #[serde(default = "default_az")]
    pub az: Az,
    pub data: PathBuf,
    /// Where the API is served.
    pub api: SocketAddr,
    /// Where other nodes of the control plane are served.
    pub peer: SocketAddr,
    /// The admin token.
    pub token_file: PathBuf,
    /// The token of routers and cells.
    pub machine_token_file: PathBuf,
    /// The token of the other nodes of the control plane. May be absent when there are none.
    #[serde(default)]
    pub peer_token_file: Option<PathBuf>,
    pub blueprints: PathBuf,
    /// All nodes of the control plane, this one included. Empty means that this one is alone.
    #[serde(default)]
    pub members: Vec<Member>,
    pub provision: Provision,
    pub certification: CertificationConfig,
    /// Off unless a floor is said.
    #[serde(default)]
    pub headroom: HeadroomConfig,
    /// The names under which tenants find their routers. None are published without it.
    #[serde(default)]
    pub dns: Option<DnsConfig>,
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// Mutual TLS on both listeners, in all calls, and for the nodes that are provisioned on this machine. Without it all of that is
    /// plain: for one machine only.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
}

/// Provisioners.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provision {
    pub local: LocalConfig,
}

fn default_az() -> Az {
    "az-a".parse().expect("a label")
}

impl Config {
    /// The voters of the directory's group.
    pub fn voters(&self) -> Vec<Member> {
        if self.members.is_empty() {
            return vec![Member { node: self.node, az: self.az.clone(), peer: self.peer }];
        }
        self.members.clone()
    }

    /// Whether this node is the one that forms the group: the first.
    pub fn forms_group(&self) -> bool {
        self.voters().iter().map(|member| member.node).min() == Some(self.node)
    }
}

impl Validate for Config {
    fn validate(&self) -> Result<(), String> {
        let members = &self.members;
        let nodes: BTreeSet<_> = members.iter().map(|member| member.node).collect();
        if nodes.len() != members.len() {
            return Err(format!("members names {} nodes but only {} different ones", members.len(), nodes.len()));
        }
        if !matches!(members.len(), 0 | 1 | 3) {
            let reason = "one node needs none, and two could not lose any";
            return Err(format!("members names {} nodes, but must name 0, 1 or 3: {reason}", members.len()));
        }
        if !members.is_empty() && !members.iter().any(|member| member.node == self.node && member.peer == self.peer) {
            return Err(format!("node {} with peer address {} is not among the members", self.node, self.peer));
        }
        if members.len() > 1 && self.peer_token_file.is_none() {
            return Err(format!(
                "peer_token_file is needed with {} members, so that only they may vote",
                members.len()
            ));
        }
        // Nodes with addresses of their own are in namespaces of this machine.
        let has_hosts = !self.provision.local.hosts.is_empty() && !self.api.ip().is_unspecified();
        let is_one_machine = self.api.ip().is_loopback() || has_hosts;
        if self.certification.waived && !is_one_machine {
            return Err(format!(
                "certification.waived is true with the API at {}, but must be false outside of one machine: it is for tests",
                self.api
            ));
        }
        if self.headroom.cells_max < 1 {
            return Err("headroom.cells_max is 0, but must be at least 1: a fleet has a cell".into());
        }
        if self.api == self.peer {
            return Err(format!("api and peer are both {}, but need a port each", self.api));
        }
        if let Some(dns) = &self.dns {
            dns.validate()?;
        }
        self.telemetry.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: &str = r#"
        node = 1
        data = "/d"
        api = "127.0.0.1:9002"
        peer = "127.0.0.1:9003"
        token_file = "/d/admin.token"
        machine_token_file = "/d/machine.token"
        blueprints = "/d/blueprints"
        [provision.local]
        dir = "/d/cells"
        run = "/d/run"
        binaries = "/bin"
        port_base = 9100
        region = "us-east-1"
        [certification]
        key_file = "/d/certification.key"
    "#;

    fn parse(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        config.validate().map(|()| config)
    }

    #[test]
    fn one_node_needs_no_members_and_forms_itself() {
        let config = parse(ALONE).expect("valid");
        assert_eq!(config.voters().len(), 1);
        assert!(config.forms_group());
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_reason() {
        let member = |node, port| format!("[[members]]\nnode = {node}\naz = \"az-a\"\npeer = \"127.0.0.1:{port}\"\n");
        let cases = [
            (format!("{ALONE}\n{}{}", member(1, 9003), member(2, 9004)), "members names 2 nodes"),
            (format!("{ALONE}\n{}", member(2, 9003)), "node 1 with peer address"),
            (
                format!("{ALONE}\n{}{}{}", member(1, 9003), member(2, 9004), member(3, 9005)),
                "peer_token_file is needed",
            ),
            (ALONE.replace("9003", "9002"), "need a port each"),
            (format!("{ALONE}\nwaived = true\n").replace("127.0.0.1:9002", "10.0.0.1:9002"), "must be false outside"),
            (format!("{ALONE}\n[headroom]\ncells_max = 0\n"), "at least 1"),
            (format!("colour = 1\n{ALONE}"), "unknown field `colour`"),
            (format!("{ALONE}\n[tls]\ncertificate = \"c\"\nkey = \"k\"\n"), "missing field `ca`"),
        ];
        for (text, reason) in cases {
            let error = parse(&text).expect_err(reason);
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_node_accepts_the_configuration_that_terraform_writes() {
        let mut text = include_str!("../../terraform/modules/control-plane/config.toml.tftpl").to_owned();
        let members = (1..=3).map(|n| format!(r#"{{ node = {n}, az = "az-a", peer = "10.64.33.{n}:9003" }}"#));
        let members = format!("[{}]", members.collect::<Vec<_>>().join(", "));
        for (name, value) in [
            ("${node}", "2"),
            ("${az}", "az-b"),
            ("${address}", "10.64.33.2"),
            ("${ports.api}", "9002"),
            ("${ports.peer}", "9003"),
            ("${members}", &members),
            ("${region}", "eu-west-1"),
        ] {
            assert!(text.contains(name), "{name} is not in the template");
            text = text.replace(name, value);
        }
        let config = parse(&text).expect("every value is filled in");
        assert_eq!((config.voters().len(), config.forms_group()), (3, false));
    }
}

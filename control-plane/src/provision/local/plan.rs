//! Which ports a cell's nodes listen on.

use super::ProvisionError;
use crate::limits::PORTS_TRIED_MAX;
use bulkhead_model::{Az, Blueprint, NodeId, api::control_plane::CellNode};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

/// Listeners of one node: S3, admin, peer.
const LISTENERS: usize = 3;

/// The nodes of a cell, AZ by AZ, on the first ports from `base` upward for which `is_free` holds; each on the next of `hosts`, or
/// all on the loopback interface when there are none.
///
/// # Errors
/// [`ProvisionError::NoPorts`].
pub fn nodes(
    blueprint: &Blueprint,
    base: u16,
    hosts: &[IpAddr],
    mut is_free: impl FnMut(u16) -> bool,
) -> Result<Vec<CellNode>, ProvisionError> {
    let mut azs = Vec::new();
    for _ in 0..blueprint.topology.nodes_per_az {
        azs.extend(blueprint.topology.azs.iter().cloned());
    }
    let wanted = azs.len() * LISTENERS;
    let candidates = base..=base.saturating_add(PORTS_TRIED_MAX);
    let free: Vec<u16> = candidates.filter(|&port| is_free(port)).take(wanted).collect();
    if free.len() < wanted {
        return Err(ProvisionError::NoPorts { wanted, tried: PORTS_TRIED_MAX, base });
    }
    let ports = free.chunks_exact(LISTENERS);
    let loopback = [Ipv4Addr::LOCALHOST.into()];
    let hosts = if hosts.is_empty() { &loopback[..] } else { hosts }.iter().cycle();
    let node = |(((number, az), ports), host): (((u64, _), &[u16]), &IpAddr)| match *ports {
        [s3, admin, peer] => {
            let [s3, admin, peer] = [s3, admin, peer].map(|port| SocketAddr::new(*host, port));
            Some(CellNode { node: NodeId(number), az, s3, admin, peer })
        }
        _ => None,
    };
    Ok((1..).zip(azs).zip(ports).zip(hosts).filter_map(node).collect())
}

/// One more node in `az`, on the first ports from `base` upward for which `is_free` holds.
///
/// # Errors
/// [`ProvisionError::NoPorts`].
pub fn node(
    node: NodeId,
    az: Az,
    base: u16,
    hosts: &[IpAddr],
    mut is_free: impl FnMut(u16) -> bool,
) -> Result<CellNode, ProvisionError> {
    let turn = usize::try_from(node.0.saturating_sub(1)).unwrap_or(0) % hosts.len().max(1);
    let host = hosts.get(turn).copied().unwrap_or(Ipv4Addr::LOCALHOST.into());
    let mut candidates = base..=base.saturating_add(PORTS_TRIED_MAX);
    let mut next = || candidates.by_ref().find(|&port| is_free(port)).map(|port| SocketAddr::new(host, port));
    match (next(), next(), next()) {
        (Some(s3), Some(admin), Some(peer)) => Ok(CellNode { node, az, s3, admin, peer }),
        (_, _, _) => Err(ProvisionError::NoPorts { wanted: LISTENERS, tried: PORTS_TRIED_MAX, base }),
    }
}

/// Whether nothing listens on a port of the loopback interface.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind(loopback(port)).is_ok()
}

/// An address on the loopback interface.
pub fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dev() -> Blueprint {
        Blueprint::parse(include_str!("../../../../blueprints/dev.toml")).expect("valid")
    }

    #[test]
    fn each_node_gets_three_ports_in_its_own_az_and_taken_ports_are_passed_over() {
        let nodes = nodes(&dev(), 9100, &[], |port| port != 9101).expect("enough ports");
        let shape: Vec<_> =
            nodes.iter().map(|n| (n.node.0, n.az.as_str(), n.s3.port(), n.admin.port(), n.peer.port())).collect();
        assert_eq!(
            shape,
            [(1, "az-a", 9100, 9102, 9103), (2, "az-b", 9104, 9105, 9106), (3, "az-c", 9107, 9108, 9109)]
        );
    }

    #[test]
    fn nodes_take_turns_on_the_hosts() {
        let hosts = ["10.0.0.1", "10.0.0.2"].map(|host| host.parse().expect("an address"));
        let nodes = nodes(&dev(), 9100, &hosts, |_| true).expect("enough ports");
        let peers: Vec<_> = nodes.iter().map(|node| node.peer.to_string()).collect();
        assert_eq!(peers, ["10.0.0.1:9102", "10.0.0.2:9105", "10.0.0.1:9108"]);
    }

    #[test]
    fn too_few_ports_are_refused() {
        let error = nodes(&dev(), 65_530, &[], |_| true).expect_err("six ports are not nine").to_string();
        assert_eq!(error, "no 9 free ports among the 10000 from 65530 upward");
    }
}

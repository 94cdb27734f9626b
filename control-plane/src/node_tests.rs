//! A control plane of three nodes in one process.

use super::Node;
use crate::config::{Config, Provision};
use crate::{certification::CertificationConfig, provision::local::LocalConfig, reconcile::headroom::HeadroomConfig};
use bulkhead_model::{
    CellId, NodeId,
    api::{
        cell::Member,
        control_plane::{Cell, Operation, OperationState, StampCell, Status},
    },
};
use bulkhead_service::{
    Env,
    auth::Token,
    client::{Client, Endpoints},
    env::Clock,
    telemetry::{Metrics, TelemetryConfig},
};
use http::Method;
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};
use tempfile::TempDir;

const ADMIN: &str = "admin-admin-admin-admin-admin-admin";
const PATIENCE: Duration = Duration::from_secs(20);

/// A loopback address that no other test process has, so that ports can be chosen beforehand.
fn address(node: u64, port: u16) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    let node = u8::try_from(node).expect("three nodes");
    (Ipv4Addr::new(127, 200 + node, high, low.clamp(1, 254)), port).into()
}

fn members() -> Vec<Member> {
    let member = |node| Member {
        node: NodeId(node),
        az: format!("az-{node}").parse().expect("a label"),
        peer: address(node, 9003),
    };
    (1..=3).map(member).collect()
}

fn config(dir: &Path, node: u64) -> Config {
    let data = dir.join(format!("node-{node}"));
    let token = |name: &str, text: &str| {
        let file = dir.join(name);
        std::fs::write(&file, text).expect("writable");
        file
    };
    let local = LocalConfig {
        dir: data.join("cells"),
        run: data.join("run"),
        // No cell can be started from here: these tests are about what the directory holds.
        binaries: data.join("nothing"),
        port_base: 9100,
        hosts: Vec::new(),
        region: "us-east-1".into(),
        domains: Vec::new(),
        otlp_endpoint: None,
    };
    Config {
        node: NodeId(node),
        az: members()[usize::try_from(node - 1).expect("small")].az.clone(),
        data,
        api: address(node, 9002),
        peer: address(node, 9003),
        token_file: token("admin.token", ADMIN),
        machine_token_file: token("machine.token", "machine-machine-machine-machine-machine"),
        peer_token_file: Some(token("peer.token", "peer-peer-peer-peer-peer-peer-peer-peer")),
        blueprints: "../blueprints".into(),
        members: members(),
        provision: Provision { local },
        certification: CertificationConfig { key_file: token("certification.key", &"7".repeat(64)), waived: false },
        headroom: HeadroomConfig::default(),
        dns: None,
        telemetry: TelemetryConfig::default(),
        tls: None,
    }
}

async fn start(dir: &TempDir, node: u64) -> Node {
    let config = config(dir.path(), node);
    std::fs::create_dir_all(&config.data).expect("writable");
    Node::start(config, Env::for_tests(node), Metrics::detached()).await.expect("it starts")
}

fn api(nodes: &[u64]) -> Endpoints {
    let token = Token::new(ADMIN).expect("long enough");
    let addresses: Vec<_> = nodes.iter().map(|node| address(*node, 9002)).collect();
    Endpoints::new(Client::new(Some(&token), None), &addresses)
}

/// Has the leader record a cell and try to start it, which fails here.
async fn stamp(node: u64, name: &str) {
    let wanted = StampCell { name: name.parse().expect("a label"), blueprint: "dev".into(), region: None };
    let begun: Result<Operation, _> = api(&[node]).json(Method::POST, "/v1/cells", Some(&wanted), PATIENCE).await;
    let path = format!("/v1/operations/{}", begun.expect("taken up").id);
    let deadline = Clock::system().now() + PATIENCE;
    loop {
        let operation: Operation =
            api(&[node]).json(Method::GET, &path, None::<&()>, PATIENCE).await.expect("an operation");
        match operation.state {
            OperationState::Failed { why } => break assert!(why.contains("cannot be started"), "{why}"),
            OperationState::Running => assert!(Clock::system().now() < deadline, "{:?}", operation.steps),
            OperationState::Succeeded => panic!("there is nothing to start"),
        }
        tokio::task::yield_now().await;
    }
}

async fn cells(node: u64) -> Vec<CellId> {
    let listed: Result<Vec<Cell>, _> = api(&[node]).json(Method::GET, "/v1/cells", None::<&()>, PATIENCE).await;
    let mut cells: Vec<_> = listed.expect("listed").into_iter().map(|cell| cell.cell).collect();
    cells.sort();
    cells
}

/// Who leads, once `node` knows.
async fn leader(node: u64) -> NodeId {
    let deadline = Clock::system().now() + PATIENCE;
    loop {
        let status: Status =
            api(&[node]).json(Method::GET, "/v1/status", None::<&()>, PATIENCE).await.expect("a status");
        match status.leader {
            Some(leader) => return leader,
            None => assert!(Clock::system().now() < deadline, "nobody leads"),
        }
        tokio::task::yield_now().await;
    }
}

fn names(names: &[&str]) -> Vec<CellId> {
    names.iter().map(|name| name.parse().expect("a label")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_are_one_control_plane_and_any_may_be_lost() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // The others first: the first forms the group as soon as it is there.
    let mut nodes = Vec::new();
    for node in [2, 3, 1] {
        nodes.push((NodeId(node), start(&dir, node).await));
    }
    leader(1).await;
    stamp(2, "c1").await;
    for node in 1..=3 {
        assert_eq!(cells(node).await, names(&["c1"]), "as node {node} has it");
    }

    let lost = leader(1).await;
    let at = nodes.iter().position(|(node, _)| *node == lost).expect("one of the three");
    nodes.remove(at).1.stop().await;
    let survivors: Vec<u64> = nodes.iter().map(|(node, _)| node.0).collect();
    stamp(survivors[0], "c2").await;
    assert_eq!(cells(survivors[1]).await, names(&["c1", "c2"]));

    nodes.push((lost, start(&dir, lost.0).await));
    assert_eq!(cells(lost.0).await, names(&["c1", "c2"]), "as the one that was away has it");
    for (_, node) in nodes {
        node.stop().await;
    }
}

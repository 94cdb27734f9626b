//! A fleet of fakes around a real router: scripted nodes and a control plane, all over real sockets.

mod control_plane;
mod node;
mod raw;

pub use control_plane::ControlPlane;
pub use node::{Act, FakeNode, Seen};
pub use raw::{Babble, RawNode};

use bulkhead_model::{AccountId, CellId, Epoch, NodeId, RoutingTable, routing::Home, routing::NodeRoute};
use bulkhead_router::{Started, config::Config, start};
use bulkhead_service::{
    Env,
    client::{Body, Client, full},
    telemetry::Metrics,
};
use bytes::Bytes;
use http::{Method, Response, header};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

pub const PATIENCE: Duration = Duration::from_secs(20);
pub const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub const OTHER_KEY: &str = "AKIAOTHEROTHEROTHER0";

pub fn any() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

pub fn account() -> AccountId {
    AccountId::new(AccountId::FIRST).expect("in range")
}

/// A table with the one account and key at `cell`, its bucket `bucket`, and the cells given.
pub fn table(version: u64, home: (&str, u64), cells: &[(&str, &[&FakeNode])]) -> RoutingTable {
    let mut table = RoutingTable { version, ..RoutingTable::default() };
    let (cell, epoch) = home;
    table.accounts.insert(account(), Home { cell: cell.parse().expect("a label"), epoch: Epoch(epoch) });
    table.keys.insert(KEY.parse().expect("a key id"), account());
    table.buckets.insert("bucket".into(), account());
    for (cell, nodes) in cells {
        let routes = nodes.iter().zip(1..).map(|(node, id)| NodeRoute {
            node: NodeId(id),
            az: format!("az-{id}").parse().expect("a label"),
            s3: node.address,
        });
        table.cells.insert(cell.parse().expect("a label"), routes.collect());
    }
    table
}

/// Adds a second account with [`OTHER_KEY`], at a cell whose nodes are at `nodes`.
pub fn add_cell(table: &mut RoutingTable, cell: &str, nodes: &[SocketAddr]) {
    let (id, account) =
        (cell.parse::<CellId>().expect("a label"), AccountId::new(AccountId::FIRST + 1).expect("in range"));
    table.accounts.insert(account, Home { cell: id.clone(), epoch: Epoch(1) });
    table.keys.insert(OTHER_KEY.parse().expect("a key id"), account);
    let routes = nodes.iter().zip(1..).map(|(address, id)| NodeRoute {
        node: NodeId(id),
        az: format!("az-{id}").parse().expect("a label"),
        s3: *address,
    });
    table.cells.insert(id, routes.collect());
}

/// A router between clients and fakes.
pub struct Fleet {
    pub nodes: Vec<FakeNode>,
    pub control_plane: ControlPlane,
    pub router: Started,
    pub dir: TempDir,
}

impl Fleet {
    /// One cell with `nodes` nodes, which know nothing but [`Act::Store`].
    pub async fn start(nodes: usize) -> Self {
        let mut fakes = Vec::new();
        for _ in 0..nodes {
            fakes.push(FakeNode::start().await);
        }
        let routes: Vec<&FakeNode> = fakes.iter().collect();
        let control_plane = ControlPlane::start(table(1, ("c1", 1), &[("c1", &routes)])).await;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let router = router(dir.path(), control_plane.address()).await;
        Self { nodes: fakes, control_plane, router, dir }
    }

    /// Every node does `act` with its next request.
    pub fn all_next(&self, act: &Act) {
        self.nodes.iter().for_each(|node| node.next(act.clone()));
    }

    /// Every request that any node has seen.
    pub fn seen(&self) -> Vec<Seen> {
        self.nodes.iter().flat_map(FakeNode::seen).collect()
    }

    pub async fn send(&self, method: Method, target: &str, body: impl Into<Bytes>) -> Response<Bytes> {
        send(self.router.s3(), method, target, full(body.into())).await
    }
}

/// Starts a router on `dir` and waits for its table, saved or fetched.
pub async fn router(dir: &Path, control_plane: SocketAddr) -> Started {
    let token: PathBuf = dir.join("token");
    std::fs::write(&token, "t".repeat(32)).expect("writable");
    let config = Config {
        data: dir.join("data"),
        s3: any(),
        admin: any(),
        control_plane: vec![control_plane],
        control_plane_token_file: token,
        domains: vec!["localhost".into()],
        connections_per_source_max: bulkhead_router::limits::CONNECTIONS_PER_SOURCE_MAX,
        telemetry: Default::default(),
        tls: None,
    };
    let router = start(Env::for_tests(1), &config, Metrics::detached()).await.expect("a free port");
    router.table.wait_for(PATIENCE, |table| (table.version > 0).then_some(())).await.expect("a table in time");
    router
}

/// Sends a request signed (as far as a router can see) by [`KEY`].
pub async fn send(to: SocketAddr, method: Method, target: &str, body: Body) -> Response<Bytes> {
    send_as(KEY, to, method, target, body).await
}

/// Sends a request signed (as far as a router can see) by `key`.
pub async fn send_as(key: &str, to: SocketAddr, method: Method, target: &str, body: Body) -> Response<Bytes> {
    let client = Client::new(None, None);
    let mut request = client.request(method, to, target, body).expect("a target");
    let authorization = format!("AWS4-HMAC-SHA256 Credential={key}/20261120/us-east-1/s3/aws4_request, Signature=0");
    request.headers_mut().insert(header::AUTHORIZATION, authorization.parse().expect("a header value"));
    client.call(request, PATIENCE, 64 << 20).await.expect("an answer")
}

/// A raw connection to `to`.
pub async fn connect(to: SocketAddr) -> TcpStream {
    TcpStream::connect(to).await.expect("a connection")
}

/// The first lines of a raw signed request.
pub fn raw_head(method: &str, target: &str, more: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: AWS {KEY}:0\r\n{more}\r\n")
}

/// Sends `bytes` and reads until `until` has come, or the connection closes.
pub async fn talk(stream: &mut TcpStream, bytes: &[u8], until: &str) -> String {
    stream.write_all(bytes).await.expect("connected");
    let mut answer = Vec::new();
    let read = async {
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&answer).contains(until) {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(n) => answer.extend_from_slice(&buffer[..n]),
            }
        }
    };
    timeout(PATIENCE, read).await.expect("an answer in time");
    String::from_utf8_lossy(&answer).into_owned()
}

pub fn text(response: &Response<Bytes>) -> String {
    String::from_utf8_lossy(response.body()).into_owned()
}

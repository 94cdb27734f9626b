//! Three nodes of one cell on loopback, formed and ready, with one account; and the control plane's bucket names, faked.

use crate::client::{Answer, Client};
use axum::{Json, Router, routing::post};
use bulkhead_cell::{
    config::{Config, File},
    node::Node,
};
use bulkhead_model::{
    AccountId, AccountLimits, Blueprint, NodeId,
    api::{
        cell::{Form, Member, PutAccount, PutKey, PutLimits},
        control_plane::Claimed,
    },
};
use bulkhead_service::{
    Env,
    auth::Token,
    http::{self, Options},
    telemetry::{Metrics, TelemetryConfig},
};
use std::{
    net::{SocketAddr, TcpListener},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tempfile::TempDir;

const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const PATIENCE: Duration = Duration::from_secs(60);

/// A running cell. Its nodes stop when the process ends.
pub struct Cluster {
    pub env: Env,
    pub s3: Vec<SocketAddr>,
    admin: Admin,
    _nodes: Vec<Node>,
    _data: TempDir,
}

impl Cluster {
    /// Starts a cell and waits until every node is ready.
    pub async fn start() -> Self {
        let env = Env::system();
        let data = tempfile::tempdir().expect("a temporary directory");
        let names = fake_names(&env).await;
        let configs: Vec<Config> = ["az-a", "az-b", "az-c"]
            .into_iter()
            .enumerate()
            .map(|(at, az)| config(&data, at as u64 + 1, az, names))
            .collect();
        let mut nodes = Vec::new();
        for config in &configs {
            let started = Node::start(config.clone(), env.clone(), Metrics::detached()).await;
            nodes.push(started.unwrap_or_else(|error| panic!("node {}: {error}", config.file.node)));
        }
        let members = configs.iter().map(|config| Member {
            node: config.file.node,
            az: config.file.az.clone(),
            peer: config.file.peer,
        });
        let admin = Admin { env: env.clone(), address: configs[0].file.admin };
        admin.call("POST", "/admin/v1/form", &Form { members: members.collect() }).await;
        for config in &configs {
            Admin { env: env.clone(), address: config.file.admin }.ready().await;
        }
        let account = AccountId::new(AccountId::FIRST).expect("in range");
        let record = PutAccount {
            display_name: "tester".to_owned(),
            email: "tester@example.com".to_owned(),
            epoch: Default::default(),
        };
        admin.call("PUT", &format!("/admin/v1/accounts/{account}"), &record).await;
        let key = PutKey { secret_access_key: SECRET.to_owned() };
        admin.call("PUT", &format!("/admin/v1/accounts/{account}/keys/{ACCESS_KEY}"), &key).await;
        let s3 = configs.iter().map(|config| config.file.s3).collect();
        Self { env, s3, admin, _nodes: nodes, _data: data }
    }

    /// Says what the account may ask for.
    pub async fn put_limits(&self, limits: AccountLimits, version: u64) {
        let account = AccountId::new(AccountId::FIRST).expect("in range");
        let path = format!("/admin/v1/accounts/{account}/limits");
        self.admin.call("PUT", &path, &PutLimits { limits, version }).await;
    }

    /// A client of one of the nodes, with the account's key.
    pub fn client(&self, node: usize) -> Client {
        Client {
            env: self.env.clone(),
            address: self.s3[node],
            access_key: ACCESS_KEY.to_owned(),
            secret: SECRET.to_owned(),
            skew: time::Duration::ZERO,
        }
    }
}

fn token() -> Token {
    Token::new(&"t".repeat(32)).expect("long enough")
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.local_addr().expect("bound")
}

fn config(data: &TempDir, node: u64, az: &str, names: SocketAddr) -> Config {
    let unread = std::path::PathBuf::new;
    let file = File {
        cell: "c1".parse().expect("a cell id"),
        node: NodeId(node),
        az: az.parse().expect("an AZ"),
        data: data.path().join(node.to_string()),
        s3: free_address(),
        admin: free_address(),
        peer: free_address(),
        blueprint: unread(),
        admin_token_file: unread(),
        peer_token_file: unread(),
        cell_key_file: unread(),
        control_plane: vec![names],
        control_plane_token_file: unread(),
        region: "eu-test-1".to_owned(),
        domains: vec!["s3.test".to_owned()],
        drills: false,
        telemetry: TelemetryConfig::default(),
        tls: None,
    };
    let blueprint = Blueprint::parse(include_str!("../../../blueprints/dev.toml")).expect("the dev blueprint is valid");
    Config {
        file,
        blueprint,
        admin_token: token(),
        peer_token: token(),
        control_plane_token: token(),
        cell_key: [7; 32],
    }
}

/// Gives every name to whoever asks.
async fn fake_names(env: &Env) -> SocketAddr {
    static CLAIM: AtomicU64 = AtomicU64::new(1);
    let claim = || async { Json(Claimed { claim: bulkhead_model::ClaimId(CLAIM.fetch_add(1, Ordering::Relaxed)) }) };
    let routes = Router::new().route("/v1/buckets", post(claim));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let running = http::serve(env, any, Options::new("names"), routes).await.expect("loopback");
    running.address
}

struct Admin {
    env: Env,
    address: SocketAddr,
}

impl Admin {
    async fn call(&self, method: &str, target: &str, body: &impl serde::Serialize) {
        let body = serde_json::to_string(body).expect("serializable");
        let deadline = self.env.clock.now() + PATIENCE;
        loop {
            let answer = self.send(method, target, &body).await;
            if answer.status < 300 {
                return;
            }
            let late = self.env.clock.now() >= deadline;
            assert!(!late, "{method} {target}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn ready(&self) {
        self.call("GET", "/readyz", &()).await;
    }

    async fn send(&self, method: &str, target: &str, body: &str) -> Answer {
        let client = Client {
            env: self.env.clone(),
            address: self.address,
            access_key: String::new(),
            secret: String::new(),
            skew: time::Duration::ZERO,
        };
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            self.address,
            "t".repeat(32),
            body.len()
        );
        client.raw(&[head.as_bytes(), body.as_bytes()].concat()).await
    }
}

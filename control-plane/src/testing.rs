//! A control-plane node in the test's own process, with a cell whose admin API is only pretended.

use crate::{
    api::{Api, Tokens},
    cells::Cells,
    certification::Certifier,
    dns::DnsConfig,
    domain::gate::tests::{SEED, signed, statement},
    provision::local::{Local, LocalConfig, files::Surroundings, tokens},
    publish::Publisher,
    reconcile::{headroom::HeadroomConfig, watch::Watch},
    store::{Directory, apply::DirectoryMachine, command::Command, record::Certified},
};
use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    routing::{post, put},
};
use bulkhead_model::{
    AccessKeyId, AccountId, Blueprint, CellId, NodeId, SigningKey,
    api::{
        cell::{
            CellUsage, ClaimSettled, Member, NodeLoad, NodeStatus, PutAccount, PutKey, PutLimits, PutSettings,
            SettleClaim,
        },
        control_plane::{CellNode, CellState, Figures},
    },
};
use bulkhead_replica::{Replica, ReplicaConfig};
use bulkhead_service::{
    Env,
    auth::Token,
    http::{self as server, Options},
    tls::Wire,
};
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tower::ServiceExt as _;

pub const ADMIN: &str = "admin-admin-admin-admin-admin-admin";
pub const MACHINE: &str = "machine-machine-machine-machine-machine";

/// What the pretended cell was told.
#[derive(Default)]
pub struct FakeCell {
    pub accounts: BTreeSet<AccountId>,
    pub keys: BTreeMap<AccessKeyId, String>,
    pub limits: BTreeMap<AccountId, PutLimits>,
    pub settings: BTreeMap<AccountId, PutSettings>,
    /// What it says that it holds, beside its accounts.
    pub usage: CellUsage,
    /// What it says that it runs; nothing by default, and then it is [`BUILD`].
    pub build: Option<String>,
    /// Buckets that exist, by name.
    pub buckets: BTreeSet<String>,
    pub settled: Vec<SettleClaim>,
    /// Its node says that it is not ready.
    pub unready: bool,
    /// Every call is answered with this instead.
    pub broken: Option<StatusCode>,
}

/// What the pretended cell runs.
pub const BUILD: &str = "0.1.0";
pub const BLUEPRINT: &str = include_str!("../../blueprints/dev.toml");

type Shared = Arc<Mutex<FakeCell>>;

/// A node and its cell `c1`. Wall time stands still until a test moves it.
pub struct World {
    pub api: Api,
    pub cell: Shared,
    router: Router,
    dir: TempDir,
    admin: SocketAddr,
}

impl World {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let env = Env::for_tests(1);
        let directory = Directory::new(replica(&dir, &env).await, env.clone());
        let cell = Shared::default();
        let running = server::serve(&env, loopback(), Options::new("fake cell"), routes(Arc::clone(&cell)));
        let admin = running.await.expect("a free port").address;
        let clock = env.clock.clone();
        std::fs::write(dir.path().join("dev.toml"), BLUEPRINT).expect("writable");
        let api = Api {
            cells: Cells::new(
                directory.clone(),
                tokens::Tokens::new(dir.path().join("cells")),
                Wire::Plain,
                env.clone(),
            ),
            publisher: Arc::new(Publisher::new()),
            local: provisioner(dir.path(), &env),
            certifier: Certifier::with_key(SigningKey::from_seed(&SEED).verifying(), false, clock.clone()),
            watch: Watch::new(clock),
            headroom: HeadroomConfig::default(),
            dns: None,
            directory,
            env: env.clone(),
            node: NodeId(1),
            blueprints: dir.path().into(),
            wake: Arc::default(),
        };
        let publisher = Arc::clone(&api.publisher).run(api.directory.clone(), env.clone());
        env.tasks.spawn("publish", publisher);
        let token = |text| Token::new(text).expect("long enough");
        let router = api.clone().router(Tokens { admin: token(ADMIN), machine: token(MACHINE) });
        let world = Self { api, cell, router, dir, admin };
        world.add_cell("c1", "us-east-1", 100).await;
        world
    }

    /// A certified cell whose admin API is the pretended one.
    pub async fn add_cell(&self, name: &str, region: &str, accounts: u64) {
        let cell: CellId = name.parse().expect("a label");
        let az = "az-a".parse().expect("a label");
        let node = CellNode { node: NodeId(1), az, s3: loopback(), admin: self.admin, peer: loopback() };
        let home = self.cells_dir().join(name);
        std::fs::create_dir_all(&home).expect("writable");
        std::fs::write(home.join("admin.token"), ADMIN).expect("writable");
        let blueprint = Blueprint::parse(BLUEPRINT).expect("valid");
        let (bytes, objects) = (blueprint.capacity.bytes, blueprint.capacity.objects);
        self.propose(Command::RequestCell {
            cell: cell.clone(),
            blueprint: "dev".into(),
            blueprint_hash: blueprint.hash(),
            region: region.into(),
            capacity: Figures { accounts, bytes, objects, requests: 0 },
        })
        .await;
        self.propose(Command::PlanCell { cell: cell.clone(), nodes: vec![node] }).await;
        for to in [CellState::Provisioning, CellState::Forming, CellState::Certifying] {
            self.advance(name, to).await;
        }
        self.certify(name, &self.certificate(name)).await;
    }

    /// Moves a cell on from whatever it is.
    pub async fn advance(&self, name: &str, to: CellState) {
        let cell: CellId = name.parse().expect("a label");
        let seen = self.record(name).since;
        self.propose(Command::AdvanceCell { cell, seen, to, note: "moved by a test".into() }).await;
    }

    /// A certificate of the pretended cell that holds.
    pub fn certificate(&self, name: &str) -> String {
        let hash = Blueprint::parse(BLUEPRINT).expect("valid").hash();
        signed(statement(&name.parse().expect("a label"), &hash, BUILD, self.api.env.clock.wall()))
    }

    /// Records a certificate as the gate does once it has admitted it.
    pub async fn certify(&self, name: &str, document: &str) {
        let parsed = bulkhead_model::Certificate::parse(document.as_bytes()).expect("a certificate").statement;
        let certified = Certified {
            blueprint_hash: parsed.blueprint_hash,
            build: parsed.build,
            digest: "d".into(),
            issued: parsed.issued,
            expires: parsed.expires,
        };
        let cell = name.parse().expect("a label");
        self.propose(Command::CertifyCell { cell, certified, document: document.into() }).await;
    }

    /// A cell's record.
    pub fn record(&self, name: &str) -> crate::store::record::Cell {
        let cell: CellId = name.parse().expect("a label");
        self.api.directory.local_cell(&cell).expect("readable").expect("requested")
    }

    pub async fn propose(&self, command: Command) {
        self.api.directory.propose(command).await.expect("accepted");
    }

    /// Holds a directory for each cell.
    pub fn cells_dir(&self) -> PathBuf {
        self.dir.path().join("cells")
    }

    /// Lets wall time pass.
    pub fn pass(&self, time: Duration) {
        self.api.env.clock.set_wall(self.api.env.clock.wall().plus(time));
    }

    /// The API from now on, with these names published.
    pub fn publish_names(&mut self, dns: DnsConfig) {
        let token = |text| Token::new(text).expect("long enough");
        self.api.dns = Some(Arc::new(dns));
        self.router = self.api.clone().router(Tokens { admin: token(ADMIN), machine: token(MACHINE) });
    }

    /// Calls the API with the admin token.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.call_as(Some(ADMIN), method, path, body).await
    }

    pub async fn call_as(
        &self,
        token: Option<&str>,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        self.send(token, &[], method, path, body).await
    }

    /// Calls the API with more headers.
    pub async fn call_with(
        &self,
        token: &str,
        headers: &[(&str, &str)],
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        self.send(Some(token), headers, method, path, body).await
    }

    async fn send(
        &self,
        token: Option<&str>,
        headers: &[(&str, &str)],
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = request.body(body).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// What a machine gets that asks for `path` as `accept`, and is answered just that.
    pub async fn bytes_as(&self, accept: &str, path: &str) -> Vec<u8> {
        let authorization = format!("Bearer {MACHINE}");
        let request = Request::get(path).header(header::AUTHORIZATION, authorization).header(header::ACCEPT, accept);
        let request = request.body(Body::empty()).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes() == accept.as_bytes()));
        response.into_body().collect().await.expect("a body").to_bytes().to_vec()
    }
}

async fn replica(dir: &TempDir, env: &Env) -> Replica {
    let (node, az, peer) = (NodeId(1), "az-a".parse().expect("a label"), loopback());
    let config = ReplicaConfig {
        dir: dir.path().join("directory"),
        node,
        az,
        peer,
        cache_bytes: 1 << 20,
        checkpoint_log_bytes: 1 << 24,
        peer_token: None,
        wire: Default::default(),
    };
    let az = config.az.clone();
    let replica = Replica::open(config, Arc::new(DirectoryMachine), env.clone()).await.expect("a new directory");
    replica.form(&[Member { node, az, peer }]).await.expect("formed");
    replica
}

/// A provisioner whose programs are not there: what it starts fails.
fn provisioner(dir: &std::path::Path, env: &Env) -> Local {
    let config = LocalConfig {
        dir: dir.join("cells"),
        run: dir.join("run"),
        binaries: dir.join("nothing"),
        port_base: 9100,
        hosts: Vec::new(),
        region: "us-east-1".into(),
        domains: Vec::new(),
        otlp_endpoint: None,
    };
    let rng = env.rng.clone();
    let machine_token_file = dir.join("machine.token");
    let surroundings = Surroundings { control_plane: Vec::new(), machine_token_file, tls: None, rng };
    Local::new(config, surroundings, dir.into(), dir.join("certification.key"))
}

fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn routes(cell: Shared) -> Router {
    let account = put(put_account).delete(delete_account);
    let key = put(put_key).delete(delete_key);
    Router::new()
        .route("/admin/v1/accounts/{account}", account)
        .route("/admin/v1/accounts/{account}/keys/{key}", key)
        .route("/admin/v1/accounts/{account}/limits", put(put_limits))
        .route("/admin/v1/accounts/{account}/settings", put(put_settings))
        .route("/admin/v1/status", axum::routing::get(status))
        .route("/admin/v1/load", axum::routing::get(load))
        .route("/admin/v1/claims/settle", post(settle))
        .with_state(cell)
}

/// The answer to a call that does this to the cell, unless the cell is broken.
fn done(cell: &Shared, act: impl FnOnce(&mut FakeCell)) -> StatusCode {
    let mut cell = cell.lock();
    if let Some(status) = cell.broken {
        return status;
    }
    act(&mut cell);
    StatusCode::NO_CONTENT
}

async fn put_settings(
    State(cell): State<Shared>,
    Path(account): Path<AccountId>,
    axum::Json(body): axum::Json<PutSettings>,
) -> StatusCode {
    done(&cell, |cell| {
        cell.settings.insert(account, body);
    })
}

async fn status(State(cell): State<Shared>) -> axum::Json<NodeStatus> {
    let cell = cell.lock();
    axum::Json(NodeStatus {
        cell: "c1".parse().expect("a label"),
        node: NodeId(1),
        az: "az-a".parse().expect("a label"),
        blueprint_hash: String::new(),
        build: cell.build.clone().unwrap_or_else(|| BUILD.into()),
        ready: !cell.unready,
        waits_for: Vec::new(),
        leader: Some(NodeId(1)),
        term: 1,
        applied: 1,
        members: Vec::new(),
        learners: Vec::new(),
        wiped: false,
        missing_copies: Some(0),
        usage: cell.usage,
    })
}

async fn load() -> axum::Json<NodeLoad> {
    axum::Json(NodeLoad {
        node: NodeId(1),
        isolation: true,
        limit_units: 1,
        held_units: 0,
        queued: 0,
        admitted: 0,
        refused: BTreeMap::new(),
        accounts: Vec::new(),
    })
}

async fn put_account(
    State(cell): State<Shared>,
    Path(account): Path<AccountId>,
    axum::Json(_): axum::Json<PutAccount>,
) -> StatusCode {
    done(&cell, |cell| {
        cell.accounts.insert(account);
    })
}

async fn put_limits(
    State(cell): State<Shared>,
    Path(account): Path<AccountId>,
    axum::Json(body): axum::Json<PutLimits>,
) -> StatusCode {
    done(&cell, |cell| {
        cell.limits.insert(account, body);
    })
}

async fn delete_account(State(cell): State<Shared>, Path(account): Path<AccountId>) -> StatusCode {
    done(&cell, |cell| {
        cell.accounts.remove(&account);
        cell.keys.clear();
    })
}

async fn put_key(
    State(cell): State<Shared>,
    Path((_, key)): Path<(AccountId, AccessKeyId)>,
    axum::Json(body): axum::Json<PutKey>,
) -> StatusCode {
    done(&cell, |cell| {
        cell.keys.insert(key, body.secret_access_key);
    })
}

async fn delete_key(State(cell): State<Shared>, Path((_, key)): Path<(AccountId, AccessKeyId)>) -> StatusCode {
    done(&cell, |cell| {
        cell.keys.remove(&key);
    })
}

async fn settle(
    State(cell): State<Shared>,
    axum::Json(question): axum::Json<SettleClaim>,
) -> Result<axum::Json<ClaimSettled>, StatusCode> {
    let mut cell = cell.lock();
    if let Some(status) = cell.broken {
        return Err(status);
    }
    let exists = cell.buckets.contains(&question.bucket);
    cell.settled.push(question);
    Ok(axum::Json(if exists { ClaimSettled::Exists } else { ClaimSettled::Absent }))
}

//! Starts a cell of three nodes on free ports below a temporary directory.

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::{delete, post},
};
use bulkhead_cell::{
    chunks::{
        ChunkStore, LocalConfig, Topology,
        disk::{Disk, RealDisk},
    },
    meta::{
        apply::Index,
        command::{Command, Condition, EtagMatch},
        index::{IndexHandle, Origin},
        record::{Account, ContentHeaders},
    },
    names,
    ops::{Caller, Cell, OpError, body::Body, create_bucket, get_object, put_object},
    peer,
};
use bulkhead_model::{
    AccountId, Blueprint, ClaimId, Epoch, NodeId, RequestId,
    api::{
        cell::Member,
        control_plane::{ClaimBucket, Claimed},
        error::ApiError,
    },
};
use bulkhead_replica::{Replica, ReplicaConfig};
use bulkhead_service::{
    Env,
    auth::Token,
    client::{Client, Endpoints},
};
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use parking_lot::Mutex;
use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::net::TcpListener;

const BLUEPRINT: &str = include_str!("../../../blueprints/dev.toml");
const TOKEN: &str = "a-token-that-only-these-tests-know";
/// Extents are preallocated, and a test fills few of them.
pub const EXTENT_BYTES: u64 = 32 << 20;
/// Nothing here takes that long unless something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// A formed cell with two accounts.
pub struct TestCell {
    pub nodes: Vec<TestNode>,
    env: Env,
    _dir: TempDir,
}

/// One node, with an environment of its own so that it can be stopped alone.
pub struct TestNode {
    pub cell: Cell,
    pub env: Env,
    member: Member,
    replica: Replica,
}

/// The first or the second account.
pub fn account(n: u64) -> AccountId {
    AccountId::new(AccountId::FIRST + n).expect("in range")
}

impl TestCell {
    /// Starts and forms a cell, and creates the accounts.
    pub async fn start() -> Self {
        Self::start_on(|_, dir| Arc::new(RealDisk::open(dir).expect("a fresh directory"))).await
    }

    /// The same, with the chunks of each node on the disk that `disk` gives for it.
    pub async fn start_on(disk: impl Fn(u64, &std::path::Path) -> Arc<dyn Disk>) -> Self {
        let mut blueprint = Blueprint::parse(BLUEPRINT).expect("the dev blueprint is valid");
        blueprint.sizes.extent_bytes = EXTENT_BYTES;
        let env = Env::system();
        let dir = TempDir::new().expect("a temporary directory");
        let names = control_plane(&env).await;
        let mut nodes = Vec::new();
        for n in 1..=3 {
            let disk = disk(n, &dir.path().join(n.to_string()).join("chunks"));
            nodes.push(TestNode::start(n, &dir, disk, &blueprint, names).await);
        }
        let members: Vec<_> = nodes.iter().map(|node| node.member.clone()).collect();
        nodes[0].replica.form(&members).await.expect("three fresh nodes form a group");
        for node in &nodes {
            node.cell.chunks.set_topology(Topology::new(members.clone()));
        }
        let cell = Self { nodes, env, _dir: dir };
        cell.wait_ready().await;
        for n in 1..=2 {
            cell.create_account(account(n)).await;
        }
        cell
    }

    /// A caller with a fresh request id.
    pub fn caller(&self, n: u64) -> Caller {
        Caller {
            account: account(n),
            request: RequestId(self.env.rng.u128()),
            routed: None,
            deadline: self.env.clock.now() + PATIENCE,
            pass: None,
        }
    }

    /// The calls of node `n`, modulo 3.
    pub fn node(&self, n: usize) -> &Cell {
        &self.nodes[n % self.nodes.len()].cell
    }

    /// Creates a bucket of the first account.
    pub async fn bucket(&self, name: &str) {
        let request = create_bucket::Request { bucket: name.into(), location: None };
        create_bucket::run(self.node(0), &self.caller(1), request).await.expect("a new bucket");
    }

    /// Puts an object through node `n`.
    pub async fn put(&self, n: usize, key: &str, body: Bytes) -> Result<put_object::Response, OpError> {
        self.put_as(&self.caller(1), n, key, body).await
    }

    /// Puts an object through node `n`, under the caller's request id.
    pub async fn put_as(
        &self,
        caller: &Caller,
        n: usize,
        key: &str,
        body: Bytes,
    ) -> Result<put_object::Response, OpError> {
        put_object::run(self.node(n), caller, put_request(key, body)).await
    }

    /// Reads an object through node `n`.
    pub async fn get(&self, n: usize, key: &str) -> Result<Bytes, OpError> {
        let response = get_object::run(self.node(n), &self.caller(1), get_request(key)).await?;
        let body = collect(response.body).await;
        assert_eq!(body.len() as u64, response.len);
        Ok(body)
    }

    async fn wait_ready(&self) {
        let deadline = self.env.clock.now() + PATIENCE;
        while !self.nodes.iter().all(|node| node.replica.status().ready) {
            assert!(self.env.clock.now() < deadline, "the cell is not ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn create_account(&self, account: AccountId) {
        let record =
            Account { display_name: format!("{account}"), email: format!("{account}@example.org"), epoch: Epoch(1) };
        let command = Command::PutAccount { account, record };
        let deadline = self.env.clock.now() + PATIENCE;
        let outcome = self.node(0).index.execute(Origin::default(), command, deadline).await;
        outcome.expect("executed").expect("a new account");
    }
}

impl TestNode {
    async fn start(n: u64, dir: &TempDir, disk: Arc<dyn Disk>, blueprint: &Blueprint, names: SocketAddr) -> Self {
        let env = Env::system();
        let sizes = &blueprint.sizes;
        let (node, az) = (NodeId(n), blueprint.topology.azs[n as usize - 1].clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let peer = listener.local_addr().expect("bound");
        let data = dir.path().join(n.to_string());
        let token = Token::new(TOKEN).expect("long enough");
        let config = ReplicaConfig {
            dir: data.join("index"),
            node,
            az: az.clone(),
            peer,
            cache_bytes: sizes.index_cache_bytes,
            checkpoint_log_bytes: sizes.checkpoint_log_bytes,
            peer_token: Some(token.clone()),
            wire: Default::default(),
        };
        let machine = Arc::new(Index::new(blueprint.capacity.clone()));
        let replica = Replica::open(config, machine, env.clone()).await.expect("a fresh replica");
        let config = LocalConfig { node, extent_bytes: sizes.extent_bytes, chunk_bytes: sizes.chunk_bytes };
        let remote = peer::PeerClient::new(Client::new(Some(&token), None), env.clock.clone());
        let chunks = ChunkStore::open(config, disk, Arc::new(remote), env.clone()).await.expect("fresh");
        let index = IndexHandle::new(replica.clone(), env.clone(), node);
        let endpoints = Endpoints::new(Client::new(Some(&token), None), &[names]);
        let names = names::Names::new(endpoints, env.clock.clone());
        let chunk_routes = peer::routes(chunks.clone(), env.clock.clone(), Arc::new([token]));
        serve(&env, listener, replica.peer_api().merge(chunk_routes));
        let cell = Cell::new(index, chunks, names, env.clone(), sizes);
        Self { cell, env, member: Member { node, az, peer }, replica }
    }

    /// Whether this node leads.
    pub fn leads(&self) -> bool {
        self.replica.is_leader()
    }

    /// Takes the node away: it serves and answers nobody any more.
    pub async fn stop(&self) {
        self.replica.shutdown().await;
        self.env.tasks.shutdown(PATIENCE).await;
    }
}

/// Hands out claims; a name belongs to whoever claims it first, until that claim is released.
async fn control_plane(env: &Env) -> SocketAddr {
    let names = Arc::new(Mutex::new(Claims::default()));
    let api = Router::new()
        .route("/v1/buckets", post(claim_name))
        .route("/v1/buckets/{bucket}", delete(release_name))
        .with_state(names);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    serve(env, listener, api);
    address
}

#[derive(Default)]
struct Claims {
    last: u64,
    taken: HashMap<String, (AccountId, ClaimId)>,
}

type Names = Arc<Mutex<Claims>>;

async fn claim_name(
    State(names): State<Names>,
    Json(claim): Json<ClaimBucket>,
) -> Result<Json<Claimed>, (StatusCode, Json<ApiError>)> {
    let mut names = names.lock();
    names.last += 1;
    let next = ClaimId(names.last);
    let (owner, id) = *names.taken.entry(claim.bucket).or_insert((claim.account, next));
    if owner == claim.account {
        Ok(Json(Claimed { claim: id }))
    } else {
        Err((StatusCode::CONFLICT, Json(ApiError { code: "conflict".into(), message: "taken".into() })))
    }
}

#[derive(serde::Deserialize)]
struct Release {
    claim: ClaimId,
}

async fn release_name(
    State(names): State<Names>,
    Path(bucket): Path<String>,
    Query(release): Query<Release>,
) -> StatusCode {
    names.lock().taken.retain(|name, (_, claim)| *name != bucket || *claim != release.claim);
    StatusCode::NO_CONTENT
}

fn serve(env: &Env, listener: TcpListener, api: Router) {
    let stopping = env.tasks.stopping();
    env.tasks.spawn("test server", async move {
        tokio::select! {
            served = axum::serve(listener, api) => served.expect("the listener works"),
            () = stopping.cancelled() => {}
        }
    });
}

/// Bytes that differ from chunk to chunk.
pub fn bytes(len: usize) -> Bytes {
    (0..len).map(|at| (at / 7 + at % 251) as u8).collect()
}

pub async fn collect(body: bulkhead_cell::ops::egress::ReadStream) -> Bytes {
    let append = |mut all: BytesMut, piece: Bytes| async move {
        all.extend_from_slice(&piece);
        Ok(all)
    };
    body.try_fold(BytesMut::new(), append).await.expect("readable to the end").freeze()
}

/// A PUT into the bucket `bucket`.
pub fn put_request(key: &str, body: Bytes) -> put_object::Request {
    put_object::Request {
        bucket: "bucket".into(),
        key: key.into(),
        headers: ContentHeaders::default(),
        condition: Condition::default(),
        body: Body::from_bytes(body),
    }
}

/// A GET from the bucket `bucket`.
pub fn get_request(key: &str) -> get_object::Request {
    get_object::Request {
        bucket: "bucket".into(),
        key: key.into(),
        range: None,
        part_number: None,
        conditions: Default::default(),
    }
}

/// Only if there is no object.
pub fn if_absent() -> Condition {
    Condition { if_match: None, if_none_match: Some(EtagMatch::Any) }
}

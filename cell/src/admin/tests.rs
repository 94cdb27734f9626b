//! The admin API over a real replica of one node.

#![expect(clippy::disallowed_methods, reason = "json! unwraps inside")]

use super::*;
use crate::{
    admit::Admission,
    chunks::{LocalConfig, disk::FaultyDisk, remote::Loopback},
    meta::apply::Index,
};
use axum::body::Body;
use bulkhead_model::{
    AccountId, ClaimId,
    api::{
        cell::{AccountUsage, ClaimSettled, DiskCondition, NodeStatus, NodeStorage},
        error::ApiError,
    },
    blueprint::Capacity,
};
use bulkhead_replica::{Replica, ReplicaConfig};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::json;
use tempfile::TempDir;
use tower::ServiceExt as _;

const TOKEN: &str = "a-token-of-more-than-32-characters";
const ACCOUNT: &str = "/admin/v1/accounts/100000000001";
const KEY: &str = "/admin/v1/accounts/100000000001/keys/AKIAIOSFODNN7EXAMPLE";

struct Node {
    admin: Admin,
    app: Router,
    _dir: TempDir,
}

impl Node {
    /// A node of a cell that has no group yet.
    async fn fresh() -> Self {
        let (env, dir) = (Env::for_tests(1), TempDir::new().expect("a temporary directory"));
        let config = ReplicaConfig {
            dir: dir.path().to_owned(),
            node: NodeId(1),
            az: "az-a".parse().expect("a label"),
            peer: "127.0.0.1:1".parse().expect("an address"),
            cache_bytes: 8 << 20,
            checkpoint_log_bytes: 64 << 20,
            peer_token: None,
            wire: Default::default(),
        };
        let machine = Arc::new(Index::new(Capacity::holding(1 << 30, 1_000, 1)));
        let replica = Replica::open(config, machine, env.clone()).await.expect("a fresh directory");
        let index = IndexHandle::new(replica, env.clone(), NodeId(1));
        let local = LocalConfig { node: NodeId(1), extent_bytes: 1 << 20, chunk_bytes: 64 << 10 };
        let disk = Arc::new(FaultyDisk::new(1, 1 << 40));
        let chunks = ChunkStore::open(local, disk, Arc::new(Loopback::default()), env.clone()).await.expect("empty");
        let waiting = index.clone();
        let poison = Poison::open(&dir.path().join("poison"), NodeId(1), env.clock.clone()).expect("writable");
        let admin = Admin {
            identity: Identity {
                cell: "c1".parse().expect("a label"),
                node: NodeId(1),
                az: "az-a".parse().expect("a label"),
                blueprint_hash: "hash".into(),
                build: "build".into(),
            },
            index,
            chunks,
            figures: Arc::default(),
            admission: Admission::new(env.clock.clone(), true),
            cell_key: CellKey::new([7; 32]),
            account_limits: Limits::default(),
            poison,
            drill: Drill::open(dir.path(), false, env.clock.clone()),
            env,
            waits: Arc::new(move || match waiting.replica().status().ready {
                true => Vec::new(),
                false => vec!["the group to be formed".into()],
            }),
        };
        let tokens = Arc::new([Token::new(TOKEN).expect("long enough")]);
        let app = routes(admin.clone(), tokens, Metrics::detached());
        Self { admin, app, _dir: dir }
    }

    /// A node that is a whole cell.
    async fn formed() -> Self {
        let node = Self::fresh().await;
        let members = json!({ "members": [{ "node": 1, "az": "az-a", "peer": "127.0.0.1:1" }] });
        for _ in 0..2 {
            let (status, body) = node.call(Method::POST, "/admin/v1/form", Some(members.clone())).await;
            assert_eq!(status, StatusCode::NO_CONTENT, "{}", String::from_utf8_lossy(&body));
        }
        assert!(node.admin.index.replica().wait_ready(node.admin.deadline()).await, "one node needs no other");
        node
    }

    async fn call(&self, method: Method, path: &str, body: Option<serde_json::Value>) -> (StatusCode, Vec<u8>) {
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {TOKEN}")).body(body).expect("a request");
        self.send(request).await
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Vec<u8>) {
        let response = self.app.clone().oneshot(request).await.expect("infallible");
        let status = response.status();
        (status, response.into_body().collect().await.expect("a whole body").to_bytes().to_vec())
    }

    async fn put_account(&self, path: &str, epoch: u64) -> (StatusCode, Vec<u8>) {
        let body = json!({ "display_name": "n", "email": "n@example.com", "epoch": epoch });
        self.call(Method::PUT, path, Some(body)).await
    }
}

fn code(body: &[u8]) -> String {
    serde_json::from_slice::<ApiError>(body).expect("an error body").code
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_names_what_it_waits_for_until_its_group_is_formed() {
    let node = Node::fresh().await;
    let (status, body) = node.call(Method::GET, "/admin/v1/status", None).await;
    assert_eq!(status, StatusCode::OK);
    let known: NodeStatus = serde_json::from_slice(&body).expect("a status");
    assert_eq!((known.ready, known.waits_for), (false, vec!["the group to be formed".to_owned()]));
    let open = Request::get("/readyz").body(Body::empty()).expect("a request");
    assert_eq!(node.send(open).await.0, StatusCode::SERVICE_UNAVAILABLE);

    let node = Node::formed().await;
    let (_, body) = node.call(Method::GET, "/admin/v1/status", None).await;
    let known: NodeStatus = serde_json::from_slice(&body).expect("a status");
    assert_eq!((known.ready, known.leader, known.members.len()), (true, Some(NodeId(1)), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_and_its_key_come_and_go() {
    let node = Node::formed().await;
    assert_eq!(node.call(Method::GET, ACCOUNT, None).await.0, StatusCode::NOT_FOUND);
    for _ in 0..2 {
        assert_eq!(node.put_account(ACCOUNT, 2).await.0, StatusCode::NO_CONTENT);
        let body = json!({ "secret_access_key": "the secret" });
        assert_eq!(node.call(Method::PUT, KEY, Some(body)).await.0, StatusCode::NO_CONTENT);
    }
    let (_, body) = node.call(Method::GET, ACCOUNT, None).await;
    let usage: AccountUsage = serde_json::from_slice(&body).expect("an account");
    assert_eq!((usage.display_name.as_str(), usage.epoch.0, usage.buckets), ("n", 2, 0));

    let key = "AKIAIOSFODNN7EXAMPLE".parse().expect("twenty characters");
    let view = node.admin.index.read(node.admin.deadline()).await.expect("one node");
    let credential = view.credential(&key).expect("readable").expect("it was put");
    assert_eq!(node.admin.cell_key.open(&key, &credential).as_deref(), Ok("the secret"));

    assert_eq!(node.call(Method::DELETE, KEY, None).await.0, StatusCode::NO_CONTENT);
    for _ in 0..2 {
        assert_eq!(node.call(Method::DELETE, ACCOUNT, None).await.0, StatusCode::NO_CONTENT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_says_why_by_status_and_code() {
    let node = Node::formed().await;
    assert_eq!(node.put_account(ACCOUNT, 2).await.0, StatusCode::NO_CONTENT);
    let other = "/admin/v1/accounts/100000000002";
    let (status, body) = node.put_account(other, 1).await;
    assert_eq!((status, code(&body).as_str()), (StatusCode::INSUFFICIENT_STORAGE, "full"));
    let (status, body) = node.put_account(ACCOUNT, 1).await;
    assert_eq!((status, code(&body).as_str()), (StatusCode::CONFLICT, "conflict"), "an epoch goes back");
    let (status, body) = node.put_account("/admin/v1/accounts/12", 1).await;
    assert_eq!((status, code(&body).as_str()), (StatusCode::BAD_REQUEST, "invalid"), "not an account id");
    let (status, body) = node.call(Method::PUT, KEY, Some(json!({ "secret_access_key": "s", "more": 1 }))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(!String::from_utf8_lossy(&body).contains("more"), "a body is not repeated");
    let open = Request::get(ACCOUNT).body(Body::empty()).expect("a request");
    assert_eq!(node.send(open).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_settled_by_what_the_cell_has() {
    let node = Node::formed().await;
    assert_eq!(node.put_account(ACCOUNT, 1).await.0, StatusCode::NO_CONTENT);
    let owner: AccountId = "100000000001".parse().expect("twelve digits");
    let create = Command::CreateBucket { name: "here".into(), owner, claim: ClaimId(3), location: None };
    node.admin.execute(create).await.expect("the name is free");
    for (bucket, settled) in [("here", ClaimSettled::Exists), ("gone", ClaimSettled::Absent)] {
        let body = json!({ "bucket": bucket, "account": owner, "claim": 3 });
        let (status, body) = node.call(Method::POST, "/admin/v1/claims/settle", Some(body)).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(serde_json::from_slice::<ClaimSettled>(&body).expect("an answer"), settled, "{bucket}");
    }
    let late = Command::CreateBucket { name: "gone".into(), owner, claim: ClaimId(3), location: None };
    assert!(node.admin.execute(late).await.is_err(), "the claim is fenced");
}

#[tokio::test(flavor = "multi_thread")]
async fn blob_ids_never_repeat_and_a_closed_epoch_is_followed_by_another() {
    let node = Node::formed().await;
    let (index, deadline) = (&node.admin.index, node.admin.deadline());
    index.rotate_epoch(deadline).await.expect("one node");
    let first = index.lease_blob(deadline).await.expect("an epoch is open").blob();
    let second = index.lease_blob(deadline).await.expect("an epoch is open").blob();
    assert_eq!((first.epoch, first.number + 1), (second.epoch, second.number));
    index.epoch_closed(second.epoch);
    let third = index.lease_blob(deadline).await.expect("one node").blob();
    assert!(third.epoch > second.epoch);
    let view = index.read(deadline).await.expect("one node");
    assert_eq!(view.epoch_is_open(second.epoch).ok(), Some(false));
    assert_eq!(view.epoch_is_open(third.epoch).ok(), Some(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_tells_how_its_chunks_are() {
    let node = Node::formed().await;
    let missing = crate::chunks::ChunkId { blob: 7, index: 0 };
    node.admin.chunks.lacks_here(missing);
    node.admin.figures.scrub(|scrub| scrub.damaged = 2);
    let (status, body) = node.call(Method::GET, "/admin/v1/storage", None).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
    let storage: NodeStorage = serde_json::from_slice(&body).expect("a node's storage");
    assert_eq!((storage.node, storage.missing, storage.repair_backlog), (NodeId(1), 1, 1));
    assert_eq!((storage.scrub.damaged, storage.chunks, storage.disk.full), (2, 0, false));
    assert_eq!(storage.disk.condition, DiskCondition::Healthy);
}

#[tokio::test]
async fn limits_are_put_and_shown_with_the_cell_s_defaults() {
    let node = Node::formed().await;
    let limits = format!("{ACCOUNT}/limits");
    let put = |writes: u64, version: u64| Some(json!({ "limits": { "write_requests": writes }, "version": version }));
    let (status, body) = node.call(Method::PUT, &limits, put(50, 1)).await;
    assert_eq!((status, code(&body).as_str()), (StatusCode::NOT_FOUND, "not_found"), "no account is made of limits");
    node.put_account(ACCOUNT, 1).await;
    assert_eq!(node.call(Method::PUT, &limits, put(50, 1)).await.0, StatusCode::NO_CONTENT);
    assert_eq!(node.call(Method::PUT, &limits, put(0, 2)).await.0, StatusCode::BAD_REQUEST);
    let (_, body) = node.call(Method::GET, ACCOUNT, None).await;
    let shown: AccountUsage = serde_json::from_slice(&body).expect("usage");
    let expected = Limits { write_requests: 50, ..Limits::default() };
    assert_eq!((shown.limits, shown.limits_version), (expected, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_and_ballast_are_refused_on_a_node_that_is_not_marked_and_a_cell_with_a_bucket_is_not_marked() {
    let node = Node::formed().await;
    let fault = |body| node.call(Method::POST, "/admin/v1/drill/fault", Some(body));
    let ballast = || node.call(Method::PUT, "/admin/v1/drill/ballast", Some(json!({ "bytes": 1 << 30, "objects": 5 })));
    for (status, body) in
        [fault(json!("kill")).await, fault(json!({ "slow_disk": { "ms": 5 } })).await, ballast().await]
    {
        assert_eq!((status, code(&body)), (StatusCode::CONFLICT, "conflict".to_owned()));
    }
    let certify = || node.call(Method::PUT, "/admin/v1/drill", Some(json!({ "purpose": "certify", "seconds": 60 })));
    assert_eq!(certify().await.0, StatusCode::NO_CONTENT);
    assert_eq!(ballast().await.0, StatusCode::NO_CONTENT);
    let usage = node.admin.index.local().cell_usage().expect("readable");
    assert_eq!((usage.bytes, usage.objects), (1 << 30, 5));
    assert_eq!(fault(json!({ "clock_jump": { "ms": 0 } })).await.0, StatusCode::NO_CONTENT);
    assert_eq!(node.call(Method::DELETE, "/admin/v1/drill", None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(node.admin.index.local().cell_usage().expect("readable").bytes, 0);
    assert_eq!(fault(json!("mend")).await.0, StatusCode::CONFLICT);

    assert_eq!(node.put_account(ACCOUNT, 1).await.0, StatusCode::NO_CONTENT);
    let owner = AccountId::new(100_000_000_001).expect("twelve digits");
    let command = Command::CreateBucket { name: "b".into(), owner, claim: ClaimId(1), location: None };
    node.admin.execute(command).await.expect("there is room");
    let (status, body) = certify().await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(String::from_utf8_lossy(&body).contains("the cell has 1 buckets"));
}

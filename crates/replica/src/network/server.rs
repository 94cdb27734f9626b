//! The answering side: what peers may call, as an axum router.
//!
//! Anything that goes wrong inside consensus is answered with 503 and a reason; only `/raft/propose` and
//! `/raft/read-index` distinguish more.

use super::{TO, path, wire};
use crate::{
    identity,
    limits::{FORWARD_DEFAULT, PEER_BODY_BYTES_MAX},
    pace::Paces,
    propose::Leading,
    snapshot::{self, Checkpoints},
    types::Raft,
};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
};
use bulkhead_model::headers;
use bulkhead_service::{
    auth::{self, Token},
    telemetry::trace_context,
};
use bytes::Bytes;
use futures::TryStreamExt;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt::Display,
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio_util::io::StreamReader;
use tracing::Instrument;

/// What the calls work on.
pub(crate) struct Served {
    pub node: u64,
    pub life: u64,
    pub raft: Raft,
    pub leading: Leading,
    pub checkpoints: Arc<Checkpoints>,
    pub paces: Arc<Paces>,
    /// A peer called for an earlier life of this node, whose data are gone.
    pub called_for_earlier_life: AtomicBool,
}

impl Served {
    /// Whether this node's group knows it in an earlier life only.
    pub fn is_wiped(&self) -> bool {
        self.called_for_earlier_life.load(Ordering::Relaxed)
    }
}

type Node = State<Arc<Served>>;

/// Why a call was not done.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

/// All calls of peers. With a token, calls that do not show it are answered 401.
pub(crate) fn router(served: Arc<Served>, token: Option<Token>) -> Router {
    let calls = Router::new()
        .route(path::APPEND, post(append))
        .route(path::VOTE, post(vote))
        .route(path::PRE_VOTE, post(pre_vote))
        .route(path::SNAPSHOT, post(install))
        .route(path::READ_INDEX, post(read_index))
        .route(path::PROPOSE, post(propose))
        .route(path::TRANSFER_LEADER, post(transfer_leader))
        .route(path::PACE, post(pace))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&served), meant_for_this_node))
        .route(path::IDENTITY, post(identity))
        .with_state(served);
    match token {
        Some(token) => calls.route_layer(middleware::from_fn_with_state(Arc::from([token]), auth::require)),
        None => calls,
    }
}

async fn meant_for_this_node(State(node): Node, request: Request, next: Next) -> Response {
    let meant = request.headers().get(TO).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let this = identity::address(node.node, node.life);
    if meant == this {
        return next.run(request).await;
    }
    let same_node = meant.split_once('/').is_some_and(|(id, _)| id == node.node.to_string());
    if same_node && !node.called_for_earlier_life.swap(true, Ordering::Relaxed) {
        tracing::error!(meant, this, "the data of this node are gone: it takes no part and must be replaced");
    }
    Refused(StatusCode::MISDIRECTED_REQUEST, format!("this is node {this}")).into_response()
}

async fn identity(State(node): Node) -> Result<Bytes, Refused> {
    let clock = node.leading.env.clock.machine();
    wire::encode(&node.leading.gate.identity(node.node, node.life, clock)).map_err(unavailable)
}

async fn append(State(node): Node, request: Request) -> Result<Bytes, Refused> {
    answer(request, |question| async move { node.raft.append_entries(question).await }).await
}

async fn vote(State(node): Node, request: Request) -> Result<Bytes, Refused> {
    answer(request, |question| async move { node.raft.vote(question).await }).await
}

async fn pre_vote(State(node): Node, request: Request) -> Result<Bytes, Refused> {
    answer(request, |question| async move { node.raft.pre_vote(question).await }).await
}

async fn transfer_leader(State(node): Node, request: Request) -> Result<Bytes, Refused> {
    answer(request, |question| async move { node.raft.handle_transfer_leader(question).await }).await
}

/// How fast this node is, and finds its peers.
async fn pace(State(node): Node) -> Result<Bytes, Refused> {
    wire::encode(&node.paces.report(node.node)).map_err(unavailable)
}

/// The position a reader must have applied, confirmed by a majority after this call came in. Only of the leader.
async fn read_index(State(node): Node, request: Request) -> Result<Bytes, Refused> {
    answer(request, |()| async move { node.leading.confirm_position().await }).await
}

async fn propose(State(node): Node, request: Request) -> Result<Bytes, Refused> {
    let span = tracing::info_span!("raft.propose.forwarded");
    trace_context::set_parent(&span, request.headers());
    let patience = patience(request.headers());
    let command = body(request).await?;
    let answer = node.leading.answer(command, patience).instrument(span).await;
    wire::encode(&answer).map_err(unavailable)
}

async fn install(State(node): Node, request: Request) -> Result<Bytes, Refused> {
    let stream = TryStreamExt::map_err(request.into_body().into_data_stream(), io::Error::other);
    let (vote, saved) = snapshot::receive(&node.checkpoints, &node.leading.env.tasks, StreamReader::new(stream))
        .await
        .map_err(unavailable)?;
    tracing::info!(applied = ?saved.applied().last, "a checkpoint was received");
    let snapshot = openraft::Snapshot { meta: saved.meta(), snapshot: saved };
    let response = node.raft.install_full_snapshot(vote, snapshot).await.map_err(unavailable)?;
    wire::encode(&response).map_err(unavailable)
}

async fn answer<Q, A, E, F>(request: Request, work: impl FnOnce(Q) -> F) -> Result<Bytes, Refused>
where
    Q: DeserializeOwned,
    A: Serialize,
    E: Display,
    F: Future<Output = Result<A, E>>,
{
    let question =
        wire::decode(&body(request).await?).map_err(|error| Refused(StatusCode::BAD_REQUEST, error.to_string()))?;
    let answer = work(question).await.map_err(unavailable)?;
    wire::encode(&answer).map_err(unavailable)
}

async fn body(request: Request<Body>) -> Result<Bytes, Refused> {
    let whole = Limited::new(request.into_body(), PEER_BODY_BYTES_MAX).collect().await;
    Ok(whole.map_err(|error| Refused(StatusCode::BAD_REQUEST, error.to_string()))?.to_bytes())
}

fn patience(headers: &HeaderMap) -> Duration {
    let sent = headers.get(headers::DEADLINE).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    sent.map_or(FORWARD_DEFAULT, Duration::from_millis)
}

fn unavailable(error: impl Display) -> Refused {
    Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

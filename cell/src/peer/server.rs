//! The chunk routes of a node, for its peers.
//!
//! A body is read into memory only within the bound on all of them, and written only when it matches its CRCs. Only this node's own disk
//! is touched: a peer's call never causes another.

use super::wire;
use crate::{
    chunks::{
        ChunkId, ChunkStore, CopyError, ReadError,
        payload::{Chunk, Payload},
    },
    limits::{COPY_PATIENCE_MAX, PEER_BODY_BYTES_MAX},
};
use axum::{
    Router,
    body::Body,
    extract::{Path, Query, Request, State},
    response::{IntoResponse as _, Response},
    routing::{post, put},
};
use bulkhead_model::headers;
use bulkhead_service::{
    auth::{self, Token},
    env::Clock,
    telemetry::trace_context,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tracing::Instrument as _;

#[derive(Clone)]
struct Peer {
    store: ChunkStore,
    clock: Clock,
    /// Bytes of the bodies in memory.
    bodies: Arc<Semaphore>,
}

/// `/chunks/{blob}/{index}`: PUT and GET, for those who present one of `tokens`.
pub fn routes(store: ChunkStore, clock: Clock, tokens: Arc<[Token]>) -> Router {
    let peer = Peer { store, clock, bodies: Arc::new(Semaphore::new(PEER_BODY_BYTES_MAX)) };
    Router::new()
        .route("/chunks/{blob}/{index}", put(put_chunk).get(get_chunk))
        .route(wire::HELD_PATH, post(held))
        .route_layer(axum::middleware::from_fn_with_state(tokens, auth::require))
        .with_state(peer)
}

async fn put_chunk(
    State(peer): State<Peer>,
    Path((blob, index)): Path<(String, String)>,
    request: Request,
) -> Response {
    let span = tracing::info_span!("put_chunk", blob, index);
    // Before the span is entered: afterwards it has a trace of its own.
    trace_context::set_parent(&span, request.headers());
    let outcome = take_in(&peer, &blob, &index, request).instrument(span).await;
    match outcome {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => {
            tracing::warn!(blob, index, %error, "a chunk from a peer was not stored");
            let (status, headers) = wire::refuse_put(&error);
            (status, headers, error.to_string()).into_response()
        }
    }
}

async fn take_in(peer: &Peer, blob: &str, index: &str, request: Request) -> Result<(), CopyError> {
    let malformed = |what: &str| CopyError::Protocol(format!("{what} is missing or malformed"));
    let (head, body) = request.into_parts();
    let deadline = peer.deadline(&head.headers);
    let id = wire::chunk_id(blob, index).ok_or_else(|| malformed("the chunk's path"))?;
    let account = wire::parsed(&head.headers, headers::ACCOUNT).ok_or_else(|| malformed(headers::ACCOUNT))?;
    let crcs = wire::crcs(&head.headers).ok_or_else(|| malformed(wire::CRCS))?;
    let len: usize = wire::parsed(&head.headers, http::header::CONTENT_LENGTH.as_str())
        .ok_or_else(|| malformed("content-length"))?;
    peer.store.count_operation();
    let max = peer.store.local().chunk_bytes();
    let permits =
        u32::try_from(len).ok().filter(|len| (1..=max).contains(len)).ok_or(CopyError::Size { bytes: len, max })?;
    let stored = async {
        let _share = peer.bodies.acquire_many(permits).await.map_err(|_| CopyError::Stopping)?;
        let data = collect(body, len).await?;
        let payload = Payload::verify(data, crcs)?;
        peer.store.local().put(Chunk { id, account, payload }, deadline).await
    };
    timeout_at(deadline, stored).await.unwrap_or(Err(CopyError::Deadline))
}

/// Which of the chunks named in the body this node has.
async fn held(State(peer): State<Peer>, body: Bytes) -> Response {
    let Some(ids) = wire::ids(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    let held: Vec<_> = ids.iter().map(|id| peer.store.local().has(*id)).collect();
    wire::held_body(&held).into_response()
}

/// The whole body, of `len` bytes, in one buffer.
async fn collect(mut body: Body, len: usize) -> Result<Bytes, CopyError> {
    let broken = |why: String| CopyError::Protocol(format!("the body: {why}"));
    let mut data = Vec::with_capacity(len);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(error.to_string()))?;
        if let Some(bytes) = frame.data_ref() {
            if data.len() + bytes.len() > len {
                return Err(broken(format!("more than {len} bytes")));
            }
            data.extend_from_slice(bytes);
        }
    }
    if data.len() == len { Ok(data.into()) } else { Err(broken(format!("{} of {len} bytes", data.len()))) }
}

/// The bytes asked for; `to` is one past the last.
#[derive(Deserialize)]
struct Asked {
    from: u32,
    to: u32,
}

async fn get_chunk(
    State(peer): State<Peer>,
    Path((blob, index)): Path<(String, String)>,
    Query(Asked { from, to }): Query<Asked>,
    sent: HeaderMap,
) -> Response {
    let span = tracing::info_span!("get_chunk", blob, index);
    trace_context::set_parent(&span, &sent);
    let Some(id) = wire::chunk_id(&blob, &index) else { return StatusCode::BAD_REQUEST.into_response() };
    serve(&peer, id, from, to, &sent).instrument(span).await
}

async fn serve(peer: &Peer, id: ChunkId, from: u32, to: u32, sent: &HeaderMap) -> Response {
    peer.store.count_operation();
    match peer.store.local().read(id, from..to, peer.deadline(sent)).await {
        Ok(blocks) => {
            let mut headers = HeaderMap::new();
            headers.insert(wire::START, HeaderValue::from(blocks.start));
            headers.insert(wire::CRCS, wire::crcs_header(blocks.payload.crcs()));
            (headers, blocks.payload.data().clone()).into_response()
        }
        Err(error) => {
            if let ReadError::Missing | ReadError::Damaged(_) = error {
                peer.store.lacks_here(id);
            }
            let (status, headers) = wire::refuse_get(&error);
            (status, headers, error.to_string()).into_response()
        }
    }
}

impl Peer {
    /// Until when the caller waits.
    fn deadline(&self, sent: &HeaderMap) -> Instant {
        let stated = wire::parsed(sent, headers::DEADLINE).map_or(COPY_PATIENCE_MAX, Duration::from_millis);
        self.clock.now() + stated.min(COPY_PATIENCE_MAX)
    }
}

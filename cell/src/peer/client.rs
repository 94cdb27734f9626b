//! The other nodes' chunk stores, over HTTP.

use super::wire;
use crate::{
    chunks::{
        ChunkId, CopyError, ReadError,
        payload::{BLOCK_BYTES, Blocks, Chunk, Payload},
        remote::Remote,
    },
    limits::CHUNK_BYTES_MAX,
};
use async_trait::async_trait;
use bulkhead_model::{api::cell::Member, headers};
use bulkhead_service::{
    client::{Client, ClientError, full},
    env::Clock,
};
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode};
use std::ops::Range;
use tokio::time::Instant;

/// A refusal's text that is worth keeping, bytes.
const REASON_BYTES_MAX: usize = 200;

/// Calls the peers' `/chunks/` routes.
pub struct PeerClient {
    client: Client,
    clock: Clock,
}

impl PeerClient {
    /// `client` presents the cell's peer token.
    pub fn new(client: Client, clock: Clock) -> Self {
        Self { client, clock }
    }

    async fn call(
        &self,
        request: http::Request<bulkhead_service::client::Body>,
        deadline: Instant,
    ) -> Result<Response<Bytes>, ClientError> {
        let patience = deadline.saturating_duration_since(self.clock.now());
        self.client.call(request, patience, CHUNK_BYTES_MAX as usize).await
    }
}

#[async_trait]
impl Remote for PeerClient {
    async fn put(&self, peer: &Member, chunk: &Chunk, deadline: Instant) -> Result<(), CopyError> {
        let failed = |error: ClientError| match error {
            ClientError::TimedOut(_) => CopyError::Deadline,
            ClientError::Unreachable(why) | ClientError::Lost(why) => CopyError::Unreachable(why),
            ClientError::Unusable(_) | ClientError::Refused { .. } | ClientError::Malformed(_) => {
                CopyError::Protocol(error.to_string())
            }
        };
        let data = chunk.payload.data().clone();
        let sent = data.len();
        let mut request =
            self.client.request(Method::PUT, peer.peer, &wire::path(chunk.id), full(data)).map_err(failed)?;
        let account = HeaderValue::try_from(chunk.account.to_string()).expect("an account id is digits");
        request.headers_mut().insert(headers::ACCOUNT, account);
        request.headers_mut().insert(wire::CRCS, wire::crcs_header(chunk.payload.crcs()));
        let answer = self.call(request, deadline).await.map_err(failed)?;
        wire::put_outcome(answer.status(), answer.headers(), sent, &reason(answer.body()))
    }

    async fn get(&self, peer: &Member, id: ChunkId, range: Range<u32>, deadline: Instant) -> Result<Blocks, ReadError> {
        let path = format!("{}?from={}&to={}", wire::path(id), range.start, range.end);
        let request = self.client.request(Method::GET, peer.peer, &path, full(Bytes::new())).map_err(read_error)?;
        let answer = self.call(request, deadline).await.map_err(read_error)?;
        if answer.status() != StatusCode::OK {
            return Err(wire::get_error(answer.status(), answer.headers(), range, &reason(answer.body())));
        }
        blocks(answer).ok_or_else(|| ReadError::Protocol("bytes that do not match their CRCs".to_owned()))
    }

    async fn held(&self, peer: &Member, ids: &[ChunkId], deadline: Instant) -> Result<Vec<bool>, ReadError> {
        let body = full(wire::ids_body(ids));
        let request = self.client.request(Method::POST, peer.peer, wire::HELD_PATH, body).map_err(read_error)?;
        let answer = self.call(request, deadline).await.map_err(read_error)?;
        let held = (answer.status() == StatusCode::OK).then(|| wire::held(answer.body(), ids.len())).flatten();
        held.ok_or_else(|| ReadError::Protocol(format!("{}: {}", answer.status(), reason(answer.body()))))
    }
}

/// What a failed call means to a reader.
fn read_error(error: ClientError) -> ReadError {
    match error {
        ClientError::TimedOut(_) => ReadError::Deadline,
        ClientError::Unreachable(why) | ClientError::Lost(why) => ReadError::Unreachable(why),
        ClientError::Unusable(_) | ClientError::Refused { .. } | ClientError::Malformed(_) => {
            ReadError::Protocol(error.to_string())
        }
    }
}

fn blocks(answer: Response<Bytes>) -> Option<Blocks> {
    let (head, data) = answer.into_parts();
    let start: u32 = wire::parsed(&head.headers, wire::START)?;
    let payload = Payload::verify(data, wire::crcs(&head.headers)?).ok()?;
    (start as usize).is_multiple_of(BLOCK_BYTES).then_some(Blocks { start, payload })
}

fn reason(body: &Bytes) -> String {
    String::from_utf8_lossy(&body[..body.len().min(REASON_BYTES_MAX)]).into_owned()
}

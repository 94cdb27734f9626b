//! Calls between our own processes: pooled HTTP/1.1, a bearer token, a deadline on every call.
//!
//! Never retries a call that may have been executed: [`ClientError`] says what is known, and the caller decides.

mod carrier;
mod connector;
mod error;
mod failover;

pub use carrier::Transport;
pub use connector::{Connector, Dial, Line, Stream};
pub use error::ClientError;
pub use failover::Endpoints;

use carrier::Carrier;

use crate::{auth::Token, limits, telemetry::trace_context};
use bulkhead_model::{api::error::ApiError, headers};
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{error::Error, net::SocketAddr, sync::Arc, time::Duration};
use tracing::Span;

/// The body of a request: whole or streamed.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// A body that is at hand.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Pooled connections for bodies of another type than [`Body`]; [`Client`] has one of its own. Adds `Host` only when it is absent.
/// A connection buffers at most `buffer_bytes_max`, where it matters how much lies there for whoever does not take it.
pub fn pool<B>(connector: Connector, buffer_bytes_max: Option<usize>) -> legacy::Client<Connector, B>
where
    B: http_body::Body<Data: Send> + Send,
{
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(limits::POOL_IDLE_PATIENCE)
        .pool_max_idle_per_host(limits::POOL_IDLE_MAX);
    if let Some(bytes) = buffer_bytes_max {
        builder.http1_max_buf_size(bytes);
    }
    builder.build(connector)
}

/// A client of our own processes. Cheap to clone; clones share the pool.
#[derive(Debug, Clone)]
pub struct Client {
    carrier: Carrier,
    authorization: Option<HeaderValue>,
    scheme: &'static str,
}

impl Client {
    /// Presents `token` on every call; speaks TLS when `tls` is given.
    pub fn new(token: Option<&Token>, tls: Option<rustls::ClientConfig>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        Self {
            carrier: Carrier::Pool(Box::new(pool(Connector::network(tls), None))),
            authorization: token.map(Token::header),
            scheme,
        }
    }

    /// Presents `token` on every call; `transport` carries the calls, with no network in between.
    pub fn over(transport: Arc<dyn Transport>, token: Option<&Token>) -> Self {
        Self { carrier: Carrier::Other(transport), authorization: token.map(Token::header), scheme: "http" }
    }

    /// A request for [`Client::send`] to `path` (with its query) at `to`.
    ///
    /// # Errors
    /// [`ClientError::Unusable`] when the path is not one.
    pub fn request(
        &self,
        method: Method,
        to: SocketAddr,
        path: &str,
        body: Body,
    ) -> Result<Request<Body>, ClientError> {
        let uri = Uri::builder().scheme(self.scheme).authority(to.to_string()).path_and_query(path);
        let uri = uri.build().map_err(|error| ClientError::Unusable(format!("{path}: {error}")))?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        Ok(request)
    }

    /// Sends a request with this client's token, the deadline and the current span's trace, and returns the answer as soon as its
    /// head is there, whatever its status. The body of the answer is not covered by `patience`.
    ///
    /// # Errors
    /// When there is no answer within `patience`.
    pub async fn send(&self, mut request: Request<Body>, patience: Duration) -> Result<Response<Body>, ClientError> {
        let sent = request.headers_mut();
        if let Some(authorization) = &self.authorization {
            sent.insert(header::AUTHORIZATION, authorization.clone());
        }
        let milliseconds = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        sent.insert(headers::DEADLINE, HeaderValue::from(milliseconds));
        trace_context::inject(&Span::current(), sent);
        let carried = tokio::time::timeout(patience, self.carrier.carry(request)).await;
        carried.unwrap_or(Err(ClientError::TimedOut(patience)))
    }

    /// Sends a request and reads the whole answer, at most `answer_max` bytes, within `patience`. Any status is an answer.
    ///
    /// # Errors
    /// When the answer is not complete in time.
    pub async fn call(
        &self,
        request: Request<Body>,
        patience: Duration,
        answer_max: usize,
    ) -> Result<Response<Bytes>, ClientError> {
        let answered = async {
            let (head, body) = self.send(request, patience).await?.into_parts();
            Ok(Response::from_parts(head, whole(body, answer_max).await?))
        };
        tokio::time::timeout(patience, answered).await.unwrap_or(Err(ClientError::TimedOut(patience)))
    }

    /// As [`Client::send`], but a refusal is an error.
    ///
    /// # Errors
    /// [`ClientError::Refused`] for any status but 2xx, with the peer's own reason.
    pub async fn open(&self, request: Request<Body>, patience: Duration) -> Result<Response<Body>, ClientError> {
        let answer = self.send(request, patience).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (head, body) = answer.into_parts();
        let reason = tokio::time::timeout(patience, whole(body, limits::REFUSAL_BYTES_MAX)).await;
        let reason = reason.unwrap_or(Err(ClientError::TimedOut(patience)))?;
        read_json::<()>(head.status, &reason).and(Err(ClientError::Malformed("a refusal that is none".into())))
    }

    /// Sends `question` as JSON (or nothing) and reads the answer as JSON. An answer without a body (`204`) is read as `null`, so
    /// `A` may be `()`.
    ///
    /// # Errors
    /// [`ClientError::Refused`] for any status but 2xx, with the peer's own reason.
    pub async fn json<Q, A>(
        &self,
        method: Method,
        to: SocketAddr,
        path: &str,
        question: Option<&Q>,
        patience: Duration,
    ) -> Result<A, ClientError>
    where
        Q: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        let body = match question {
            Some(question) => serde_json::to_vec(question).map_err(|error| ClientError::Unusable(error.to_string()))?,
            None => Vec::new(),
        };
        let mut request = self.request(method, to, path, full(body))?;
        if question.is_some() {
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let answer = self.call(request, patience, limits::ANSWER_BYTES_MAX).await?;
        read_json(answer.status(), answer.body())
    }
}

/// All of a body, at most `max` bytes.
///
/// # Errors
/// [`ClientError::Lost`] when there are more, or the connection ends before.
pub async fn whole(mut body: Body, max: usize) -> Result<Bytes, ClientError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ClientError::Lost(error.to_string()))?;
        // Trailers say nothing that is needed.
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > max {
            return Err(ClientError::Lost(format!("the answer has more than {max} bytes")));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

fn read_json<A: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<A, ClientError> {
    if status.is_success() {
        let text = if body.is_empty() { b"null" } else { body };
        return serde_json::from_slice(text).map_err(|error| ClientError::Malformed(error.to_string()));
    }
    let error = serde_json::from_slice(body).unwrap_or_else(|_| ApiError {
        code: "unknown".into(),
        message: format!("{status}: {}", String::from_utf8_lossy(&body[..body.len().min(200)])),
    });
    Err(ClientError::Refused { status, error })
}

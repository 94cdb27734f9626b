//! S3 over HTTP: bytes in, typed calls of [`crate::ops`] out, and back.
//!
//! s3s parses and prints the protocol and verifies signatures. Conformance and limits are ours: what s3s would misread or
//! ignore is refused in [`front`] and [`validate`], bodies are bounded in [`body`], errors are completed in [`response`].
//! Knows no storage.

mod access;
mod api;
mod auth;
mod body;
mod bucket;
mod caller;
pub mod calls;
mod chunked;
mod convert;
mod copy;
mod delete;
mod document;
mod error;
mod front;
mod gate;
mod headers;
mod host;
mod list;
mod multipart;
mod object_read;
mod object_write;
mod record;
mod response;
mod settings;
mod sigv4;
mod stated;
mod validate;
mod when;

use crate::{limits::DOCUMENT_BYTES_MAX, meta::seal::CellKey, ops::Cell};
pub use gate::Gates;

use body::Slot;
use bulkhead_model::{CellId, NodeId};
use bytes::Bytes;
use caller::{CURRENT, RequestCx};
use document::Documents;
use futures::{FutureExt, future::BoxFuture};
use http::{Request as HttpRequest, StatusCode};
use record::Record;
use response::{Facts, RecordedBody};
use s3s::{
    HttpError, HttpResponse, S3Error, S3ErrorCode, S3Request as Request, S3Response, S3Result, StdError,
    config::{S3Config, StaticConfigProvider},
    service::{S3Service, S3ServiceBuilder},
    validation::NameValidation,
};
use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
};
use tracing::Instrument as _;

/// What a call answers.
type Reply<T> = S3Result<S3Response<T>>;

/// s3s has no way for a call to choose its status; this extension of a response does.
#[derive(Debug, Clone, Copy)]
struct StatusOverride(StatusCode);

/// What the calls need.
struct Api {
    cell: Cell,
    /// The region this cell says it is.
    region: String,
}

/// How a node presents itself.
#[derive(Debug, Clone)]
pub struct Identity {
    pub cell: CellId,
    pub node: NodeId,
    pub region: String,
    /// Base domains of virtual-host style addressing; none for path style alone.
    pub domains: Vec<String>,
}

/// The S3 API as a `tower` service, to be given to the accept loop. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Shared>);

struct Shared {
    s3: S3Service,
    cell: Cell,
    node: NodeId,
    host_id: String,
}

/// Puts the S3 API of a node together. `key` opens the secrets of access keys.
pub fn service(cell: Cell, key: CellKey, gates: Gates, identity: &Identity) -> Service {
    let mut builder = S3ServiceBuilder::new(Api { cell: cell.clone(), region: identity.region.clone() });
    let mut config = S3Config::default();
    config.xml_max_body_size = DOCUMENT_BYTES_MAX;
    // Checked in `when`, against the cell's clock and not this machine's.
    config.presigned_url_max_skew_time_secs = u32::MAX;
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.set_auth(auth::Auth { index: cell.index.clone(), key });
    let (clock, admission) = (cell.env.clock.clone(), cell.admission.clone());
    builder.set_access(access::Access { clock, gates, documents: Documents::default(), admission });
    builder.set_host(host::Domains::new(&identity.domains));
    builder.set_validation(AnyName);
    let host_id = format!("{}/{}", identity.cell, identity.node);
    Service(Arc::new(Shared { s3: builder.build(), cell, node: identity.node, host_id }))
}

/// Names are checked after the signature, in [`validate`], where the answer can say which rule a name breaks.
struct AnyName;

impl NameValidation for AnyName {
    fn validate_bucket_name(&self, _: &str) -> bool {
        true
    }
}

impl<B> tower::Service<HttpRequest<B>> for Service
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    type Response = http::Response<RecordedBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { Ok(shared.serve(request).await) })
    }
}

impl Shared {
    /// The life of a request in a cell. The only place that knows the order.
    async fn serve<B>(&self, request: HttpRequest<B>) -> http::Response<RecordedBody>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError>,
    {
        let env = &self.cell.env;
        let (mut head, body) = request.into_parts();
        let slot = Slot::park(body);
        let cx = Arc::new(RequestCx::new(env, &head.headers, slot.clone()));
        let facts = self.facts(&head, &cx);
        let declared = body::discardable(&head.headers);
        let span = record::span(&cx, &head);
        let mut record = Record::new(Arc::clone(&cx), env.clock.clone(), span.clone());
        let response = match front::check(&head) {
            Err(error) => refuse(error),
            Ok(()) => {
                head.extensions.insert(Arc::clone(&cx));
                let request = HttpRequest::from_parts(head, slot.for_s3s());
                let body = cx.body.clone();
                let call = CURRENT.scope(Arc::clone(&cx), self.s3.call(request)).instrument(span);
                let response = answered(AssertUnwindSafe(call).catch_unwind().await, &cx);
                let succeeded = response.status().is_success();
                // Before anything more is waited for that is the client's.
                if let Some(pass) = cx.pass.get() {
                    pass.end(succeeded);
                }
                if !succeeded {
                    body.discard(declared).await;
                }
                response
            }
        };
        let (response, code) = response::complete(response, &facts);
        let bodiless = facts.method == http::Method::HEAD;
        record.answered(response.status(), code);
        RecordedBody::wrap(response, record, bodiless)
    }

    fn facts(&self, head: &http::request::Parts, cx: &RequestCx) -> Facts {
        let role = if self.cell.index.replica().is_leader() { "leader" } else { "follower" };
        Facts {
            method: head.method.clone(),
            uri: head.uri.clone(),
            request_id: cx.id.to_string(),
            host_id: self.host_id.clone(),
            node: format!("{} {role}", self.node),
        }
    }
}

/// The answer, or `500` when there is none: a panic ends its request and nothing else.
fn answered(
    outcome: Result<Result<HttpResponse, HttpError>, Box<dyn std::any::Any + Send>>,
    request: &RequestCx,
) -> HttpResponse {
    match outcome {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            tracing::error!(error = %StdError::from(error), "an answer could not be written");
            refuse(S3Error::new(S3ErrorCode::InternalError))
        }
        Err(_panic) => {
            // The panic hook has told what and where.
            metrics::counter!("s3_panics_total").increment(1);
            tracing::error!(
                request_id = %request.id,
                account = request.signer.get().map(tracing::field::display),
                operation = request.call.get().map_or("unknown", |(op, _)| op.name()),
                "a request panicked, and was answered with 500"
            );
            refuse(S3Error::new(S3ErrorCode::InternalError))
        }
    }
}

fn refuse(error: S3Error) -> HttpResponse {
    let status = error.status_code().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    error.to_http_response().unwrap_or_else(|_| {
        let mut response = HttpResponse::new(s3s::Body::empty());
        *response.status_mut() = status;
        response
    })
}

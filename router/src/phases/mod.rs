//! The life of a request. The only place in the router that knows the order.

pub mod admit;
pub mod answer;
mod course;
pub mod forward;
pub mod identify;
pub mod locate;
pub mod record;

use crate::{
    Router,
    error::Fault,
    routing::Location,
    upstream::{Cell, attempt::Answer, body::Source, throttle::Counted},
};
use admit::Slots;
use answer::AnswerBody;
use bulkhead_model::{NodeId, RequestId};
use bulkhead_service::http::RequestBody;
use http::{Method, Request, Response, StatusCode, Uri};
use identify::Identity;
use std::sync::Arc;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

/// Serves one request: who, where, may it, there and back, and one record of it.
pub async fn serve(router: &Router, request: Request<RequestBody>) -> Response<AnswerBody> {
    let mut cx = RequestCx::new(router, &request);
    let span = cx.span.clone();
    async {
        let outcome = pass(router, request, &mut cx).await;
        record::run(cx, outcome)
    }
    .instrument(span)
    .await
}

async fn pass(router: &Router, request: Request<RequestBody>, cx: &mut RequestCx) -> Result<Answer, Fault> {
    let (head, body) = request.into_parts();
    identify::run(router, &head, cx)?; // who:   bucket, access key
    locate::run(router, cx).await?; // where: account -> cell, epoch
    admit::run(router, &head, &body, cx)?; // may:   method, length, slots
    let outcome = forward::run(router, head, body, cx).await; // there and back
    admit::learn(router, cx, &outcome); // for those that come after it
    outcome
}

/// What is known of a request, from its head to the end of its answer. Recorded when it is dropped, whatever became of it.
#[derive(Debug)]
pub struct RequestCx {
    pub request: RequestId,
    pub started: Instant,
    pub method: Method,
    pub uri: Uri,
    pub span: Span,
    pub identity: Identity,
    pub location: Option<Location>,
    pub cell: Option<Arc<Cell>>,
    /// Whether its account's throttle knows of it.
    pub counted: Counted,
    pub slots: Option<Slots>,
    /// Bytes of the request that were held in memory.
    pub held: u64,
    /// The body that is passed on as it comes, when there is one.
    pub source: Option<Arc<Source>>,
    pub node: Option<NodeId>,
    pub tries: u32,
    pub result: record::Outcome,
    clock: bulkhead_service::env::Clock,
}

impl RequestCx {
    fn new(router: &Router, request: &Request<RequestBody>) -> Self {
        let id = RequestId(router.env.rng.u128());
        let method = request.method().clone();
        let span = tracing::info_span!("request", request = %id, %method);
        Self {
            request: id,
            started: router.env.clock.now(),
            uri: request.uri().clone(),
            method,
            span,
            identity: Identity::default(),
            location: None,
            cell: None,
            counted: Counted::No,
            slots: None,
            held: 0,
            source: None,
            node: None,
            tries: 0,
            result: record::Outcome::default(),
            clock: router.env.clock.clone(),
        }
    }

    /// The status the client sees, once there is one.
    pub fn status(&self) -> Option<StatusCode> {
        self.result.status
    }
}

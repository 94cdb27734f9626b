//! There and back: the request to a node of its cell, again if that is safe, and the answer as soon as it begins.

use super::{
    RequestCx, admit,
    locate::{self, locate},
};
use crate::{
    Router,
    error::Fault,
    limits,
    routing::Location,
    upstream::{
        Node,
        attempt::{Answer, Failed, Payload, Template},
        body::Source,
        head,
        retry::{self, Failure},
    },
};
use bulkhead_model::NodeId;
use bulkhead_service::{
    http::{BodyError, RequestBody},
    telemetry::trace_context,
};
use bytes::Bytes;
use http::{HeaderMap, Method, request::Parts, uri::PathAndQuery};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// The phase.
///
/// # Errors
/// When no try brought an answer. [`Fault::OutcomeUnknown`] when the request may have been executed.
pub async fn run(router: &Router, head: Parts, body: RequestBody, cx: &mut RequestCx) -> Result<Answer, Fault> {
    let is_copy = head.headers.contains_key("x-amz-copy-source");
    let prefers_leader = !is_copy && is_small_write(&head.method, &body);
    let payload = read(body, cx).await?;
    let mut course = Course {
        prefers_leader,
        patience: if is_copy { limits::COPY_PATIENCE } else { limits::TRY_PATIENCE },
        until: cx.started + limits::REQUEST_PATIENCE,
        tried: Vec::new(),
        outcome_open: false,
    };
    let template = Template {
        method: head.method,
        target: head.uri.into_parts().path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/")),
        headers: prepare(head.headers, cx)?,
        payload,
    };
    course.run(router, template, cx).await
}

fn is_small_write(method: &Method, body: &RequestBody) -> bool {
    let changes = matches!(*method, Method::PUT | Method::POST | Method::DELETE);
    changes && body.size_hint().upper().is_some_and(|bytes| bytes <= limits::SMALL_WRITE_BYTES_MAX)
}

/// Reads a small body of known length, so that the request can be sent again; leaves any other with the client.
async fn read(body: RequestBody, cx: &mut RequestCx) -> Result<Payload, Fault> {
    if body.is_end_stream() {
        return Ok(Payload::Whole(Bytes::new()));
    }
    if body.size_hint().exact().is_some_and(|bytes| bytes <= limits::REPLAY_BODY_BYTES_MAX) {
        let bytes = body.collect().await.map_err(|error| clients_fault(&error))?.to_bytes();
        cx.held = bytes.len() as u64;
        return Ok(Payload::Whole(bytes));
    }
    let source = Source::new(body);
    cx.source = Some(Arc::clone(&source));
    Ok(Payload::Streamed(source))
}

fn prepare(mut headers: HeaderMap, cx: &RequestCx) -> Result<HeaderMap, Fault> {
    head::from_client(&mut headers);
    head::for_cell(&mut headers, cx.request, cx.location.as_ref().ok_or(Fault::NoHome)?);
    trace_context::inject(&cx.span, &mut headers);
    Ok(headers)
}

fn clients_fault(error: &BodyError) -> Fault {
    match error {
        BodyError::Stalled(_) => Fault::BodyStalled,
        BodyError::Broken(_) => Fault::BodyBroken,
    }
}

/// The tries of one request.
struct Course {
    prefers_leader: bool,
    /// For one try.
    patience: Duration,
    /// No try begins after this.
    until: Instant,
    tried: Vec<NodeId>,
    /// A try that brought no answer may have been executed.
    outcome_open: bool,
}

impl Course {
    async fn run(&mut self, router: &Router, mut template: Template, cx: &mut RequestCx) -> Result<Answer, Fault> {
        if let Some(cell) = &cx.cell {
            cell.budget().earn();
        }
        loop {
            let cell = Arc::clone(cx.cell.as_ref().ok_or(Fault::NoHome)?);
            let node = router.upstreams.choose(&cell, &self.tried, self.prefers_leader).ok_or(Fault::NoHome)?;
            cx.tries += 1;
            cx.node = Some(node.route.node);
            let started = router.env.clock.now();
            let attempt = template.attempt(&router.upstreams, &cell, &node, self.patience).await;
            let took = router.env.clock.now().saturating_duration_since(started);
            match attempt {
                Ok(answer) => {
                    if matches!(template.payload, Payload::Whole(_)) {
                        router.upstreams.observe(&node, took);
                    }
                    return Ok(answer);
                }
                Err(failed) => {
                    if let Payload::Streamed(source) = &template.payload
                        && let Some(error) = source.take_failure()
                    {
                        return Err(clients_fault(&error));
                    }
                    self.note(router, cx, &node, &failed, took);
                    let failure = failed.failure;
                    if !self.may_go_on(router, cx, &failed) {
                        return self.surrender(failed, cx);
                    }
                    drop(failed);
                    self.before_next(router, failure, &mut template, cx).await?;
                }
            }
        }
    }

    /// Takes note of what a failed try says about the node.
    fn note(&mut self, router: &Router, cx: &RequestCx, node: &Arc<Node>, failed: &Failed, took: Duration) {
        let Some(cell) = &cx.cell else { return };
        self.tried.push(node.route.node);
        self.outcome_open |= failed.failure.leaves_outcome_open();
        match failed.failure {
            Failure::Unreachable => {
                router.upstreams.unreachable(cell, node);
                cell.forget_leader(node.route.node);
            }
            Failure::Lost | Failure::Unsettled | Failure::NotExecuted => cell.forget_leader(node.route.node),
            Failure::TimedOut => {
                router.upstreams.observe(node, took);
                cell.forget_leader(node.route.node);
            }
            Failure::Moved => {}
        }
        let (cell, reason) = (cell.id.as_str().to_owned(), failed.failure.name());
        metrics::counter!("failed_tries", "cell" => cell, "reason" => reason).increment(1);
        tracing::debug!(node = %node.route.node, reason, detail = failed.detail, "a try failed");
    }

    /// Whether there may be another try: enough is left to send, there is time, and the cell has a retry to spend.
    fn may_go_on(&self, router: &Router, cx: &RequestCx, failed: &Failed) -> bool {
        let now = router.env.clock.now();
        let Some(cell) = &cx.cell else { return false };
        failed.remains.suffice() && now < self.until && cell.budget().spend(now)
    }

    /// Waits before the next try, and looks the account up again when it has moved.
    async fn before_next(
        &mut self,
        router: &Router,
        failure: Failure,
        template: &mut Template,
        cx: &mut RequestCx,
    ) -> Result<(), Fault> {
        if failure == Failure::Moved && self.follow(router, cx).await? {
            self.tried.clear();
            let location = cx.location.as_ref().ok_or(Fault::NoHome)?;
            head::for_cell(&mut template.headers, cx.request, location);
            return Ok(());
        }
        tokio::time::sleep(router.env.rng.jitter(retry::backoff(cx.tries))).await;
        Ok(())
    }

    /// Waits for a table that has the account elsewhere. Says whether there is one.
    async fn follow(&self, router: &Router, cx: &mut RequestCx) -> Result<bool, Fault> {
        let Some(old) = cx.location.take() else { return Ok(false) };
        router.table.ask_for_refetch();
        let elsewhere = |table: &bulkhead_model::RoutingTable| {
            locate(table, &cx.identity).ok().filter(|location: &Location| location.home != old.home)
        };
        match router.table.wait_for(limits::MOVED_PATIENCE, elsewhere).await {
            Some(location) => {
                locate::go_to(router, cx, location)?;
                admit::take_slots(router, cx)?;
                Ok(true)
            }
            None => {
                cx.location = Some(old);
                Ok(false)
            }
        }
    }

    /// The last word, when there is no further try: the cell's own if it has one and it is true of the whole request.
    fn surrender(&self, failed: Failed, cx: &RequestCx) -> Result<Answer, Fault> {
        let changes = !matches!(cx.method, Method::GET | Method::HEAD | Method::OPTIONS);
        if self.outcome_open && changes {
            return Err(Fault::OutcomeUnknown);
        }
        match (failed.failure, failed.answer) {
            (Failure::NotExecuted, Some(answer)) => Ok(answer),
            (Failure::Moved, _) => Err(Fault::NoHome),
            (
                Failure::Unreachable | Failure::Lost | Failure::TimedOut | Failure::Unsettled | Failure::NotExecuted,
                _,
            ) => Err(Fault::Unreachable),
        }
    }
}

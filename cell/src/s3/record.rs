//! What is told of each request: one structured event, counts, a latency. Once, when the answer has ended or was cut.
//!
//! Never a secret, never a key's name, never object data.

use super::caller::RequestCx;
use crate::limits::REQUEST_EVENT_SAMPLE;
use bulkhead_service::{env::Clock, telemetry::trace_context};
use http::{StatusCode, request::Parts};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tracing::Span;

/// The span of one request, a child of the sender's.
pub fn span(request: &RequestCx, head: &Parts) -> Span {
    let span =
        tracing::info_span!("s3", request_id = %request.id, method = %head.method, operation = tracing::field::Empty);
    trace_context::set_parent(&span, &head.headers);
    span
}

/// What there is to tell of one request. Told when it is dropped, if nobody has told it before.
pub struct Record {
    told: Option<Told>,
}

/// What is known of a request and its answer.
struct Told {
    request: Arc<RequestCx>,
    clock: Clock,
    span: Span,
    status: StatusCode,
    /// The S3 error code of a failure.
    code: Option<String>,
    /// When the answer's head was ready; when the request came, until then.
    answered: Instant,
    /// Bytes of the answer's body handed to the connection.
    sent: u64,
}

/// The status told of a request whose client went away before there was an answer. Never sent.
const NO_ANSWER: u16 = 499;

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Whole,
    /// The client went away.
    Dropped,
    /// The rest of the body could not be read.
    Failed,
}

impl Record {
    /// A request that has just come.
    pub fn new(request: Arc<RequestCx>, clock: Clock, span: Span) -> Self {
        let status = StatusCode::from_u16(NO_ANSWER).expect("three digits");
        let answered = request.started;
        Self { told: Some(Told { request, clock, span, status, code: None, answered, sent: 0 }) }
    }

    /// There is an answer; its body is yet to be sent.
    pub fn answered(&mut self, status: StatusCode, code: Option<String>) {
        if let Some(told) = &mut self.told {
            (told.status, told.code, told.answered) = (status, code, told.clock.now());
        }
    }

    /// So many bytes more of the answer's body went out.
    pub fn sent(&mut self, bytes: u64) {
        if let Some(told) = &mut self.told {
            told.sent += bytes;
            told.request.body.sent(bytes);
        }
    }

    /// Tells it, once.
    pub fn end(&mut self, end: End) {
        if let Some(told) = self.told.take() {
            told.tell(end);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.end(End::Dropped);
    }
}

impl Told {
    /// The name of the call, or `unknown` when the request was refused before it was known.
    fn operation(&self) -> &'static str {
        self.request.call.get().map_or("unknown", |(op, _)| op.name())
    }

    /// A request of which an event is told even though it went well, or was shed: those are counted, and telling each would cost more than refusing it.
    fn is_sampled(&self) -> bool {
        self.request.id.0.is_multiple_of(REQUEST_EVENT_SAMPLE)
    }

    fn tell(&self, end: End) {
        let _entered = self.span.enter();
        let operation = self.operation();
        let now = self.clock.now();
        let total = now - self.request.started;
        let called = self.request.call.get().map_or(self.request.started, |(_, at)| *at);
        self.span.record("operation", operation);
        metrics::counter!("s3_requests_total", "operation" => operation, "status" => self.status.as_str().to_owned())
            .increment(1);
        metrics::histogram!("s3_request_seconds", "operation" => operation).record(total.as_secs_f64());
        metrics::counter!("s3_bytes_total", "direction" => "in").increment(self.request.body.received());
        metrics::counter!("s3_bytes_total", "direction" => "out").increment(self.sent);
        let went_well = self.status.as_u16() < 400 && end == End::Whole;
        if went_well && let Some(ticket) = self.request.ticket.get() {
            ticket.executed();
        }
        macro_rules! tell {
            ($level:ident) => {
                tracing::$level!(
                    event = "request",
                    request_id = %self.request.id,
                    trace_id = trace_context::trace_id(&self.span),
                    account = self.request.signer.get().map(tracing::field::display),
                    bucket = self.request.bucket.get(),
                    operation,
                    status = self.status.as_u16(),
                    code = self.code,
                    end = ?end,
                    bytes_in = self.request.body.received(),
                    bytes_out = self.sent,
                    verify_us = micros(called - self.request.started),
                    call_us = micros(self.answered - called),
                    send_us = micros(now - self.answered),
                    total_us = micros(total),
                )
            };
        }
        let is_shed = self.status == StatusCode::SERVICE_UNAVAILABLE && self.code.as_deref() == Some("SlowDown");
        match (self.status.is_server_error() || end == End::Failed, went_well || is_shed, self.is_sampled()) {
            (true, false, _) => tell!(warn),
            (false, false, _) | (_, true, true) => tell!(info),
            (_, true, false) => tell!(debug),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

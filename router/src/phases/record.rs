//! Record: every request once, success or not, when its answer has ended or its client has gone. All are counted; of those that went well or
//! were told to come again one in so many is told as an event.
//!
//! Ids, durations and sizes only: no secrets, no object data, no keys.

use super::{RequestCx, answer::AnswerBody};
use crate::{
    error::Fault,
    limits,
    upstream::{attempt::Answer, head},
};
use http::{Response, StatusCode};
use std::time::Duration;

/// How a request ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// `None` until there is an answer.
    pub status: Option<StatusCode>,
    /// Why the router answered by itself.
    pub fault: Option<Fault>,
    /// From the head of the request to the head of the answer.
    pub answered_after: Duration,
    /// Bytes of the answer's body that were passed on.
    pub bytes: u64,
    /// The answer's body was passed on to its end.
    pub complete: bool,
    pub broken_by_cell: bool,
}

impl Outcome {
    /// One word for events and metrics.
    fn name(&self) -> &'static str {
        match (self.fault, self.status) {
            (Some(fault), _) => fault.side().name(),
            (None, None) => "client_gone",
            (None, Some(_)) if self.broken_by_cell => "cell_broke",
            (None, Some(_)) if !self.complete => "client_left",
            (None, Some(_)) => "answered",
        }
    }

    /// Went as it should, or was shed: telling each of those would cost as much as passing it on.
    fn is_usual(&self) -> bool {
        let is_good = |status: StatusCode| status.as_u16() < 400 || status == StatusCode::SERVICE_UNAVAILABLE;
        self.complete && self.status.is_some_and(is_good)
    }
}

/// The phase: turns the outcome into the answer and hands the context to its body.
pub fn run(mut cx: RequestCx, outcome: Result<Answer, Fault>) -> Response<AnswerBody> {
    cx.result.answered_after = cx.clock.now().saturating_duration_since(cx.started);
    match outcome {
        Ok(Answer { response, held }) => {
            let (mut parts, incoming) = response.into_parts();
            head::for_client(&mut parts.headers, cx.request);
            cx.result.status = Some(parts.status);
            Response::from_parts(parts, AnswerBody::passed(incoming, held, cx))
        }
        Err(fault) => {
            let (parts, bytes) = fault.response(&cx.method, cx.uri.path(), cx.request).into_parts();
            cx.result.status = Some(parts.status);
            cx.result.fault = Some(fault);
            Response::from_parts(parts, AnswerBody::made(bytes, cx))
        }
    }
}

impl Drop for RequestCx {
    fn drop(&mut self) {
        let took = self.clock.now().saturating_duration_since(self.started);
        let cell = self.location.as_ref().map_or("-", |location| location.home.cell.as_str());
        let (status, outcome) = (self.result.status.map_or(0, |status| status.as_u16()), self.result.name());
        count(cell, status, outcome, self.result.answered_after);
        let _entered = self.span.enter();
        macro_rules! tell {
            ($level:ident) => {
                tracing::$level!(
                    name: "request",
                    request = %self.request,
                    method = %self.method,
                    bucket = self.identity.bucket.as_deref(),
                    account = self.location.as_ref().map(|location| location.account.value()),
                    cell,
                    epoch = self.location.as_ref().map(|location| location.home.epoch.0),
                    node = self.node.map(|node| node.0),
                    status,
                    outcome,
                    fault = self.result.fault.map(|fault| fault.s3().1),
                    tries = self.tries,
                    bytes_in = self.held + self.source.as_ref().map_or(0, |source| source.sent()),
                    bytes_out = self.result.bytes,
                    answered_us = self.result.answered_after.as_micros() as u64,
                    took_us = took.as_micros() as u64,
                    "request"
                )
            };
        }
        match self.result.is_usual() && !self.request.0.is_multiple_of(limits::REQUEST_EVENT_SAMPLE) {
            true => tell!(debug),
            false => tell!(info),
        }
    }
}

fn count(cell: &str, status: u16, outcome: &'static str, answered_after: Duration) {
    let class = match status / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "none",
    };
    metrics::counter!("requests", "cell" => cell.to_owned(), "status" => class, "outcome" => outcome).increment(1);
    metrics::histogram!("answer_seconds", "cell" => cell.to_owned()).record(answered_after.as_secs_f64());
}

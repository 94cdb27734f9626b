//! One try: the request to one node, until its answer begins.

use super::{
    body::{Gate, Source, TryBody},
    cell::Cell,
    node::InFlight,
    pool::Upstreams,
    retry::{Failure, Remains},
};
use crate::limits;
use bulkhead_model::headers;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, uri::PathAndQuery};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::time::timeout;

/// What every try of a request has in common.
#[derive(Debug)]
pub struct Template {
    pub method: Method,
    pub target: PathAndQuery,
    pub headers: HeaderMap,
    pub payload: Payload,
}

/// The body of a request.
#[derive(Debug)]
pub enum Payload {
    /// At hand; empty when there is none.
    Whole(Bytes),
    /// Passed on as it comes.
    Streamed(Arc<Source>),
}

/// A cell's answer, with what belongs to the try that got it.
#[derive(Debug)]
pub struct Answer {
    pub response: Response<Incoming>,
    pub held: Held,
}

/// What one try holds while its answer is under way.
#[derive(Debug)]
pub struct Held {
    pub in_flight: InFlight,
    /// Gives up the rest of a streamed request when the answer has ended.
    pub gate: Option<Gate>,
}

/// A try without a usable answer.
#[derive(Debug)]
pub struct Failed {
    pub failure: Failure,
    pub remains: Remains,
    /// The cell's own words, when it had any.
    pub answer: Option<Box<Answer>>,
    pub detail: Option<String>,
    /// A retry was taken from the budget before the try was given up.
    pub paid: bool,
}

/// What became of the exchange with a node.
type Exchange = Result<Response<Incoming>, (Failure, Option<String>)>;

impl Template {
    /// Whether it reads only.
    pub fn is_read(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    /// Sends the request to the node of `in_flight` and waits for its answer to begin: for as long as the caller does when the
    /// whole request is at hand, else for as long as its body moves. The node is told that `patience` is left.
    ///
    /// # Errors
    /// When no answer began, or the cell says that it did not execute the request or does not know.
    pub async fn attempt(
        &self,
        upstreams: &Upstreams,
        cell: &Cell,
        in_flight: InFlight,
        patience: Duration,
    ) -> Result<Answer, Failed> {
        let (request, gate) = self.request(upstreams, &in_flight, patience);
        let sending = upstreams.send(request);
        let mut paid = false;
        let exchange = match &self.payload {
            Payload::Whole(_) => {
                let _owed = in_flight.owe(upstreams.uptime());
                sending.await.map_err(|error| broken(&error))
            }
            Payload::Streamed(source) => {
                let may_leave = || {
                    paid = cell.budget().spend_beside(upstreams.env.clock.now());
                    paid
                };
                while_moving(source, sending, may_leave).await
            }
        };
        let held = Held { in_flight, gate };
        match exchange {
            Ok(response) => {
                upstreams.heard(cell, &held.in_flight);
                cell.hear(held.in_flight.route.node, response.headers());
                match refusal(&response) {
                    None => Ok(Answer { response, held }),
                    Some(failure) => {
                        let (remains, held) = self.what_remains(held);
                        Err(Failed {
                            failure,
                            remains,
                            answer: Some(Box::new(Answer { response, held })),
                            detail: None,
                            paid,
                        })
                    }
                }
            }
            Err((failure, detail)) => {
                let (remains, _) = self.what_remains(held);
                Err(Failed { failure, remains, answer: None, detail, paid })
            }
        }
    }

    fn request(&self, upstreams: &Upstreams, node: &InFlight, patience: Duration) -> (Request<TryBody>, Option<Gate>) {
        let uri = Uri::builder()
            .scheme(upstreams.scheme.clone())
            .authority(node.authority.clone())
            .path_and_query(self.target.clone())
            .build()
            .expect("scheme, authority and path are all there and valid");
        let (body, gate) = match &self.payload {
            Payload::Whole(bytes) => (TryBody::Whole((!bytes.is_empty()).then(|| bytes.clone())), None),
            Payload::Streamed(source) => {
                let (gate, body) = Gate::new(source);
                (body, Some(gate))
            }
        };
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = self.headers.clone();
        // A body may move for as long as it likes; what counts from its head on is how long the cell may do nothing.
        let patience = if gate.is_some() { limits::STREAM_STALL_PATIENCE } else { patience };
        let milliseconds = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        request.headers_mut().insert(headers::DEADLINE, HeaderValue::from(milliseconds));
        if let Some(gate) = &gate {
            // Asked for even when the client did not: until the cell wants the body, the try can be repeated elsewhere.
            request.headers_mut().insert(header::EXPECT, HeaderValue::from_static("100-continue"));
            let open = gate.opener();
            hyper::ext::on_informational(&mut request, move |informed| {
                if informed.status() == StatusCode::CONTINUE {
                    open();
                }
            });
        }
        (request, gate)
    }

    /// Gives the try's body up and says what is left for another try.
    fn what_remains(&self, held: Held) -> (Remains, Held) {
        let Held { in_flight, gate } = held;
        let remains = match gate.map(Gate::abandon) {
            None => Remains::Whole,
            Some(true) => Remains::BodyUntouched,
            Some(false) => Remains::Partial,
        };
        (remains, Held { in_flight, gate: None })
    }
}

/// Waits as long as the body moves. Time that the client takes is bounded where its body is read. A node that does not ask for
/// the body is left when `may_leave` says so: it has seen the head alone.
async fn while_moving(
    source: &Source,
    sending: impl Future<Output = Result<Response<Incoming>, legacy::Error>>,
    mut may_leave: impl FnMut() -> bool,
) -> Exchange {
    let mut sending = pin!(sending);
    match timeout(limits::CONTINUE_PATIENCE, &mut sending).await {
        Ok(sent) => return sent.map_err(|error| broken(&error)),
        Err(_) if source.is_untouched() && may_leave() => return Err((Failure::TimedOut, None)),
        Err(_) => {}
    }
    loop {
        let before = source.sent();
        match timeout(limits::STREAM_STALL_PATIENCE, &mut sending).await {
            Ok(sent) => return sent.map_err(|error| broken(&error)),
            Err(_) if source.sent() == before => return Err((Failure::TimedOut, None)),
            Err(_) => {}
        }
    }
}

fn broken(error: &legacy::Error) -> (Failure, Option<String>) {
    let cause = std::error::Error::source(error);
    let is_garbled = cause.and_then(|cause| cause.downcast_ref::<hyper::Error>()).is_some_and(hyper::Error::is_parse);
    let failure = match (error.is_connect(), is_garbled) {
        (true, _) => Failure::Unreachable,
        (false, true) => Failure::Garbled,
        (false, false) => Failure::Lost,
    };
    let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
    (failure, Some(format!("{error}{cause}")))
}

/// Whether the cell says that it did not execute the request, or that it does not know.
fn refusal(response: &Response<Incoming>) -> Option<Failure> {
    match response.status() {
        StatusCode::MISDIRECTED_REQUEST => Some(Failure::Moved),
        StatusCode::SERVICE_UNAVAILABLE if response.headers().contains_key(headers::NOT_EXECUTED) => {
            Some(Failure::NotExecuted)
        }
        status if status.is_server_error() && response.headers().contains_key(headers::OUTCOME_UNKNOWN) => {
            Some(Failure::Unsettled)
        }
        _ => None,
    }
}

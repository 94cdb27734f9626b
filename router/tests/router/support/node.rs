//! A cell node that does as it is told and remembers what it saw.

use super::any;
use bulkhead_model::headers;
use bulkhead_service::{
    Env,
    http::{Options, RequestBody, Running, serve},
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    io::{Error, ErrorKind},
    net::SocketAddr,
    sync::Arc,
};
use tokio::sync::Semaphore;

/// What a node does with a request.
#[derive(Debug, Clone)]
pub enum Act {
    /// Reads the body and answers 200 with the bytes it got.
    Store,
    /// Answers without reading the body.
    Refuse(StatusCode),
    /// Says that the request was not executed, without reading the body.
    NotExecuted,
    /// Reads the body and says that it does not know whether the request was executed.
    Unsettled,
    /// Says that the account is elsewhere.
    Moved,
    /// Closes the connection without an answer, before the body.
    HangUp,
    /// Reads some of the body and closes the connection.
    HangUpMidway,
    /// Waits for a permit, then stores.
    Wait(Arc<Semaphore>),
}

/// What a node saw of one request.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    /// Bytes of the body that were read.
    pub bytes: usize,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

#[derive(Debug, Default)]
struct State {
    script: VecDeque<Act>,
    otherwise: Option<Act>,
    seen: Vec<Seen>,
    /// Not even probes are answered.
    is_dead_silent: bool,
}

pub struct FakeNode {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    running: Running,
}

impl FakeNode {
    pub async fn start() -> Self {
        Self::start_at(any()).await
    }

    pub async fn start_at(address: SocketAddr) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let handler = tower::service_fn(move |request| handle(Arc::clone(&shared), request));
        let running = serve(&Env::for_tests(2), address, Options::new("node"), handler).await.expect("a free port");
        Self { address: running.address, state, running }
    }

    /// What to do with the next request for which nothing has been said yet.
    pub fn next(&self, act: Act) {
        self.state.lock().script.push_back(act);
    }

    /// What to do when the script has ended.
    pub fn otherwise(&self, act: Act) {
        self.state.lock().otherwise = Some(act);
    }

    /// Answers nothing from now on, not even a probe.
    pub fn fall_silent(&self) {
        self.otherwise(Act::Wait(Arc::new(Semaphore::new(0))));
        self.state.lock().is_dead_silent = true;
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().seen.clone()
    }

    /// Stops listening; its address refuses connections from then on.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

async fn handle(state: Arc<Mutex<State>>, request: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Error> {
    let (head, body) = request.into_parts();
    if !head.headers.contains_key(headers::ACCOUNT) {
        // A probe. Its answer says nothing but that there is one.
        if state.lock().is_dead_silent {
            std::future::pending::<()>().await;
        }
        return Ok(answer(StatusCode::FORBIDDEN, Bytes::new()));
    }
    let (act, index) = {
        let mut state = state.lock();
        state.seen.push(Seen { method: head.method, target: head.uri.to_string(), headers: head.headers, bytes: 0 });
        let act = state.script.pop_front().or_else(|| state.otherwise.clone()).unwrap_or(Act::Store);
        (act, state.seen.len() - 1)
    };
    let gone = || Error::new(ErrorKind::ConnectionReset, "the node hangs up");
    let stored = |bytes: Bytes| {
        state.lock().seen[index].bytes = bytes.len();
        let mut response = answer(StatusCode::OK, bytes);
        response.headers_mut().insert(headers::NODE, "1 follower".parse().expect("a value"));
        response
    };
    match act {
        Act::Store => Ok(stored(body.collect().await.map_err(Error::other)?.to_bytes())),
        Act::Wait(permits) => {
            permits.acquire().await.map_err(Error::other)?.forget();
            Ok(stored(body.collect().await.map_err(Error::other)?.to_bytes()))
        }
        Act::Refuse(status) => Ok(answer(status, Bytes::from_static(b"refused by the cell"))),
        Act::NotExecuted => {
            let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, Bytes::from_static(b"the cell is busy"));
            response.headers_mut().insert(headers::NOT_EXECUTED, "1".parse().expect("a value"));
            Ok(response)
        }
        Act::Unsettled => {
            state.lock().seen[index].bytes = body.collect().await.map_err(Error::other)?.to_bytes().len();
            let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, Bytes::from_static(b"the outcome is unknown"));
            response.headers_mut().insert(headers::OUTCOME_UNKNOWN, "1".parse().expect("a value"));
            Ok(response)
        }
        Act::Moved => {
            let mut response = answer(StatusCode::MISDIRECTED_REQUEST, Bytes::new());
            response.headers_mut().insert(headers::MOVED, "2".parse().expect("a value"));
            Ok(response)
        }
        Act::HangUp => Err(gone()),
        Act::HangUpMidway => {
            let mut body = body;
            let frame = body.frame().await;
            state.lock().seen[index].bytes = frame.map_or(0, |_| 1);
            Err(gone())
        }
    }
}

fn answer(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
}

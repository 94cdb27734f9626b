//! A client's session: one target, one connection, one request at a time.

use super::{
    body::Payload,
    call::{Answer, Call},
    connection::{Connection, Sent},
    outcome::{Lost, Outcome, Refusal},
    road::{Elsewhere, Road},
    sign::{self, PayloadHash, SigningKey},
};
use crate::{
    limits::{ERROR_BYTES_MAX, REQUEST_TIMEOUT},
    tls::Tls,
};
use bulkhead_model::headers;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use serde::Deserialize;
use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// A key pair and the region its signatures name.
#[derive(Clone)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub region: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials {{ access_key_id: {}, .. }}", self.access_key_id)
    }
}

/// Where requests go, and as whom.
#[derive(Debug, Clone)]
pub struct Target {
    address: SocketAddr,
    /// Where they may go as well: the other nodes of a cell. A session keeps to one until it cannot connect there.
    others: Arc<[SocketAddr]>,
    /// The `Host` header.
    host: String,
    credentials: Credentials,
    /// The address that connections come from; `None` leaves it to the kernel.
    source: Option<IpAddr>,
    /// For nodes that speak it with routers.
    tls: Option<Tls>,
}

/// Why an endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error("the endpoint {0:?} must look like http://HOST:PORT (TLS is not spoken here)")]
    Endpoint(String),
    #[error("the endpoint's host cannot be resolved: {0}")]
    Resolve(#[from] std::io::Error),
}

impl Target {
    /// From an endpoint such as `http://127.0.0.1:9000`.
    ///
    /// # Errors
    /// When it is not of that shape or its host does not resolve.
    pub fn new(endpoint: &str, credentials: Credentials) -> Result<Self, TargetError> {
        let malformed = || TargetError::Endpoint(endpoint.to_owned());
        let host = endpoint.strip_prefix("http://").ok_or_else(malformed)?.trim_end_matches('/');
        let authority = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let address = authority.to_socket_addrs()?.next().ok_or_else(malformed)?;
        Ok(Self { address, others: Arc::default(), host: host.to_owned(), credentials, source: None, tls: None })
    }

    /// The same account at another address.
    pub fn at(&self, address: SocketAddr) -> Self {
        let (others, host) = (Arc::default(), address.to_string());
        Self { address, others, host, ..self.clone() }
    }

    /// The same, over TLS if it is given: for nodes that speak it with routers.
    pub fn over(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// The same address for another account.
    pub fn signed_by(&self, credentials: Credentials) -> Self {
        Self { credentials, ..self.clone() }
    }

    /// The same, with connections that come from `source`, an address of this machine.
    pub fn from_source(&self, source: IpAddr) -> Self {
        Self { source: Some(source), ..self.clone() }
    }

    /// The nodes of a cell, past any router. Sessions are spread over them.
    ///
    /// # Errors
    /// When there is none.
    pub fn of_nodes(nodes: &[SocketAddr], credentials: Credentials) -> Result<Self, TargetError> {
        let (address, others) = nodes.split_first().ok_or_else(|| TargetError::Endpoint("no node".into()))?;
        let (address, host) = (*address, address.to_string());
        Ok(Self { address, others: others.into(), host, credentials, source: None, tls: None })
    }

    /// The `turn`th of its addresses, in a circle.
    fn nth(&self, turn: usize) -> SocketAddr {
        match turn % (self.others.len() + 1) {
            0 => self.address,
            other => self.others[other - 1],
        }
    }

    /// As whom requests are signed.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Where its connections go.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint as S3 tools take it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.host)
    }
}

/// One client. Opens its connection when it is first needed, and again after it was lost.
pub struct Session {
    target: Arc<Target>,
    road: Road,
    connection: Option<Connection>,
    signing: SigningKey,
    hash: PayloadHash,
    timeout: Duration,
    /// Which of the target's addresses it keeps to.
    turn: usize,
}

/// Spreads sessions over the addresses of their targets.
static SESSIONS: AtomicUsize = AtomicUsize::new(0);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct ErrorDocument {
    code: String,
    message: String,
}

impl Session {
    /// A session that signs bodies as `hash` says and waits [`REQUEST_TIMEOUT`].
    pub fn new(target: Arc<Target>, hash: PayloadHash) -> Self {
        let (road, signing) = (Road::Network, SigningKey::default());
        let turn = SESSIONS.fetch_add(1, Ordering::Relaxed);
        Self { target, road, connection: None, signing, hash, timeout: REQUEST_TIMEOUT, turn }
    }

    /// Takes connections and the time from elsewhere than network and machine.
    pub fn over(mut self, elsewhere: Arc<dyn Elsewhere>) -> Self {
        self.road = Road::Elsewhere(elsewhere);
        self
    }

    /// Waits at most `timeout` for an answer, and for each piece of its body.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Where it sends requests.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// The head of a signed request as it goes over the wire, its blank line included, for clients that do not behave. It
    /// announces a body of so many bytes, if of any.
    pub fn head_text(&mut self, call: Call<'_>, announced: Option<u64>) -> String {
        let request = self.request(call);
        let mut text = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri());
        for (name, value) in request.headers().iter().filter(|(name, _)| *name != "content-length") {
            text.push_str(&format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
        }
        if let Some(bytes) = announced {
            text.push_str(&format!("content-length: {bytes}\r\n"));
        }
        text.push_str("\r\n");
        text
    }

    /// Sends one request. A status from 200 to 299 is a success; its body is still to be read.
    pub async fn call(&mut self, call: Call<'_>) -> Outcome<Answer> {
        let request = self.request(call);
        // Taken out, and put back only when the exchange went well: what is left of another exchange must never be
        // taken for the next answer.
        let connection = self.connection.take();
        let answer = match tokio::time::timeout(self.timeout, self.exchange(connection, request)).await {
            Err(_) => return Outcome::Unknown(Lost::TimedOut),
            Ok(Outcome::Ok((connection, answer))) => {
                self.connection = Some(connection);
                Answer::new(answer, self.timeout)
            }
            Ok(Outcome::Refused(refusal)) => return Outcome::Refused(refusal),
            Ok(Outcome::Unsent(why)) => return Outcome::Unsent(why),
            Ok(Outcome::Unknown(lost)) => return Outcome::Unknown(lost),
        };
        if answer.status.is_success() { Outcome::Ok(answer) } else { refusal(answer).await }
    }

    /// A connection the server has closed while it was idle is replaced once: the request was never written to it.
    async fn exchange(
        &mut self,
        connection: Option<Connection>,
        request: Request<Payload>,
    ) -> Outcome<(Connection, http::Response<hyper::body::Incoming>)> {
        let mut request = request;
        if let Some(mut connection) = connection {
            match connection.send(request).await {
                Sent::Answered(answer) => return Outcome::Ok((connection, answer)),
                Sent::Lost(lost) => return Outcome::Unknown(lost),
                Sent::NotWritten(unsent) => request = unsent,
            }
        }
        self.connect()
            .await
            .and_then(async |mut connection| match connection.send(request).await {
                Sent::Answered(answer) => Outcome::Ok((connection, answer)),
                Sent::Lost(lost) => Outcome::Unknown(lost),
                Sent::NotWritten(_) => Outcome::Unsent("a new connection was closed at once".to_owned()),
            })
            .await
    }

    /// Goes on to the next address where there is one, when nobody answers: nothing was sent yet.
    async fn connect(&mut self) -> Outcome<Connection> {
        let target = &self.target;
        for _ in 0..target.others.len() {
            match self.road.open(target.nth(self.turn), target.source, target.tls.as_ref()).await {
                Outcome::Unsent(_) => self.turn += 1,
                other => return other,
            }
        }
        self.road.open(target.nth(self.turn), target.source, target.tls.as_ref()).await
    }

    fn request(&mut self, call: Call<'_>) -> Request<Payload> {
        let target = &self.target;
        let now = self.road.wall();
        let signed = sign::sign(&call, &target.host, &target.credentials, self.hash, now, &mut self.signing);
        let query = call.query_string();
        let uri = if query.is_empty() { call.path() } else { format!("{}?{query}", call.path()) };
        let mut request = Request::builder()
            .method(&call.method)
            .uri(uri)
            .header("host", &target.host)
            .header("x-amz-date", signed.date)
            .header("x-amz-content-sha256", signed.content_sha256)
            .header("authorization", signed.authorization);
        if call.payload.is_empty() && matches!(call.method, Method::PUT | Method::POST) {
            request = request.header("content-length", "0");
        }
        for (name, value) in &call.headers {
            let value = HeaderValue::from_str(value).expect("header values are made of printable ASCII by this crate");
            request = request.header(HeaderName::from_static(name), value);
        }
        request.body(call.payload).expect("path and header values are encoded by this crate")
    }
}

async fn refusal(answer: Answer) -> Outcome<Answer> {
    let status = answer.status;
    let retry_after = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
    let not_executed = answer.header(headers::NOT_EXECUTED).is_some();
    if status == StatusCode::NOT_MODIFIED {
        let (code, message) = ("NotModified".into(), String::new());
        return Outcome::Refused(Refusal { status: 304, code, message, retry_after: None, not_executed: true });
    }
    answer
        .read(ERROR_BYTES_MAX)
        .await
        .and_then(async |body| {
            let text = String::from_utf8_lossy(&body);
            let document: ErrorDocument = quick_xml::de::from_str(&text).unwrap_or_default();
            let ErrorDocument { code, message } = document;
            Outcome::Refused(Refusal { status: status.as_u16(), code, message, retry_after, not_executed })
        })
        .await
}

//! The network between the simulated hosts: delays, losses, partitions, slow links. Messages are delivered by the world's
//! loop, one after the other.

use crate::{
    host::Up,
    line::{Connection, End},
    trace::Trace,
};
use bulkhead_service::{
    client::{Body, ClientError, Transport, full},
    env::Rng,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response, header::CONTENT_LENGTH};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};
use tokio::sync::oneshot;
use tower::ServiceExt as _;

/// A host's number: 0 is where the clients are, nodes count from 1, routers from [`ROUTERS`] on.
pub type HostId = usize;
/// Where the clients are.
pub const CLIENTS: HostId = 0;
/// Below the number of the first router.
pub const ROUTERS: HostId = 1_000;

/// How long an attempt to connect goes on, milliseconds.
pub const CONNECT_MS: u64 = 2_000;
/// Where nodes serve each other, where they serve S3, and where routers do: this and the host's number.
pub const PEER_PORT: u16 = 6_000;
pub const S3_PORT: u16 = 7_000;

/// Where a host has what it serves at a port of this kind.
pub fn address(port: u16, host: HostId) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port + u16::try_from(host).expect("few hosts")))
}

/// Whether it is a node of the cell.
pub fn is_node(host: HostId) -> bool {
    (CLIENTS + 1..=ROUTERS).contains(&host)
}

/// An answer at which a power cut is worth something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A node has voted.
    Vote,
    /// A follower has taken entries.
    Append,
    /// A node has stored a chunk.
    Chunk,
    /// A router is told that a request is done.
    Outcome,
}

/// An append of fewer bytes is a heartbeat.
const APPEND_BYTES_MIN: usize = 200;

impl Moment {
    /// What the answer to this call is.
    fn of(request: &Request<Bytes>) -> Option<Self> {
        match request.uri().path() {
            "/raft/vote" => Some(Self::Vote),
            "/raft/append" if request.body().len() >= APPEND_BYTES_MIN => Some(Self::Append),
            path if path.starts_with("/chunks/") && request.method() == Method::PUT => Some(Self::Chunk),
            _ => None,
        }
    }
}

/// Waits for an answer.
#[derive(Debug, Clone, Copy)]
pub struct Armed {
    pub moment: Moment,
    /// So many are let pass.
    pub skip: u64,
}

/// What a message does where it arrives.
pub enum Act {
    /// Begins work on a live host; `refused` is what becomes of it when there is none.
    Begin { start: Box<dyn FnOnce(&Up) + Send>, refused: Box<dyn FnOnce() + Send> },
    /// Ends a wait.
    End(Box<dyn FnOnce() + Send>),
}

pub struct Message {
    pub from: HostId,
    pub to: HostId,
    pub label: String,
    pub act: Act,
    /// Bytes of a connection arrive in the order in which they were sent, or not at all: the connection, and which of its ends sends.
    pub of: Option<(Arc<Connection>, End)>,
}

/// The state of the network.
pub struct Net {
    pub now: u64,
    sequence: u64,
    rng: Rng,
    queue: BTreeMap<(u64, u64), Message>,
    /// Directions in which nothing passes.
    pub blocked: BTreeSet<(HostId, HostId)>,
    /// Directions that take longer, and by how much at most, milliseconds.
    pub slow: BTreeMap<(HostId, HostId), u64>,
    /// Of a thousand messages, how many break their connection.
    pub loss: u64,
    /// What is waited for, and between whom it was seen: who answered, and who had asked.
    pub armed: Option<Armed>,
    pub seen: Option<(HostId, HostId)>,
    /// Connections that were begun.
    connections: u64,
    /// When the last bytes of each direction of a connection arrive.
    last: BTreeMap<(u64, End), u64>,
    /// Machines without power, and connections whose other ends have not heard of it.
    dark: BTreeMap<HostId, Vec<(Arc<Connection>, End)>>,
    /// Checkpoints that were sent whole.
    pub checkpoints: u64,
    /// Sent into a partition: nobody hears of them until it ends.
    stuck: Vec<Message>,
    pub trace: Trace,
}

/// The network, shared by everything that sends.
#[derive(Clone)]
pub struct Wires(pub Arc<Mutex<Net>>);

impl Wires {
    pub fn new(rng: Rng, trace: Trace) -> Self {
        Self(Arc::new(Mutex::new(Net {
            now: 0,
            sequence: 0,
            rng,
            queue: BTreeMap::new(),
            blocked: BTreeSet::new(),
            slow: BTreeMap::new(),
            loss: 0,
            armed: None,
            seen: None,
            connections: 0,
            last: BTreeMap::new(),
            dark: BTreeMap::new(),
            checkpoints: 0,
            stuck: Vec::new(),
            trace,
        })))
    }

    pub fn note(&self, event: impl std::fmt::Display) {
        let net = &mut *self.0.lock();
        net.trace.note(net.now, event);
    }

    /// Sends a message, or loses it.
    pub fn send(&self, message: Message) {
        let lost = self.0.lock().send(message);
        // Dropped without the lock: whoever waits for it may send at once.
        drop(lost);
    }

    /// Sends a message that takes so many milliseconds, whatever the network does.
    pub fn send_late(&self, message: Message, delay: u64) {
        self.0.lock().enqueue(message, delay);
    }

    /// The number of a new connection.
    pub fn connection(&self) -> u64 {
        let net = &mut *self.0.lock();
        net.connections += 1;
        net.connections
    }

    /// A machine has lost its power: nobody hears of it.
    pub fn darken(&self, host: HostId) {
        self.0.lock().dark.entry(host).or_default();
    }

    /// A machine has power again: who sends it more on a connection of its former life is told that there is none.
    pub fn lighten(&self, host: HostId) {
        let orphans = self.0.lock().dark.remove(&host).unwrap_or_default();
        for (connection, end) in orphans {
            connection.break_at(end);
        }
    }

    /// The end of a connection at `host` is dropped. Says whether the other one does not hear of it, as there is no power.
    pub fn is_orphan(&self, host: HostId, connection: &Arc<Connection>, other: End) -> bool {
        let net = &mut *self.0.lock();
        let Some(orphans) = net.dark.get_mut(&host) else { return false };
        orphans.push((Arc::clone(connection), other));
        true
    }

    /// An answer of this kind is given.
    pub fn moment(&self, moment: Moment, from: HostId, to: HostId) {
        let net = &mut *self.0.lock();
        let Some(armed) = net.armed.as_mut().filter(|armed| armed.moment == moment) else { return };
        if armed.skip > 0 {
            armed.skip -= 1;
        } else {
            net.armed = None;
            net.seen = Some((from, to));
        }
    }

    /// The next message that is due.
    pub fn due(&self) -> Option<Message> {
        let net = &mut *self.0.lock();
        let first = net.queue.first_entry().filter(|first| first.key().0 <= net.now)?;
        let message = first.remove();
        net.trace.note(net.now, format_args!("{} -> {}: {}", message.from, message.to, message.label));
        Some(message)
    }

    /// All directions pass again. Of the connections that hung some go on and others are broken; what is no connection's is lost.
    pub fn heal(&self) {
        let lost = {
            let net = &mut *self.0.lock();
            net.blocked.clear();
            net.slow.clear();
            net.loss = 0;
            let stuck = std::mem::take(&mut net.stuck);
            let mut goes_on: BTreeMap<u64, bool> = BTreeMap::new();
            let mut lost = Vec::new();
            for message in stuck {
                let number = message.of.as_ref().map(|(connection, _)| connection.number);
                let goes = number.is_some_and(|number| *goes_on.entry(number).or_insert_with(|| net.rng.below(2) == 0));
                lost.extend(if goes { net.send(message) } else { net.lose(message) });
            }
            lost
        };
        // Dropped without the lock: whoever waited may send at once.
        drop(lost);
    }
}

impl Net {
    /// Sends a message. One that is lost is given back, to be dropped by whoever does not hold this.
    fn send(&mut self, message: Message) -> Option<Message> {
        let link = (message.from, message.to);
        if message.of.as_ref().is_some_and(|(connection, _)| connection.is_torn()) {
            return Some(message);
        }
        if self.blocked.contains(&link) {
            self.trace.note(self.now, format_args!("into a partition: {}", message.label));
            // The connection is not made, or hangs.
            match message.act {
                Act::Begin { refused, .. } if self.rng.below(2) == 0 => {
                    let label = format!("not connected: {}", message.label);
                    let (from, to) = (message.to, message.from);
                    let message = Message { from, to, label, act: Act::End(refused), of: None };
                    self.enqueue(message, CONNECT_MS);
                }
                act => self.stuck.push(Message { act, ..message }),
            }
            return None;
        }
        if self.rng.below(1_000) < self.loss {
            return self.lose(message);
        }
        let slow = self.slow.get(&link).map_or(0, |most| self.rng.below(*most));
        let delay = 1 + self.rng.below(3) + slow;
        self.enqueue(message, delay);
        None
    }

    /// Loses a message, and with it the connection that it belongs to.
    fn lose(&mut self, message: Message) -> Option<Message> {
        self.trace.note(self.now, format_args!("lost: {}", message.label));
        if let Some((connection, _)) = &message.of
            && connection.tear()
        {
            for end in End::BOTH {
                let (from, to) = (connection.host(end.other()), connection.host(end));
                let (label, broken) = (format!("#{} breaks", connection.number), Arc::clone(connection));
                let act = Act::End(Box::new(move || broken.break_at(end)));
                self.enqueue(Message { from, to, label, act, of: None }, 1);
            }
        }
        Some(message)
    }

    fn enqueue(&mut self, message: Message, delay: u64) {
        self.sequence += 1;
        let mut due = self.now + delay;
        if let Some((connection, end)) = &message.of {
            let last = self.last.entry((connection.number, *end)).or_default();
            due = due.max(*last);
            *last = due;
        }
        self.queue.insert((due, self.sequence), message);
    }
}

/// A host's way to the others: carries the calls of its HTTP client.
pub struct Uplink {
    pub host: HostId,
    pub wires: Wires,
}

type Answer = oneshot::Sender<Result<Response<Bytes>, ClientError>>;

impl Transport for Uplink {
    fn carry(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, ClientError>> {
        let (from, wires) = (self.host, self.wires.clone());
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(|error| ClientError::Lost(error.to_string()))?.to_bytes();
            // As an HTTP client does for a body that is at hand.
            let mut head = head;
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            let (answer, wait) = oneshot::channel();
            wires.call(from, Request::from_parts(head, body), answer);
            let answered = wait.await.unwrap_or_else(|_| Err(ClientError::Lost("the connection broke".into())));
            Ok(answered?.map(full))
        })
    }
}

impl Wires {
    fn call(&self, from: HostId, request: Request<Bytes>, answer: Answer) {
        let to = HostId::from(request.uri().port_u16().unwrap_or(PEER_PORT) - PEER_PORT);
        let label = format!("{} {}", request.uri().path(), digest(request.body()));
        let slot = Arc::new(Mutex::new(Some(answer)));
        let (wires, of) = (self.clone(), Arc::clone(&slot));
        let start = Box::new(move |up: &Up| {
            let Some(answer) = of.lock().take() else { return };
            match up.parts.get() {
                Some(parts) => {
                    let router = parts.router.clone();
                    up.runtime.spawn(wires.serve(router, request, (to, from), answer));
                }
                None => wires.answer((to, from), answer, Err(ClientError::Unreachable("it is starting".into()))),
            }
        });
        let refused = Box::new(move || {
            // Whoever asked may be gone.
            if let Some(answer) = slot.lock().take() {
                drop(answer.send(Err(ClientError::Unreachable("refused".into()))));
            }
        });
        self.send(Message { from, to, label, act: Act::Begin { start, refused }, of: None });
    }

    async fn serve(self, router: axum::Router, request: Request<Bytes>, link: (HostId, HostId), answer: Answer) {
        let (moment, is_checkpoint) = (Moment::of(&request), request.uri().path() == "/raft/snapshot");
        let served = router.oneshot(request.map(axum::body::Body::from)).await;
        let response = match served {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (head, body) = response.into_parts();
        let result = match body.collect().await {
            Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
            Err(error) => Err(ClientError::Lost(error.to_string())),
        };
        if result.as_ref().is_ok_and(|response| response.status().is_success()) {
            if let Some(moment) = moment {
                self.moment(moment, link.0, link.1);
            }
            self.0.lock().checkpoints += u64::from(is_checkpoint);
        }
        self.answer(link, answer, result);
    }

    fn answer(&self, (from, to): (HostId, HostId), answer: Answer, result: Result<Response<Bytes>, ClientError>) {
        let label = match &result {
            Ok(response) => format!("{} {}", response.status(), digest(response.body())),
            Err(error) => error.to_string(),
        };
        let end = Box::new(move || drop(answer.send(result)));
        self.send(Message { from, to, label, act: Act::End(end), of: None });
    }
}

/// Names bytes in the trace.
pub fn digest(bytes: &[u8]) -> String {
    format!("{} bytes {}", bytes.len(), hex::encode(&blake3::hash(bytes).as_bytes()[..6]))
}

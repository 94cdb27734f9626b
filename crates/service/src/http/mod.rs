//! The accept loop of every server: HTTP/1.1 with bounded connections, heads, waiting and drain.
//!
//! A handler is a `tower` service over [`RequestBody`]: an axum `Router` and s3s's service both are. The peer's address is in the
//! request's extensions as [`Peer`]. Knows nothing of what is served.

mod body;
mod connection;
mod framing;
mod guard;
mod pace;
mod sources;

pub use body::{BodyError, RequestBody};

use crate::{Env, limits, tls::Wire};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use sources::Sources;
use std::{error::Error, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

/// The address a request came from, in its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// How a listener serves. The bounds are those of [`limits`]; a test may tighten them.
#[derive(Debug, Clone)]
pub struct Options {
    /// For logs and metrics: `s3`, `admin`, `peer`, `api`.
    pub name: &'static str,
    pub connections_max: usize,
    /// Connections of one source address; the next is closed as soon as it is accepted.
    pub connections_per_source_max: usize,
    pub head_patience: Duration,
    pub idle_patience: Duration,
    pub stall_patience: Duration,
    /// How far a client may fall behind the least pace, both ways, in the time that is spent waiting for it.
    pub slow_grace: Duration,
    pub bytes_per_second_min: u64,
    pub drain_patience: Duration,
    /// Speak TLS with this configuration.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

impl Options {
    /// Plain HTTP with the bounds of [`limits`].
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            connections_max: limits::CONNECTIONS_MAX,
            // Among our own processes one source may well be the only one: a listener for outsiders sets less.
            connections_per_source_max: limits::CONNECTIONS_MAX,
            head_patience: limits::HEAD_PATIENCE,
            idle_patience: limits::IDLE_PATIENCE,
            stall_patience: limits::STALL_PATIENCE,
            slow_grace: limits::SLOW_GRACE,
            bytes_per_second_min: limits::BYTES_PER_SECOND_MIN,
            drain_patience: limits::DRAIN_PATIENCE,
            tls: None,
        }
    }

    /// For our own processes only, when they speak mutual TLS.
    #[must_use]
    pub fn over(self, wire: &Wire) -> Self {
        Self { tls: wire.server(), ..self }
    }
}

/// What a server asks of its handler. Implemented for every `tower` service that fits.
pub trait Handler<B>:
    Service<Request<RequestBody>, Response = Response<B>, Future: Send, Error: Into<Boxed>>
    + Clone
    + Send
    + Sync
    + Unpin
    + 'static
where
    B: Body<Data = Bytes, Error: Into<Boxed>> + Send + 'static,
{
}

impl<S, B> Handler<B> for S
where
    S: Service<Request<RequestBody>, Response = Response<B>, Future: Send, Error: Into<Boxed>>
        + Clone
        + Send
        + Sync
        + Unpin
        + 'static,
    B: Body<Data = Bytes, Error: Into<Boxed>> + Send + 'static,
{
}

/// Any error of a handler or of its body; the connection ends with it.
pub type Boxed = Box<dyn Error + Send + Sync>;

/// A server that accepts connections.
#[derive(Debug)]
pub struct Running {
    name: &'static str,
    /// Where it listens; tells the port when it was bound to port 0.
    pub address: SocketAddr,
    stop: CancellationToken,
    connections: TaskTracker,
}

impl Running {
    /// Stops accepting, lets the requests in flight end within the server's patience, and waits for that.
    pub async fn stop(self) {
        self.stop.cancel();
        self.connections.wait().await;
        tracing::info!(server = self.name, "drained");
    }
}

/// Listens on `address` and serves until [`Running::stop`], or until all tasks of `env` are told to stop.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve<S, B>(env: &Env, address: SocketAddr, options: Options, handler: S) -> std::io::Result<Running>
where
    S: Handler<B>,
    B: Body<Data = Bytes, Error: Into<Boxed>> + Send + 'static,
{
    let listener = TcpListener::bind(address).await?;
    let running = Running {
        name: options.name,
        address: listener.local_addr()?,
        stop: env.tasks.stopping().child_token(),
        connections: TaskTracker::new(),
    };
    tracing::info!(server = running.name, address = %running.address, "listening");
    let accepting = Accepting {
        env: env.clone(),
        slots: Arc::new(Semaphore::new(options.connections_max)),
        sources: Sources::new(options.connections_per_source_max),
        options: Arc::new(options),
        stop: running.stop.clone(),
        connections: running.connections.clone(),
    };
    env.tasks.spawn("accept", running.connections.track_future(accepting.run(listener, handler)));
    Ok(running)
}

/// Serves one connection that somebody else has accepted from `peer`, until it ends or all tasks of `env` are told to stop. No bound on
/// the number of connections holds for it, and there is no TLS on it.
pub async fn serve_connection<IO, S, B>(env: &Env, io: IO, peer: SocketAddr, options: &Options, handler: S)
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Handler<B>,
    B: Body<Data = Bytes, Error: Into<Boxed>> + Send + 'static,
{
    connection::serve(io, Peer(peer), handler, options, &env.clock, &env.tasks.stopping()).await;
}

/// Counts a connection as long as it is open, also when what serves it panics.
struct Counted(metrics::Gauge);

impl Counted {
    fn new(open: metrics::Gauge) -> Self {
        open.increment(1);
        Self(open)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1);
        if std::thread::panicking() {
            metrics::counter!("connection_panics_total").increment(1);
        }
    }
}

struct Accepting {
    env: Env,
    slots: Arc<Semaphore>,
    sources: Sources,
    options: Arc<Options>,
    stop: CancellationToken,
    connections: TaskTracker,
}

impl Accepting {
    async fn run<S, B>(self, listener: TcpListener, handler: S)
    where
        S: Handler<B>,
        B: Body<Data = Bytes, Error: Into<Boxed>> + Send + 'static,
    {
        let open = metrics::gauge!("connections", "server" => self.options.name);
        let refused = metrics::counter!("connections_refused", "server" => self.options.name);
        while let Some((stream, peer, slot)) = self.next(&listener).await {
            let Some(source) = self.sources.enter(peer.ip()) else {
                refused.increment(1);
                continue;
            };
            let (options, stop, handler, open) =
                (Arc::clone(&self.options), self.stop.clone(), handler.clone(), open.clone());
            let clock = self.env.clock.clone();
            let connection = async move {
                let counted = Counted::new(open);
                connection::run(stream, Peer(peer), handler, &options, &clock, &stop).await;
                drop((counted, slot, source));
            };
            self.env.tasks.spawn("connection", self.connections.track_future(connection));
        }
        self.connections.close();
    }

    /// The next connection, once there is a slot for it; `None` when the server is to stop.
    async fn next(&self, listener: &TcpListener) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
        let accepted = async {
            let slot = Arc::clone(&self.slots).acquire_owned().await.expect("the semaphore is never closed");
            loop {
                match listener.accept().await {
                    Ok((stream, peer)) => return (stream, peer, slot),
                    Err(error) => {
                        tracing::warn!(server = self.options.name, %error, "a connection could not be accepted");
                        tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        self.stop.run_until_cancelled(accepted).await
    }
}

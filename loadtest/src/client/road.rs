//! What a session takes from its surroundings: connections and the time. The network's and the machine's, or somebody else's.

use super::{connection::Connection, outcome::Outcome};
use crate::{clock, limits::CONNECT_TIMEOUT, tls::Tls};
use futures::future::BoxFuture;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// Takes the place of network and machine.
pub trait Elsewhere: Send + Sync {
    /// Opens a connection.
    ///
    /// # Errors
    /// When there is none: nothing was sent.
    fn connect(&self, to: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Line>>>;

    /// The time for signatures.
    fn wall(&self) -> time::OffsetDateTime;
}

/// A connection that somebody else opened.
pub trait Line: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

/// Either of them.
#[derive(Clone)]
pub(super) enum Road {
    Network,
    Elsewhere(Arc<dyn Elsewhere>),
}

impl Road {
    /// Connects, on the network from `source` and over `tls` if they are given, without waiting longer than [`CONNECT_TIMEOUT`] for
    /// either.
    pub async fn open(&self, to: SocketAddr, source: Option<IpAddr>, tls: Option<&Tls>) -> Outcome<Connection> {
        let unsent = |why: &dyn std::fmt::Display| Outcome::Unsent(format!("cannot connect to {to}: {why}"));
        match self {
            Self::Network => match timeout(CONNECT_TIMEOUT, dial(to, source)).await {
                Err(_) => unsent(&"no answer"),
                Ok(Err(error)) => unsent(&error),
                Ok(Ok(stream)) => match (stream.set_nodelay(true), tls) {
                    (Ok(()), None) => Connection::over(stream, to).await,
                    (Ok(()), Some(tls)) => match tls.over(stream, to).await {
                        Ok(stream) => Connection::over(stream, to).await,
                        Err(error) => unsent(&error),
                    },
                    (Err(error), _) => Outcome::Unsent(format!("cannot set TCP_NODELAY: {error}")),
                },
            },
            Self::Elsewhere(elsewhere) => match timeout(CONNECT_TIMEOUT, elsewhere.connect(to)).await {
                Err(_) => unsent(&"no answer"),
                Ok(Err(error)) => unsent(&error),
                Ok(Ok(line)) => Connection::over(line, to).await,
            },
        }
    }

    /// The time for signatures.
    pub fn wall(&self) -> time::OffsetDateTime {
        match self {
            Self::Network => clock::wall(),
            Self::Elsewhere(elsewhere) => elsewhere.wall(),
        }
    }
}

async fn dial(to: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let Some(source) = source else { return TcpStream::connect(to).await };
    let socket = if source.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(to).await
}

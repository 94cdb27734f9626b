//! Where the connections of a pool come from: a network, or somebody who opens them in place of one.

use crate::{limits, tls};
use futures::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector},
    rt::TokioIo,
};
use std::{
    error::Error,
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// Opens connections in place of a network.
pub trait Dial: Send + Sync {
    /// Opens a connection to the host and port of `to`.
    ///
    /// # Errors
    /// When there is none: nothing was sent.
    fn dial(&self, to: &Uri) -> BoxFuture<'static, io::Result<Box<dyn Line>>>;
}

/// A connection that somebody else opened.
pub trait Line: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

/// Opens connections: over TCP without delay, and TLS on them for `https`; or has somebody else open them.
#[derive(Clone)]
pub enum Connector {
    Network(HttpsConnector<HttpConnector>),
    Other(Arc<dyn Dial>),
}

impl Connector {
    /// Over the network. Speaks TLS to whom `https` names, with `tls`.
    pub fn network(tls: Option<rustls::ClientConfig>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limits::CONNECT_PATIENCE));
        tcp.enforce_http(false);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls.unwrap_or_else(tls::no_client))
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Self::Network(https)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network(_) => "Network",
            Self::Other(_) => "Other",
        })
    }
}

type Boxed = Box<dyn Error + Send + Sync>;

impl tower::Service<Uri> for Connector {
    type Response = Stream;
    type Error = Boxed;
    type Future = BoxFuture<'static, Result<Stream, Boxed>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Boxed>> {
        match self {
            Self::Network(network) => network.poll_ready(cx),
            Self::Other(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        match self {
            Self::Network(network) => {
                let connecting = network.call(to);
                Box::pin(async move { Ok(Stream::Network(Box::new(connecting.await?))) })
            }
            Self::Other(other) => {
                let connecting = other.dial(&to);
                Box::pin(async move { Ok(Stream::Other(TokioIo::new(connecting.await?))) })
            }
        }
    }
}

/// An open connection of either kind.
pub enum Stream {
    /// With TLS it is large, and a pool holds many of either.
    Network(Box<MaybeHttpsStream<TokioIo<TcpStream>>>),
    Other(TokioIo<Box<dyn Line>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Network(stream) => stream.connected(),
            Self::Other(_) => Connected::new(),
        }
    }
}

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Network(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Other(line) => Pin::new(line).poll_read(cx, buffer),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Network(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Other(line) => Pin::new(line).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Network(stream) => Pin::new(stream).poll_flush(cx),
            Self::Other(line) => Pin::new(line).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Network(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Other(line) => Pin::new(line).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Network(stream) => stream.is_write_vectored(),
            Self::Other(line) => line.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Network(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Other(line) => Pin::new(line).poll_write_vectored(cx, pieces),
        }
    }
}

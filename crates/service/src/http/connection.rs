//! One connection, from its first byte to its close.
//!
//! Decides when an answer must end the connection: hyper alone would keep it open after an early answer to a request with
//! `Expect: 100-continue`, and a client that still waits for the `100` would take the next answer for it.

use super::{Boxed, Handler, Options, Peer, RequestBody, body::Mark, guard::Guard, pace::Pace};
use crate::{env::Clock, limits};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{Either, Empty};
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    future::poll_fn,
    io,
    marker::PhantomData,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Serves one connection until it ends or, after `stop`, until its request in flight has ended.
pub(super) async fn run<S, B>(
    stream: TcpStream,
    peer: Peer,
    handler: S,
    options: &Options,
    clock: &Clock,
    stop: &CancellationToken,
) where
    S: Handler<B>,
    B: Body<Data = Bytes, Error: Into<Boxed>> + Send + 'static,
{
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before it was served");
        return;
    }
    if let Err(error) = keep_little_unsent(&stream) {
        // Served all the same: the system then keeps what it always keeps.
        tracing::debug!(server = options.name, %error, "the system does not bound what it keeps unsent");
    }
    let Some(tls) = &options.tls else {
        return serve(stream, peer, handler, options, clock, stop).await;
    };
    match timeout(limits::HANDSHAKE_PATIENCE, TlsAcceptor::from(Arc::clone(tls)).accept(stream)).await {
        Ok(Ok(stream)) => serve(stream, peer, handler, options, clock, stop).await,
        Ok(Err(error)) => {
            metrics::counter!("tls_handshakes_failed", "server" => options.name).increment(1);
            tracing::debug!(server = options.name, peer = %peer.0, %error, "a TLS handshake failed");
        }
        Err(_) => {
            metrics::counter!("tls_handshakes_failed", "server" => options.name).increment(1);
            tracing::debug!(server = options.name, peer = %peer.0, "a TLS handshake took too long");
        }
    }
}

/// What the kernel takes and cannot send yet was read, checked and copied for a client that may never read it.
#[cfg(target_os = "linux")]
fn keep_little_unsent(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(limits::UNSENT_BYTES_MAX)
}

#[cfg(not(target_os = "linux"))]
fn keep_little_unsent(_: &TcpStream) -> io::Result<()> {
    Ok(())
}

/// As [`run`], on bytes that need nothing before HTTP is spoken.
pub(super) async fn serve<IO, S, B>(
    io: IO,
    peer: Peer,
    handler: S,
    options: &Options,
    clock: &Clock,
    stop: &CancellationToken,
) where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Handler<B>,
    B: Body<Data = Bytes, Error: Into<Boxed>> + Send + 'static,
{
    let pace = Pace::new(clock.clone(), options.slow_grace, options.bytes_per_second_min);
    let guard = Guard::new(io, options.head_patience, options.stall_patience, pace.clone());
    let service = PerConnection {
        handler,
        answers: PhantomData,
        peer,
        stall: options.stall_patience,
        pace,
        ambiguous: guard.ambiguous(),
    };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // hyper's limit covers the pause between requests too; the guard has the tighter one for heads.
        .header_read_timeout(options.idle_patience)
        .max_header_size(limits::HEAD_BYTES_MAX)
        .max_buf_size(limits::CONNECTION_BUFFER_BYTES)
        .serve_connection(TokioIo::new(guard), service);
    let ended = tokio::select! {
        ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => Some(ended),
        () = stop.cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            let mut expired = pin!(sleep(options.drain_patience));
            tokio::select! {
                ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => ended,
                () = &mut expired => {
                    tracing::warn!(server = options.name, peer = %peer.0, "a request was cut off: it did not end in time");
                    return;
                }
            }
        }
    };
    match ended {
        Ok(()) => connection.into_parts().io.into_inner().close().await,
        Err(error) => {
            tracing::debug!(server = options.name, peer = %peer.0, %error, "a connection broke");
            connection.into_parts().io.into_inner().close().await;
        }
    }
}

/// The handler with what is known about the connection.
struct PerConnection<S, B> {
    handler: S,
    answers: PhantomData<fn() -> B>,
    peer: Peer,
    stall: Duration,
    /// How a body begins.
    pace: Pace,
    ambiguous: Arc<AtomicBool>,
}

impl<S, B> Service<Request<Incoming>> for PerConnection<S, B>
where
    S: Handler<B>,
    B: Body<Data = Bytes, Error: Into<Boxed>> + Send + 'static,
{
    type Response = Response<Either<Empty<Bytes>, B>>;
    type Error = Boxed;
    type Future = BoxFuture<'static, Result<Self::Response, Boxed>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if self.ambiguous.load(Ordering::Relaxed) {
            return Box::pin(std::future::ready(Ok(refusal())));
        }
        let expects = expects_continue(&request);
        let mut request = request.map(|incoming| RequestBody::new(incoming, self.stall, self.pace.clone()));
        request.extensions_mut().insert(self.peer);
        let mark = request.body().mark();
        let answer = self.handler.clone().oneshot(request);
        Box::pin(async move {
            let mut response = answer.await.map_err(Into::into)?;
            if must_close(expects, &mark) {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(Either::Right))
        })
    }
}

fn expects_continue(request: &Request<Incoming>) -> bool {
    let expect = request.headers().get(header::EXPECT);
    expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Whether the connection cannot carry another request after this answer.
///
/// An empty body with `Expect` counts as ended, but hyper sends no `100` for it, so such a connection is closed as well; and
/// after an answer that comes before the end of the body, nobody can say where the next request begins.
fn must_close(expects: bool, mark: &Mark) -> bool {
    !mark.has_ended() || (expects && !mark.was_received())
}

fn refusal<B>() -> Response<Either<Empty<Bytes>, B>> {
    let mut response = Response::new(Either::Left(Empty::new()));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

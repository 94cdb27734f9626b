//! One HTTP/1.1 connection that is kept alive.

use super::{
    body::Payload,
    outcome::{Lost, Outcome},
};
use http::{Request, Response};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
};

/// An open connection. Dropping it closes it.
pub struct Connection {
    sender: http1::SendRequest<Payload>,
    /// Drives the connection; aborted on drop.
    _driver: JoinSet<()>,
}

/// How a request ended on a connection.
pub enum Sent {
    Answered(Response<Incoming>),
    /// The connection was closed before the request was written: it may be sent on another one.
    NotWritten(Request<Payload>),
    Lost(Lost),
}

impl Connection {
    /// Speaks HTTP on a connection to `address` that has just been opened.
    pub async fn over<IO>(io: IO, address: SocketAddr) -> Outcome<Self>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        match http1::handshake(TokioIo::new(io)).await {
            Err(error) => Outcome::Unsent(format!("cannot speak HTTP to {address}: {error}")),
            Ok((sender, connection)) => {
                let mut driver = JoinSet::new();
                driver.spawn(async move {
                    // An error here ends the request in flight, which reports it.
                    let _ = connection.await;
                });
                Outcome::Ok(Self { sender, _driver: driver })
            }
        }
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn send(&mut self, request: Request<Payload>) -> Sent {
        if self.sender.ready().await.is_err() {
            return Sent::NotWritten(request);
        }
        match self.sender.try_send_request(request).await {
            Ok(answer) => Sent::Answered(answer),
            Err(mut error) => match error.take_message() {
                Some(request) => Sent::NotWritten(request),
                None => Sent::Lost(Lost::Disconnected(describe(&error.into_error()))),
            },
        }
    }
}

fn describe(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

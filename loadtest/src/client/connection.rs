//! One HTTP/1.1 connection that is kept alive.

use super::{
    body::Payload,
    outcome::{Lost, Outcome},
};
use crate::limits::CONNECT_TIMEOUT;
use http::{Request, Response};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::{
    io,
    net::{IpAddr, SocketAddr},
};
use tokio::{
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
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
    /// Connects, from `source` if one is given, without waiting longer than [`CONNECT_TIMEOUT`].
    pub async fn open(address: SocketAddr, source: Option<IpAddr>) -> Outcome<Self> {
        let stream = match timeout(CONNECT_TIMEOUT, connect(address, source)).await {
            Err(_) => return Outcome::Unsent(format!("cannot connect to {address}: no answer")),
            Ok(Err(error)) => return Outcome::Unsent(format!("cannot connect to {address}: {error}")),
            Ok(Ok(stream)) => stream,
        };
        if let Err(error) = stream.set_nodelay(true) {
            return Outcome::Unsent(format!("cannot set TCP_NODELAY: {error}"));
        }
        match http1::handshake(TokioIo::new(stream)).await {
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

async fn connect(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let Some(source) = source else { return TcpStream::connect(address).await };
    let socket = if source.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(address).await
}

fn describe(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

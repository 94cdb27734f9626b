//! A server that does nothing but answer: what the load test itself can do at most, and what it sees when a server stands still.
//!
//! It remembers of each object only version and length, and makes the bytes anew when they are read. It can be told to stand
//! still for a while, once.

use crate::{client::Payload, clock, workload::Content};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, task::JoinSet};

const VERSION: &str = "x-amz-meta-version";
const EMPTY_LISTING: &[u8] = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";

/// When nothing is answered.
#[derive(Debug, Clone, Copy)]
pub struct Stall {
    pub from: Instant,
    pub lasts: Duration,
}

struct Store {
    objects: Mutex<HashMap<String, (u64, u64)>>,
    stall: Option<Stall>,
}

/// Serves on `listener` until it is dropped.
pub async fn serve(listener: TcpListener, stall: Option<Stall>) {
    let store = Arc::new(Store { objects: Mutex::default(), stall });
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // Only lost on a connection that is broken already.
        let _nodelay = stream.set_nodelay(true);
        let store = store.clone();
        connections.spawn(async move {
            let service = service_fn(|request| answer(store.clone(), request));
            // How a connection ends is the client's business.
            let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Listens on a free port of this machine.
///
/// # Errors
/// When there is none.
pub async fn listen(port: u16) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn answer(store: Arc<Store>, request: Request<Incoming>) -> Result<Response<Payload>, Infallible> {
    let (head, mut body) = request.into_parts();
    let mut length = 0;
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, Bytes::len) as u64;
    }
    if let Some(Stall { from, lasts }) = store.stall {
        let now = clock::now();
        if now >= from && now < from + lasts {
            tokio::time::sleep_until((from + lasts).into()).await;
        }
    }
    Ok(store.respond(&head.method, head.uri.path(), &head.headers, length))
}

impl Store {
    fn respond(&self, method: &Method, path: &str, headers: &HeaderMap, length: u64) -> Response<Payload> {
        let answer = Response::builder().header("etag", "\"0\"");
        // The bucket's name, and the key behind it.
        let key = path.trim_start_matches('/').split_once('/').map(|(_, key)| key).unwrap_or_default();
        let is_absent_only = headers.contains_key("if-none-match");
        let built = match *method {
            _ if key.is_empty() => answer.body(Payload::Bytes(Bytes::from_static(EMPTY_LISTING))),
            Method::PUT if is_absent_only && self.objects.lock().contains_key(path) => {
                answer.status(StatusCode::PRECONDITION_FAILED).body(Payload::Empty)
            }
            Method::PUT => {
                let version = headers.get(VERSION).and_then(|text| text.to_str().ok()?.parse().ok()).unwrap_or(0);
                self.objects.lock().insert(path.to_owned(), (version, length));
                answer.body(Payload::Empty)
            }
            Method::DELETE => {
                self.objects.lock().remove(path);
                answer.status(StatusCode::NO_CONTENT).body(Payload::Empty)
            }
            _ => {
                let found = self.objects.lock().get(path).copied();
                match found {
                    None => answer.status(StatusCode::NOT_FOUND).body(Payload::Empty),
                    Some((version, length)) => {
                        let answer = answer.header(VERSION, version).header("content-length", length);
                        let content = Payload::whole(Content::of(key, version, length));
                        answer.body(if *method == Method::HEAD { Payload::Empty } else { content })
                    }
                }
            }
        };
        built.expect("all headers are numbers and constants")
    }
}

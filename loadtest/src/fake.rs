//! A store in memory that speaks as much S3 as the scenarios do, and that can be told to break a promise.
//!
//! It shows that the scenarios pass with a correct store and fail with one that is not.

use crate::client::{Credentials, Target};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fmt::Write as _,
    sync::Arc,
};
use tokio::{net::TcpListener, task::JoinSet};

/// The promise that is broken: once in [`ONCE_IN`] requests, or where it could be missed, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sin {
    None,
    /// Acknowledges a write and forgets it.
    Forget,
    /// Answers a read with the version before.
    Stale,
    /// Flips a bit.
    Corrupt,
    /// Leaves a key out of a listing.
    Unlist,
    /// Lets every racer win.
    NoPreconditions,
}

const ONCE_IN: u64 = 25;

#[derive(Debug, Clone)]
struct Object {
    etag: String,
    version: String,
    bytes: Bytes,
}

#[derive(Default)]
struct Store {
    objects: BTreeMap<String, Vec<Object>>,
    requests: u64,
}

/// A running fake.
pub struct Fake {
    pub target: Arc<Target>,
    _server: JoinSet<()>,
}

impl Fake {
    /// Listens on a free loopback port until it is dropped.
    pub async fn start(sin: Sin) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
        let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
        let credentials =
            Credentials { access_key_id: "A".into(), secret_access_key: "s".into(), region: "us-east-1".into() };
        let target = Arc::new(Target::new(&endpoint, credentials).expect("an address and a port"));
        let store = Arc::new(Mutex::new(Store::default()));
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let store = store.clone();
                connections.spawn(async move {
                    let service = service_fn(|request| serve(request, store.clone(), sin));
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { target, _server: server }
    }
}

async fn serve(
    request: Request<Incoming>,
    store: Arc<Mutex<Store>>,
    sin: Sin,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let path = head.uri.path().trim_start_matches('/').to_owned();
    let mut store = store.lock();
    store.requests += 1;
    let sins = sin != Sin::None && store.requests.is_multiple_of(ONCE_IN);
    let Some((_, key)) = path.split_once('/') else {
        let answer = if head.method == Method::GET {
            list(&store, head.uri.query().unwrap_or(""), sin)
        } else {
            ok(Bytes::new())
        };
        return Ok(answer);
    };
    let current = store.objects.get(key).and_then(|versions| versions.last()).cloned();
    Ok(match head.method {
        Method::PUT => {
            let (none, matches) = (header("if-none-match"), header("if-match"));
            let etag = |object: &Object| object.etag.clone();
            let met = none.is_none_or(|_| current.is_none())
                && matches.is_none_or(|tag| current.as_ref().map(etag) == Some(tag));
            if !met && sin != Sin::NoPreconditions {
                return Ok(error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed"));
            }
            let etag = format!("\"{}\"", store.requests);
            let object =
                Object { etag: etag.clone(), version: header("x-amz-meta-version").unwrap_or_default(), bytes: body };
            if !(sin == Sin::Forget && sins) {
                store.objects.entry(key.to_owned()).or_default().push(object);
            }
            tagged(&etag, "", Bytes::new())
        }
        Method::DELETE => {
            store.objects.remove(key);
            Response::builder().status(204).body(Full::default()).expect("a status and an empty body")
        }
        _ => match read(&store, key, sin, sins) {
            Some(object) => tagged(&object.etag, &object.version, object.bytes),
            None => error(StatusCode::NOT_FOUND, "NoSuchKey"),
        },
    })
}

fn read(store: &Store, key: &str, sin: Sin, sins: bool) -> Option<Object> {
    let versions = store.objects.get(key)?;
    let back = if sin == Sin::Stale && sins { 2.min(versions.len()) } else { 1 };
    let mut object = versions[versions.len() - back].clone();
    if sin == Sin::Corrupt && sins && !object.bytes.is_empty() {
        let mut bytes = object.bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        object.bytes = bytes.into();
    }
    Some(object)
}

/// All keys below the prefix after the token, at most `max-keys` of them; or their common prefixes.
fn list(store: &Store, query: &str, sin: Sin) -> Response<Full<Bytes>> {
    let parameter = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.into_iter().find(|(key, _)| *key == name)?.1;
        Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
    };
    let (prefix, after) =
        (parameter("prefix").unwrap_or_default(), parameter("continuation-token").unwrap_or_default());
    let max = parameter("max-keys").and_then(|text| text.parse().ok()).unwrap_or(1000);
    let mut keys: Vec<&String> = store.objects.keys().filter(|key| key.starts_with(&prefix) && **key > after).collect();
    if sin == Sin::Unlist && !keys.is_empty() {
        keys.remove(keys.len() / 2);
    }
    let mut text = String::from("<ListBucketResult>");
    let truncated = keys.len() > max && parameter("delimiter").is_none();
    if parameter("delimiter").is_some() {
        let folded: BTreeSet<&str> =
            keys.iter().filter_map(|key| key.split_once('/').map(|(first, _)| first)).collect();
        for prefix in folded {
            write!(text, "<CommonPrefixes><Prefix>{prefix}/</Prefix></CommonPrefixes>").expect("a String grows");
        }
    } else {
        keys.truncate(max);
        for key in &keys {
            write!(text, "<Contents><Key>{key}</Key><Size>1</Size><ETag>e</ETag></Contents>").expect("a String grows");
        }
    }
    write!(text, "<IsTruncated>{truncated}</IsTruncated>").expect("a String grows");
    if let Some(last) = keys.last().filter(|_| truncated) {
        write!(text, "<NextContinuationToken>{last}</NextContinuationToken>").expect("a String grows");
    }
    ok((text + "</ListBucketResult>").into())
}

fn ok(body: Bytes) -> Response<Full<Bytes>> {
    Response::new(Full::new(body))
}

fn tagged(etag: &str, version: &str, body: Bytes) -> Response<Full<Bytes>> {
    let builder = Response::builder().header("etag", etag).header("x-amz-meta-version", version);
    builder.body(Full::new(body)).expect("both headers are printable")
}

fn error(status: StatusCode, code: &str) -> Response<Full<Bytes>> {
    let body = format!("<Error><Code>{code}</Code><Message></Message></Error>");
    Response::builder().status(status).body(Full::new(body.into())).expect("a status and a body")
}

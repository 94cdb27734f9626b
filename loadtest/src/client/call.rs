//! One request and its answer, before any S3 meaning.

use super::{
    body::Payload,
    outcome::{Lost, Outcome},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::Duration;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const IN_PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// A request to one bucket or object, path style.
#[derive(Debug)]
pub struct Call<'a> {
    pub method: Method,
    /// Empty for the service itself.
    pub bucket: &'a str,
    /// Empty for the bucket itself.
    pub key: &'a str,
    /// Sorted by name, as the signature wants it.
    pub query: Vec<(&'static str, String)>,
    /// Lower-case names. Those that begin with `x-amz-` are signed.
    pub headers: Vec<(&'static str, String)>,
    pub payload: Payload,
}

impl<'a> Call<'a> {
    /// A request without query, headers or body.
    pub fn new(method: Method, bucket: &'a str, key: &'a str) -> Self {
        Self { method, bucket, key, query: Vec::new(), headers: Vec::new(), payload: Payload::Empty }
    }

    /// Adds a query parameter. Parameters must be added in the order of their names.
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets the body.
    pub fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// The path, encoded as it is sent and signed.
    pub fn path(&self) -> String {
        match (self.bucket, self.key) {
            ("", _) => "/".to_owned(),
            (bucket, "") => format!("/{bucket}"),
            (bucket, key) => format!("/{bucket}/{}", utf8_percent_encode(key, IN_PATH)),
        }
    }

    /// The query, encoded as it is sent and signed; empty when there is none.
    pub fn query_string(&self) -> String {
        debug_assert!(self.query.is_sorted(), "the signature wants the query sorted: {:?}", self.query);
        let encode = |text| utf8_percent_encode(text, UNRESERVED);
        self.query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
    }
}

/// A successful answer whose body has not been read yet.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    /// The longest wait for the next bytes.
    patience: Duration,
}

impl Answer {
    pub(super) fn new(answer: http::Response<Incoming>, patience: Duration) -> Self {
        let (head, body) = answer.into_parts();
        Self { status: head.status, headers: head.headers, body, patience }
    }

    /// A header's value as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The next bytes of the body; `None` at its end.
    pub async fn next(&mut self) -> Outcome<Option<Bytes>> {
        loop {
            match tokio::time::timeout(self.patience, self.body.frame()).await {
                Err(_) => return Outcome::Unknown(Lost::TimedOut),
                Ok(None) => return Outcome::Ok(None),
                Ok(Some(Err(error))) => return Outcome::Unknown(Lost::Disconnected(error.to_string())),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Outcome::Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body, when it has at most `limit` bytes.
    pub async fn read(mut self, limit: usize) -> Outcome<Bytes> {
        let mut whole = BytesMut::new();
        loop {
            match self.next().await {
                Outcome::Ok(None) => return Outcome::Ok(whole.freeze()),
                Outcome::Ok(Some(piece)) if whole.len() + piece.len() > limit => {
                    return Outcome::Unknown(Lost::Malformed(format!("more than {limit} bytes")));
                }
                Outcome::Ok(Some(piece)) => whole.extend_from_slice(&piece),
                Outcome::Refused(refusal) => return Outcome::Refused(refusal),
                Outcome::Unsent(why) => return Outcome::Unsent(why),
                Outcome::Unknown(lost) => return Outcome::Unknown(lost),
            }
        }
    }
}

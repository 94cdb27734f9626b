//! Objects: put, get, head, delete.

use super::{
    body::Payload,
    call::{Answer, Call},
    outcome::{Lost, Outcome},
    session::Session,
};
use crate::workload::{Content, content::Mismatch};
use http::Method;
use std::ops::Range;

/// Carries the version of the content, so that a reader knows which bytes to expect.
const VERSION: &str = "x-amz-meta-version";

/// When a write may happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    Always,
    /// `If-None-Match: *`
    Absent,
    /// `If-Match`
    Matches(String),
}

/// A write.
#[derive(Debug, Clone)]
pub struct Put<'a> {
    pub bucket: &'a str,
    pub key: &'a str,
    pub version: u64,
    pub content: Content,
    pub condition: Condition,
}

/// What a write answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub etag: String,
}

/// An object's head, and its bytes still to come.
#[derive(Debug)]
pub struct Download {
    pub etag: String,
    /// As its writer named it; `None` when the object has none.
    pub version: Option<u64>,
    /// Bytes to come.
    pub length: u64,
    answer: Answer,
}

impl Condition {
    pub(super) fn apply<'a>(&self, call: Call<'a>) -> Call<'a> {
        match self {
            Self::Always => call,
            Self::Absent => call.header("if-none-match", "*"),
            Self::Matches(etag) => call.header("if-match", etag.clone()),
        }
    }
}

impl Session {
    /// Writes one object in one request.
    pub async fn put(&mut self, put: &Put<'_>) -> Outcome<Stored> {
        let call = Call::new(Method::PUT, put.bucket, put.key)
            .header(VERSION, put.version.to_string())
            .payload(Payload::whole(put.content));
        self.call(put.condition.apply(call)).await.and_then(async |answer| stored(&answer)).await
    }

    /// Begins to read an object.
    pub async fn get(&mut self, bucket: &str, key: &str) -> Outcome<Download> {
        self.call(Call::new(Method::GET, bucket, key)).await.and_then(async |answer| download(answer)).await
    }

    /// Begins to read the bytes of `range`.
    pub async fn get_range(&mut self, bucket: &str, key: &str, range: Range<u64>) -> Outcome<Download> {
        let bytes = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        let call = Call::new(Method::GET, bucket, key).header("range", bytes);
        self.call(call).await.and_then(async |answer| download(answer)).await
    }

    /// Reads an object's head.
    pub async fn head(&mut self, bucket: &str, key: &str) -> Outcome<Download> {
        self.call(Call::new(Method::HEAD, bucket, key)).await.and_then(async |answer| download(answer)).await
    }

    /// Deletes an object; deleting what is not there succeeds.
    pub async fn delete(&mut self, bucket: &str, key: &str) -> Outcome<()> {
        self.call(Call::new(Method::DELETE, bucket, key)).await.map(|_| ())
    }
}

impl Download {
    /// Reads to the end and compares with `expected`, from `offset` on. Answers what was wrong with the bytes, if anything.
    pub async fn verify(mut self, expected: Content, offset: u64) -> Outcome<Result<u64, Mismatch>> {
        let mut received = 0;
        loop {
            match self.answer.next().await {
                Outcome::Ok(Some(piece)) => {
                    if let Err(mismatch) = expected.check(offset + received, &piece) {
                        return Outcome::Ok(Err(mismatch));
                    }
                    received += piece.len() as u64;
                }
                Outcome::Ok(None) if received == self.length => return Outcome::Ok(Ok(received)),
                Outcome::Ok(None) => {
                    return Outcome::Ok(Err(Mismatch::Length { expected: self.length, received }));
                }
                Outcome::Refused(refusal) => return Outcome::Refused(refusal),
                Outcome::Unsent(why) => return Outcome::Unsent(why),
                Outcome::Unknown(lost) => return Outcome::Unknown(lost),
            }
        }
    }
}

pub(super) fn stored(answer: &Answer) -> Outcome<Stored> {
    match answer.header("etag") {
        Some(etag) => Outcome::Ok(Stored { etag: etag.to_owned() }),
        None => Outcome::Unknown(Lost::Malformed("a write was answered without an ETag".into())),
    }
}

fn download(answer: Answer) -> Outcome<Download> {
    let number = |name| answer.header(name).and_then(|text| text.parse().ok());
    let (Some(etag), Some(length)) = (answer.header("etag"), number("content-length")) else {
        return Outcome::Unknown(Lost::Malformed("a read was answered without ETag or Content-Length".into()));
    };
    Outcome::Ok(Download { etag: etag.to_owned(), version: number(VERSION), length, answer })
}

//! The clients of a comparison: a closed loop each, reads compared byte for byte.

use super::{case::Case, side::Side};
use crate::{
    client::{Condition, ListQuery, Outcome, PayloadHash, Put, Session},
    driver::{Done, Worker},
    workload::Content,
};
use std::sync::Arc;

/// Objects of a size that are there to be read, at most, and the bytes they may take together.
const READ_KEYS_MAX: u64 = 256;
const READ_BYTES_MAX: u64 = 256 << 20;
/// Keys a client writes before it begins anew, and the bytes they may take together.
const WRITE_KEYS_MAX: u64 = 1_000;
const WRITE_BYTES_MAX: u64 = 64 << 20;
const WRITE_KEYS_MIN: u64 = 4;
/// Keys under a common prefix of a bucket that is listed.
const KEYS_PER_PREFIX: u64 = 100;

/// How many objects of a size are there to be read.
pub fn read_keys(bytes: u64) -> u64 {
    (READ_BYTES_MAX / bytes.max(1)).clamp(WRITE_KEYS_MIN, READ_KEYS_MAX)
}

/// One of them.
pub fn read_key(bytes: u64, number: u64) -> String {
    format!("read/{bytes}/{number:04}")
}

/// One of the keys of a listing of so many.
pub fn listed_key(keys: u64, number: u64) -> String {
    format!("list-{keys}/{:05}/{number:08}", number / KEYS_PER_PREFIX)
}

/// One of the keys that are deleted.
pub fn doomed_key(number: u64) -> String {
    format!("doomed/{number:06}")
}

/// One client.
pub struct Client {
    session: Session,
    bucket: String,
    case: Case,
    index: u64,
    turn: u64,
    /// Where a listing goes on.
    token: Option<String>,
}

impl Client {
    pub fn new(side: &Side, case: Case, index: usize) -> Self {
        Self {
            session: Session::new(Arc::clone(&side.target), PayloadHash::Unsigned),
            bucket: side.bucket.clone(),
            case,
            index: index as u64,
            turn: 0,
            token: None,
        }
    }

    /// The same client, for the deletion of key `number`.
    pub fn turned_to(&mut self, number: u64) -> &mut Self {
        self.index = number;
        self
    }

    async fn put(&mut self, key: &str, bytes: u64) -> Outcome<u64> {
        let content = Content::of(key, 1, bytes);
        let put = Put { bucket: &self.bucket, key, version: 1, content, condition: Condition::Always };
        self.session.put(&put).await.map(|_| bytes)
    }

    fn own_key(&self, bytes: u64) -> String {
        let keys = (WRITE_BYTES_MAX / bytes.max(1)).clamp(WRITE_KEYS_MIN, WRITE_KEYS_MAX);
        format!("write/{bytes}/{}/{}", self.index, self.turn % keys)
    }

    /// A key that others read too; clients begin at different ones.
    fn shared_key(&self, bytes: u64) -> String {
        read_key(bytes, (self.index * 37 + self.turn) % read_keys(bytes))
    }

    async fn get(&mut self, bytes: u64) -> Result<Outcome<u64>, String> {
        let key = self.shared_key(bytes);
        let expected = Content::of(&key, 1, bytes);
        let read = self.session.get(&self.bucket, &key).await;
        match read.and_then(async |download| download.verify(expected, 0).await).await {
            Outcome::Ok(Ok(bytes)) => Ok(Outcome::Ok(bytes)),
            Outcome::Ok(Err(mismatch)) => Err(format!("wrong bytes: {mismatch}")),
            other => Ok(other.map(|_| 0)),
        }
    }

    /// In the order of a hundred requests, so that every window has the same mix.
    async fn mixed(&mut self, bytes: u64) -> Result<Outcome<u64>, String> {
        match (self.turn * 37 + self.index * 11) % 100 {
            0..45 => self.get(bytes).await,
            45..75 => {
                let key = self.shared_key(bytes);
                Ok(self.session.head(&self.bucket, &key).await.map(|_| 0))
            }
            75..90 => {
                let key = self.own_key(bytes);
                Ok(self.put(&key, bytes).await)
            }
            _ => {
                let key = self.own_key(bytes);
                Ok(self.session.delete(&self.bucket, &key).await.map(|()| 0))
            }
        }
    }

    async fn list(&mut self, keys: u64, delimiter: bool) -> Outcome<u64> {
        let prefix = format!("list-{keys}/");
        let query =
            ListQuery { bucket: &self.bucket, prefix: &prefix, delimiter: delimiter.then_some("/"), max_keys: None };
        let token = self.token.take();
        let page = self.session.list_page(&query, token.as_deref()).await;
        page.map(|page| {
            self.token = page.next;
            (page.objects.len() + page.prefixes.len()) as u64
        })
    }
}

impl Worker for Client {
    /// `bytes` of what was done are keys or prefixes where a listing is measured.
    async fn step(&mut self) -> Done {
        let outcome = match self.case {
            Case::Put { bytes, .. } => {
                let key = self.own_key(bytes);
                Ok(self.put(&key, bytes).await)
            }
            Case::Get { bytes, .. } => self.get(bytes).await,
            Case::Head { bytes, .. } => {
                let key = self.shared_key(bytes);
                Ok(self.session.head(&self.bucket, &key).await.map(|_| 0))
            }
            Case::Mixed { bytes, .. } => self.mixed(bytes).await,
            Case::List { keys, delimiter } => Ok(self.list(keys, delimiter).await),
            Case::Delete { .. } => {
                let key = doomed_key(self.index);
                Ok(self.session.delete(&self.bucket, &key).await.map(|()| 0))
            }
        };
        self.turn += 1;
        match outcome {
            Ok(Outcome::Ok(bytes)) => Done { bytes, error: None },
            Ok(Outcome::Refused(refusal)) => {
                Done { bytes: 0, error: Some(format!("{} {}", refusal.status, refusal.code)) }
            }
            Ok(Outcome::Unsent(why)) => Done { bytes: 0, error: Some(why) },
            Ok(Outcome::Unknown(lost)) => Done { bytes: 0, error: Some(lost.to_string()) },
            Err(wrong) => Done { bytes: 0, error: Some(wrong) },
        }
    }
}

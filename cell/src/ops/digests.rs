//! What a body's bytes hash to: MD5 always (it is the ETag), more when the client states it, compared when the body has ended.

use super::{
    OpError,
    body::{BodyError, ChecksumValue, Stated, StatedChecksum},
    checksum::Hasher,
    error::Digest,
};
use crate::{
    limits::HASH_INLINE_BYTES_MAX,
    meta::record::{Checksum, ChecksumAlgorithm, Etag},
};
use bytes::Bytes;
use md5::Digest as _;
use tokio::task::{JoinHandle, spawn_blocking};

/// All hashes of one body, while it comes in.
pub struct Digests {
    md5: md5::Md5,
    sha256: Option<sha2::Sha256>,
    checksum: Option<Hasher>,
}

/// All hashes of one body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digested {
    pub etag: Etag,
    pub sha256: Option<[u8; 32]>,
    pub checksum: Option<Checksum>,
}

impl Digests {
    /// Of no bytes yet.
    pub fn new(algorithm: Option<ChecksumAlgorithm>, sha256: bool) -> Self {
        Self { md5: md5::Md5::new(), sha256: sha256.then(sha2::Sha256::new), checksum: algorithm.map(Hasher::new) }
    }

    /// Adds bytes, on this thread.
    pub fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        if let Some(checksum) = &mut self.checksum {
            checksum.update(bytes);
        }
    }

    /// The hashes of all bytes added.
    pub fn finish(self) -> Digested {
        Digested {
            etag: Etag { md5: self.md5.finalize().into(), parts: None },
            sha256: self.sha256.map(|sha256| sha256.finalize().into()),
            checksum: self.checksum.map(Hasher::finish),
        }
    }
}

/// Hashes on the blocking pool, so that a megabyte (more than a millisecond of MD5) never holds up an async thread. The bytes
/// given last are hashed while the caller goes on.
pub struct Hashing {
    state: HashingState,
}

enum HashingState {
    Idle(Box<Digests>),
    Busy(JoinHandle<Box<Digests>>),
}

impl Hashing {
    /// Continues `digests`.
    pub fn new(digests: Digests) -> Self {
        Self { state: HashingState::Idle(Box::new(digests)) }
    }

    /// Adds bytes, after those before them.
    ///
    /// # Errors
    /// When the process is shutting down.
    pub async fn add(self, bytes: Bytes) -> Result<Self, OpError> {
        let mut digests = self.idle().await?;
        if bytes.len() <= HASH_INLINE_BYTES_MAX {
            digests.update(&bytes);
            return Ok(Self { state: HashingState::Idle(digests) });
        }
        let busy = spawn_blocking(move || {
            digests.update(&bytes);
            digests
        });
        Ok(Self { state: HashingState::Busy(busy) })
    }

    /// The hashes of all bytes added.
    ///
    /// # Errors
    /// When the process is shutting down.
    pub async fn finish(self) -> Result<Digested, OpError> {
        Ok(self.idle().await?.finish())
    }

    async fn idle(self) -> Result<Box<Digests>, OpError> {
        match self.state {
            HashingState::Idle(digests) => Ok(digests),
            HashingState::Busy(busy) => {
                busy.await.map_err(|error| OpError::NotExecuted(format!("the body was not hashed: {error}")))
            }
        }
    }
}

/// Compares what the client stated with what the bytes hash to.
///
/// # Errors
/// [`OpError::BadDigest`] names the first that differs; [`BodyError::Malformed`] when a trailer lacks the checksum it announced.
pub fn compare(stated: Stated, digested: &Digested) -> Result<(), OpError> {
    if stated.md5.is_some_and(|md5| md5 != digested.etag.md5) {
        return Err(OpError::BadDigest(Digest::ContentMd5));
    }
    if stated.sha256.is_some() && stated.sha256 != digested.sha256 {
        return Err(OpError::BadDigest(Digest::ContentSha256));
    }
    let Some(StatedChecksum { algorithm, value }) = stated.checksum else { return Ok(()) };
    let value = match value {
        ChecksumValue::Unstated => return Ok(()),
        ChecksumValue::Header(value) => value,
        ChecksumValue::Trailer(read) => {
            read().ok_or_else(|| BodyError::Malformed("the trailer lacks the checksum that was announced".into()))?
        }
    };
    let computed = digested.checksum.as_ref();
    if computed.is_some_and(|computed| computed.algorithm == algorithm && computed.value == value) {
        Ok(())
    } else {
        Err(OpError::BadDigest(Digest::Checksum(algorithm)))
    }
}

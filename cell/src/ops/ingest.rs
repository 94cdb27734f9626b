//! Takes a body in: splits it into chunks, hashes it, stores the chunks, and compares all that was stated about it.
//!
//! At most [`CHUNKS_IN_FLIGHT_MAX`] chunks of a body are in memory, each with its share of the node's budget taken before its
//! first byte; a chunk is hashed while it is stored, and the next one fills meanwhile. The bytes are copied once, into the chunk: a
//! slice of the connection's read buffer would keep the whole buffer alive and out of the budget's sight. An error leaves
//! unnamed chunks behind, which are garbage; nothing is named here.

use super::{
    OpError,
    body::{Body, BodyError, BodyStream},
    budget::Budget,
    digests::{self, Digests, Hashing},
};
use crate::{
    limits::{CHUNKS_IN_FLIGHT_MAX, PART_BYTES_MAX},
    meta::{
        command::Refusal,
        record::{Checksum, Etag},
    },
};
use bytes::{Buf as _, Bytes};
use futures::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, Fuse},
};
use std::{
    future::{Future, ready},
    pin::pin,
};

/// How bodies are cut.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// Bodies up to this size are kept whole and not stored as chunks; `None` stores all but empty ones.
    pub inline_bytes_max: Option<u32>,
    pub chunk_bytes: u32,
}

/// A body that was taken in whole and is what it was stated to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingested {
    pub len: u64,
    pub etag: Etag,
    pub checksum: Option<Checksum>,
    /// The body itself when it was small enough to be kept; `None` when its chunks are stored.
    pub inline: Option<Bytes>,
}

/// Takes in `body`, giving each chunk, numbered from 0, to `store`.
///
/// # Errors
/// When the body is not what was stated, is larger than [`PART_BYTES_MAX`], or a chunk is not stored.
pub async fn ingest<S, F>(body: Body, cut: Cut, budget: &Budget, store: S) -> Result<Ingested, OpError>
where
    S: Fn(u32, Bytes) -> F,
    F: Future<Output = Result<(), OpError>> + Send,
{
    let Body { stream, len: declared, stated } = body;
    if let Some(declared) = declared {
        within_limit(declared)?;
    }
    let algorithm = stated.checksum.as_ref().map(|checksum| checksum.algorithm);
    let digests = Digests::new(algorithm, stated.sha256.is_some());
    let mut intake = Intake::new(stream, declared, cut.chunk_bytes, budget);
    let first = intake.fill().await?.unwrap_or_default();
    let inline = cut.inline_bytes_max.is_some_and(|max| first.len() <= max as usize) || first.is_empty();
    let (digested, inline) = if inline && intake.ended().await? {
        let hashing = Hashing::new(digests).add(first.clone()).await?;
        (hashing.finish().await?, Some(first))
    } else {
        (store_chunks(&mut intake, first, Hashing::new(digests), store).await?, None)
    };
    digests::compare(stated, &digested)?;
    Ok(Ingested { len: intake.received, etag: digested.etag, checksum: digested.checksum, inline })
}

async fn store_chunks<S, F>(
    intake: &mut Intake<'_>,
    first: Bytes,
    hashing: Hashing,
    store: S,
) -> Result<digests::Digested, OpError>
where
    S: Fn(u32, Bytes) -> F,
    F: Future<Output = Result<(), OpError>> + Send,
{
    let mut hashing = Some(hashing.add(first.clone()).await?);
    let rest = stream::try_unfold((intake, &mut hashing), |(intake, hashing)| async move {
        let Some(chunk) = intake.fill().await? else { return Ok(None) };
        let before = hashing.take().expect("put back below, or the stream has ended with an error");
        *hashing = Some(before.add(chunk.clone()).await?);
        Ok(Some((chunk, (intake, hashing))))
    })
    .boxed();
    let chunks = stream::once(ready(Ok(first))).chain(rest);
    chunks
        .zip(stream::iter(0_u32..))
        .map(|(chunk, index): (Result<Bytes, OpError>, u32)| Ok(store(index, chunk?)))
        .try_buffer_unordered(CHUNKS_IN_FLIGHT_MAX)
        .try_for_each(|()| ready(Ok(())))
        .await?;
    hashing.expect("the stream ended without an error").finish().await
}

fn within_limit(len: u64) -> Result<(), OpError> {
    let max = PART_BYTES_MAX;
    if len > max { Err(Refusal::EntityTooLarge { len, max }.into()) } else { Ok(()) }
}

/// Reads a body chunk by chunk and holds it to its declared length.
struct Intake<'a> {
    stream: Fuse<BodyStream>,
    declared: Option<u64>,
    received: u64,
    chunk_bytes: u32,
    budget: &'a Budget,
    /// What was received beyond the chunk filled last.
    rest: Bytes,
}

impl<'a> Intake<'a> {
    fn new(stream: BodyStream, declared: Option<u64>, chunk_bytes: u32, budget: &'a Budget) -> Self {
        Self { stream: stream.fuse(), declared, received: 0, chunk_bytes, budget, rest: Bytes::new() }
    }

    /// The next chunk, full unless it is the last; `None` at the end of the body.
    async fn fill(&mut self) -> Result<Option<Bytes>, OpError> {
        // Of a body of declared length only what is left is asked for, so that small bodies take small shares.
        let left = self.declared.map(|declared| declared - self.received + self.rest.len() as u64);
        let want = left.map_or(self.chunk_bytes, |left| u32::try_from(left).unwrap_or(u32::MAX).min(self.chunk_bytes));
        if want == 0 {
            self.ended().await?;
            return Ok(None);
        }
        let share = self.budget.take(want).await?;
        let want = want as usize;
        let mut chunk = Vec::with_capacity(want);
        let budget = self.budget;
        let mut wanted_back = pin!(budget.wanted_back());
        while chunk.len() < want {
            let more = tokio::select! {
                biased;
                more = self.more() => more?,
                () = &mut wanted_back => return Err(BodyError::TooSlow.into()),
            };
            if !more {
                break;
            }
            let taken = self.rest.len().min(want - chunk.len());
            chunk.extend_from_slice(&self.rest[..taken]);
            self.rest.advance(taken);
            if self.rest.is_empty() {
                // Even without a byte left it would keep what it came in.
                self.rest = Bytes::new();
            }
        }
        Ok((!chunk.is_empty()).then(|| share.hold(chunk)))
    }

    /// Whether the body has ended. Reads on to know it, so that a body that goes on beyond its declared length is noticed,
    /// and a trailer is read.
    async fn ended(&mut self) -> Result<bool, OpError> {
        Ok(!self.more().await?)
    }

    /// Whether there are bytes in `rest`, reading until there are or the body has ended.
    async fn more(&mut self) -> Result<bool, OpError> {
        while self.rest.is_empty() {
            let Some(piece) = self.stream.next().await else { return self.check_end() };
            self.rest = piece?;
            self.received += self.rest.len() as u64;
            match self.declared {
                Some(declared) if self.received > declared => return Err(OpError::BodyLongerThanDeclared { declared }),
                Some(_) => {}
                None => within_limit(self.received)?,
            }
        }
        Ok(true)
    }

    fn check_end(&self) -> Result<bool, OpError> {
        match self.declared {
            Some(declared) if self.received < declared => {
                Err(OpError::IncompleteBody { declared, received: self.received })
            }
            Some(_) | None => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests;

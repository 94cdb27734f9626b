//! Bodies as they go out: verified pieces of an object's bytes, read ahead by a bounded amount.
//!
//! The first piece is read before the response begins, so an object that cannot be read is an honest error. A later failure cuts
//! the body short: there is no other way to say it.

use super::{OpError, budget::Budget, range::Piece};
use crate::limits::READ_AHEAD_PIECES;
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use std::{
    future::{Future, ready},
    pin::Pin,
};

/// Verified bytes of an object, in order.
pub type ReadStream = Pin<Box<dyn Stream<Item = Result<Bytes, ReadFault>> + Send>>;

/// Why a body ends before its end: no copy of a chunk could be read. The connection must be cut, not ended.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the object's bytes cannot be read: {0}")]
pub struct ReadFault(pub String);

/// A body that is in memory.
pub fn of_bytes(bytes: Bytes) -> ReadStream {
    if bytes.is_empty() { Box::pin(stream::empty()) } else { Box::pin(stream::iter([Ok(bytes)])) }
}

/// A body of `pieces`, each read by `fetch`. Returns once the first is read.
///
/// # Errors
/// When the first piece cannot be read.
pub async fn open<P, R, F>(pieces: P, budget: Budget, fetch: R) -> Result<ReadStream, OpError>
where
    P: Iterator<Item = Piece> + Send + 'static,
    R: Fn(Piece) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Bytes, OpError>> + Send + 'static,
{
    let fetch = move |piece: Piece| {
        let budget = budget.clone();
        let wanted = piece.range.end - piece.range.start;
        let read = fetch(piece);
        async move {
            let share = budget.take(wanted).await?;
            let bytes = read.await?;
            Ok(share.hold(bytes))
        }
    };
    let mut read = Box::pin(stream::iter(pieces).map(fetch).buffered(READ_AHEAD_PIECES));
    let Some(first) = read.next().await.transpose()? else { return Ok(Box::pin(stream::empty())) };
    let rest = read.map(|piece: Result<Bytes, OpError>| piece.map_err(|error| ReadFault(error.to_string())));
    Ok(Box::pin(stream::once(ready(Ok(first))).chain(rest)))
}

//! Between the calls and the chunk store: bodies into blobs, and blobs into bodies.

use super::{
    Caller, Cell, OpError,
    body::{Body, BodyError, BodyStream},
    budget::Budget,
    egress::{self, ReadStream},
    ingest::{Cut, Ingested, ingest},
    range::{Piece, Pieces, chunk_id},
};
use crate::{
    admit::cost::Cost,
    chunks::{GetError, PutError},
    limits::{INLINE_BYTES_MAX, READ_AHEAD_PIECES, READ_PIECE_BYTES},
    meta::{
        epochs::BlobLease,
        record::{Layout, Segment},
        view::IndexView,
    },
};
use bulkhead_model::AccountId;
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use std::ops::Range;

/// A body that is durable, or small enough to ride along in a command.
pub struct Taken {
    /// To be held until the command that names the bytes has its outcome.
    pub lease: BlobLease,
    pub body: Ingested,
    chunk_bytes: u32,
}

impl Taken {
    /// Where the body's bytes are.
    pub fn segment(&self) -> Segment {
        Segment { blob: self.lease.blob(), len: self.body.len, chunk_bytes: self.chunk_bytes }
    }
}

/// Takes `body` in under a fresh blob id. What is stored of it is unnamed, and so garbage, until a command names it.
pub(super) async fn take(
    cell: &Cell,
    caller: &Caller,
    account: AccountId,
    cut: Cut,
    body: Body,
) -> Result<Taken, OpError> {
    let lease = cell.index.lease_blob(caller.deadline).await?;
    let blob = lease.blob();
    let store = |index, bytes: Bytes| {
        let put = async move {
            let _held = caller.stage(Cost::of_written(bytes.len() as u64)).await?;
            Ok::<_, OpError>(cell.chunks.put(chunk_id(blob, index), account, bytes, cell.chunk_deadline()).await?)
        };
        put.boxed()
    };
    let budget = cell.budgets.incoming.of(caller.account);
    let is_large = body.len.is_none_or(|len| len > INLINE_BYTES_MAX as u64);
    let body = caller.before_commit(is_large, ingest(body, cut, &budget, store)).await?;
    // Chunks are refused by the disks they go to. What rides in the index would use the reserve up that index and log live on.
    if body.inline.is_some() && !cell.chunks.local().has_room() {
        return Err(OpError::DiskFull);
    }
    Ok(Taken { lease, body, chunk_bytes: cut.chunk_bytes })
}

/// Bytes `range` of an object, as a body that goes out. Returns once the first of them are read.
pub(super) async fn read(
    cell: &Cell,
    caller: &Caller,
    view: &IndexView,
    layout: Layout,
    range: Range<u64>,
) -> Result<ReadStream, OpError> {
    read_within(cell, caller, view, layout, range, cell.budgets.outgoing.of(caller.account)).await
}

/// Bytes `range` of an object, as a body that comes in. Reads ahead within a budget of its own: one that it shared with bodies
/// going out could be exhausted by those that wait for it. The view ends here, however
/// long the copy takes.
pub(super) async fn copy(
    cell: &Cell,
    caller: &Caller,
    view: IndexView,
    layout: Layout,
    range: Range<u64>,
) -> Result<BodyStream, OpError> {
    let budget = Budget::undivided(u64::from(READ_PIECE_BYTES) * READ_AHEAD_PIECES as u64);
    let stream = read_within(cell, caller, &view, layout, range, budget).await?;
    Ok(stream.map_err(|fault| BodyError::Unreadable(fault.0)).boxed())
}

async fn read_within(
    cell: &Cell,
    caller: &Caller,
    view: &IndexView,
    layout: Layout,
    range: Range<u64>,
    budget: Budget,
) -> Result<ReadStream, OpError> {
    let segments = match layout {
        Layout::Inline(blob) => {
            let body = view.inline_body(blob)?;
            let slice = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(body.len());
            return Ok(egress::of_bytes(body.slice(slice(range.start)..slice(range.end))));
        }
        Layout::Segments(segments) => segments,
    };
    let (cell, caller, tasks) = (cell.clone(), caller.clone(), cell.env.tasks.clone());
    let fetch = move |Piece { chunk, range }| {
        let (cell, caller) = (cell.clone(), caller.clone());
        let read = async move {
            let _held = caller.stage(Cost::of_read(u64::from(range.end - range.start))).await?;
            Ok::<_, OpError>(cell.chunks.get(chunk, range, cell.chunk_deadline()).await?)
        };
        read.boxed()
    };
    egress::open(Pieces::new(segments, range, READ_PIECE_BYTES), budget, &tasks, fetch).await
}

impl From<PutError> for OpError {
    fn from(error: PutError) -> Self {
        match error {
            PutError::DiskFull => Self::DiskFull,
            PutError::NotEnoughReplicas { .. } | PutError::Deadline => Self::NotExecuted(error.to_string()),
            PutError::Size { .. } | PutError::Conflict => Self::Internal(error.to_string()),
        }
    }
}

impl From<GetError> for OpError {
    fn from(error: GetError) -> Self {
        match error {
            GetError::Unavailable { .. } | GetError::Deadline => Self::NotExecuted(error.to_string()),
            GetError::Missing { .. } | GetError::Range { .. } => Self::Internal(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disks_are_told_from_other_reasons_to_slow_down() {
        assert!(matches!(OpError::from(PutError::DiskFull), OpError::DiskFull));
    }
}

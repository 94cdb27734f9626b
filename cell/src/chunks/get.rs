//! One range of a chunk: from the nearest replica that has it whole, from the next when that one fails or is slow.

use crate::{
    chunks::{ChunkId, GetError, ReadError, payload::Blocks, replicate::Shared},
    limits::READ_HEDGE,
};
use bulkhead_model::{NodeId, api::cell::Member};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use std::{collections::VecDeque, ops::Range, sync::Arc};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::Instrument as _;

/// Reads bytes `range` of a chunk.
///
/// # Errors
/// See [`GetError`].
pub(super) async fn get(
    shared: &Arc<Shared>,
    id: ChunkId,
    range: Range<u32>,
    deadline: Instant,
) -> Result<Bytes, GetError> {
    let replicas = shared.replicas(id);
    let mut search = Search {
        shared,
        id,
        range,
        deadline,
        waiting: replicas.into(),
        running: FuturesUnordered::new(),
        failed: Vec::new(),
    };
    timeout_at(deadline, search.run()).await.unwrap_or(Err(GetError::Deadline))
}

struct Search<'a> {
    shared: &'a Arc<Shared>,
    id: ChunkId,
    range: Range<u32>,
    deadline: Instant,
    /// Replicas not asked yet, the best first.
    waiting: VecDeque<Member>,
    running: FuturesUnordered<BoxFuture<'a, (NodeId, Result<Blocks, ReadError>)>>,
    failed: Vec<(NodeId, ReadError)>,
}

impl Search<'_> {
    async fn run(&mut self) -> Result<Bytes, GetError> {
        loop {
            if self.running.is_empty() && !self.ask_next() {
                return Err(verdict(&self.failed));
            }
            tokio::select! {
                biased;
                Some((node, outcome)) = self.running.next() => {
                    if let Some(bytes) = self.ended(node, outcome)? {
                        return Ok(bytes);
                    }
                }
                () = sleep(READ_HEDGE), if !self.waiting.is_empty() => {
                    metrics::counter!("bulkhead_chunk_reads_hedged_total").increment(1);
                    self.ask_next();
                }
            }
        }
    }

    fn ask_next(&mut self) -> bool {
        let Some(member) = self.waiting.pop_front() else { return false };
        let (shared, id, range, deadline) = (Arc::clone(self.shared), self.id, self.range.clone(), self.deadline);
        let span = tracing::debug_span!("chunk_read", chunk = %id, node = %member.node);
        let read = async move { (member.node, shared.read_from(&member, id, range, deadline).await) };
        self.running.push(read.instrument(span).boxed());
        true
    }

    fn ended(&mut self, node: NodeId, outcome: Result<Blocks, ReadError>) -> Result<Option<Bytes>, GetError> {
        let error = match outcome {
            Ok(blocks) => match blocks.cut(&self.range) {
                Some(bytes) => return Ok(Some(bytes)),
                None => ReadError::Protocol("other bytes than it was asked for".to_owned()),
            },
            Err(ReadError::Range { range, len }) => return Err(GetError::Range { range, len }),
            Err(error) => error,
        };
        if matches!(error, ReadError::Missing | ReadError::Damaged(_)) {
            self.shared.lacks(self.id, node);
        }
        metrics::counter!("bulkhead_chunk_reads_elsewhere_total").increment(1);
        tracing::debug!(chunk = %self.id, %node, %error, "a replica could not serve a read");
        self.failed.push((node, error));
        Ok(None)
    }
}

/// What it means that no replica could serve.
fn verdict(failed: &[(NodeId, ReadError)]) -> GetError {
    let why = failed.iter().map(|(node, error)| format!("node {node}: {error}")).collect::<Vec<_>>().join("; ");
    let gone = |error: &ReadError| matches!(error, ReadError::Missing | ReadError::Damaged(_));
    if failed.is_empty() {
        GetError::Unavailable { why: "the cell's nodes are not known yet".to_owned() }
    } else if failed.iter().all(|(_, error)| gone(error)) {
        GetError::Missing { why }
    } else {
        GetError::Unavailable { why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_missing_only_when_every_replica_says_so() {
        let failed = |errors: &[ReadError]| errors.iter().cloned().map(|error| (NodeId(1), error)).collect::<Vec<_>>();
        let (missing, damaged) = (ReadError::Missing, ReadError::Damaged("bit".into()));
        assert!(matches!(verdict(&failed(&[missing.clone(), damaged])), GetError::Missing { .. }));
        for unknown in [ReadError::Unreachable("refused".into()), ReadError::Deadline, ReadError::Stopping] {
            assert!(matches!(verdict(&failed(&[missing.clone(), unknown])), GetError::Unavailable { .. }));
        }
        assert!(matches!(verdict(&[]), GetError::Unavailable { .. }));
    }
}

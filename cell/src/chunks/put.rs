//! One chunk to its replicas: all at once, acknowledged by two, the third goes on.
//!
//! A peer that lately did not answer is asked only when the others cannot make two. What is known to lack a copy is noted for repair.

use crate::{
    chunks::{
        CopyError, PutError,
        payload::Chunk,
        replicate::{COPIES_NEEDED, Shared},
    },
    limits::THIRD_COPY_PATIENCE,
};
use bulkhead_model::{NodeId, api::cell::Member};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use std::{collections::VecDeque, sync::Arc};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument as _;

/// The copies of one chunk on their way.
struct Round {
    shared: Arc<Shared>,
    chunk: Chunk,
    deadline: Instant,
    running: FuturesUnordered<BoxFuture<'static, (NodeId, Result<(), CopyError>)>>,
    /// Who the running copies are for.
    pending: Vec<NodeId>,
    /// Suspect replicas, not asked yet.
    waiting: VecDeque<Member>,
    durable: usize,
    failed: Vec<(NodeId, CopyError)>,
}

/// Stores a chunk on [`COPIES_NEEDED`] of its replicas.
///
/// # Errors
/// See [`PutError`].
pub(super) async fn put(shared: &Arc<Shared>, chunk: Chunk, deadline: Instant) -> Result<(), PutError> {
    let mut round = Round::begin(shared, chunk, deadline);
    match timeout_at(deadline, round.until_durable()).await {
        Ok(Ok(())) => {
            round.leave().await;
            Ok(())
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(PutError::Deadline),
    }
}

impl Round {
    fn begin(shared: &Arc<Shared>, chunk: Chunk, deadline: Instant) -> Self {
        let now = shared.env.clock.now();
        let replicas = shared.replicas(chunk.id);
        let (suspect, trusted): (Vec<_>, Vec<_>) =
            replicas.into_iter().partition(|member| shared.suspicions.is_suspect(member.node, now));
        let mut round = Self {
            shared: Arc::clone(shared),
            chunk,
            deadline,
            running: FuturesUnordered::new(),
            pending: Vec::new(),
            waiting: suspect.into(),
            durable: 0,
            failed: Vec::new(),
        };
        trusted.into_iter().for_each(|member| round.start(member));
        round
    }

    fn start(&mut self, member: Member) {
        let (shared, chunk, deadline) = (Arc::clone(&self.shared), self.chunk.clone(), self.deadline);
        let span = tracing::info_span!("chunk_copy", chunk = %chunk.id, node = %member.node);
        self.pending.push(member.node);
        let copy = async move { (member.node, shared.copy_to(&member, &chunk, deadline).await) };
        self.running.push(copy.instrument(span).boxed());
    }

    /// Returns once enough copies are durable, or cannot become so any more.
    async fn until_durable(&mut self) -> Result<(), PutError> {
        while self.durable < COPIES_NEEDED {
            while self.durable + self.running.len() < COPIES_NEEDED
                && let Some(member) = self.waiting.pop_front()
            {
                self.start(member);
            }
            if self.durable + self.running.len() < COPIES_NEEDED {
                return Err(refusal(self.durable, &self.failed));
            }
            if let Some((node, outcome)) = self.running.next().await {
                self.ended(node, outcome);
            }
        }
        Ok(())
    }

    fn ended(&mut self, node: NodeId, outcome: Result<(), CopyError>) {
        self.pending.retain(|pending| *pending != node);
        match outcome {
            Ok(()) => self.durable += 1,
            Err(error) => {
                metrics::counter!("bulkhead_chunk_copies_failed_total").increment(1);
                tracing::debug!(chunk = %self.chunk.id, %node, %error, "a copy failed");
                self.failed.push((node, error));
            }
        }
    }

    /// Once the chunk is durable: notes the copies that are missing, and lets the one that is still under way go on.
    async fn leave(mut self) {
        for (node, _) in &self.failed {
            self.shared.lacks(self.chunk.id, *node);
        }
        for member in &self.waiting {
            self.shared.lacks(self.chunk.id, member.node);
        }
        self.failed.clear();
        if self.running.is_empty() {
            return;
        }
        let bytes = u32::try_from(self.chunk.payload.data().len()).expect("the store checked the chunk's size");
        let room = Arc::clone(&self.shared.third_copies).acquire_many_owned(bytes);
        tokio::select! {
            biased;
            Some((node, outcome)) = self.running.next() => self.settle(node, outcome),
            room = timeout(THIRD_COPY_PATIENCE, room) => match room {
                Ok(Ok(room)) => {
                    let tasks = self.shared.env.tasks.clone();
                    let span = tracing::Span::current();
                    let rest = async move {
                        self.finish().await;
                        drop(room);
                    };
                    tasks.spawn("third-copy", rest.instrument(span));
                }
                Ok(Err(_)) | Err(_) => self.give_up(),
            },
        }
    }

    async fn finish(&mut self) {
        while let Some((node, outcome)) = self.running.next().await {
            self.settle(node, outcome);
        }
    }

    fn settle(&mut self, node: NodeId, outcome: Result<(), CopyError>) {
        let failed = outcome.is_err();
        self.ended(node, outcome);
        if failed {
            self.shared.lacks(self.chunk.id, node);
        }
    }

    /// The third copy has no room to go on: its node is too slow. Dropping it breaks it off.
    fn give_up(&self) {
        metrics::counter!("bulkhead_chunk_third_copies_given_up_total").increment(1);
        for node in &self.pending {
            tracing::debug!(chunk = %self.chunk.id, %node, "a third copy was too slow");
            self.shared.suspicions.failed(*node, self.shared.env.clock.now());
            self.shared.lacks(self.chunk.id, *node);
        }
    }
}

/// What too few copies mean to the caller.
fn refusal(durable: usize, failed: &[(NodeId, CopyError)]) -> PutError {
    let any = |wanted: fn(&CopyError) -> bool| failed.iter().any(|(_, error)| wanted(error));
    let all = |wanted: fn(&CopyError) -> bool| failed.iter().all(|(_, error)| wanted(error));
    if any(|error| matches!(error, CopyError::Conflict)) {
        return PutError::Conflict;
    }
    if !failed.is_empty() && all(|error| matches!(error, CopyError::Full)) {
        return PutError::DiskFull;
    }
    if !failed.is_empty() && all(|error| matches!(error, CopyError::Deadline)) {
        return PutError::Deadline;
    }
    let why = failed.iter().map(|(node, error)| format!("node {node}: {error}")).collect::<Vec<_>>().join("; ");
    let why = if why.is_empty() { "the cell has too few nodes".to_owned() } else { why };
    PutError::NotEnoughReplicas { durable, needed: COPIES_NEEDED, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_the_caller_can_do_about_it() {
        let unreachable = CopyError::Unreachable("refused".into());
        let full = CopyError::Full;
        let disk_full = |failed: &[CopyError]| {
            let failed: Vec<_> = failed.iter().cloned().map(|error| (NodeId(1), error)).collect();
            refusal(0, &failed)
        };
        assert_eq!(disk_full(&[full.clone(), full.clone()]), PutError::DiskFull);
        assert!(matches!(disk_full(&[full, unreachable]), PutError::NotEnoughReplicas { .. }));
        assert_eq!(disk_full(&[CopyError::Deadline, CopyError::Deadline]), PutError::Deadline);
        assert_eq!(disk_full(&[CopyError::Conflict]), PutError::Conflict);
        assert!(matches!(disk_full(&[]), PutError::NotEnoughReplicas { .. }));
    }
}

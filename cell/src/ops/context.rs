//! What the calls need of their node, and nothing else; and how they submit a command and take a view.

use super::{Caller, OpError, budget::Budgets, ingest::Cut};
use crate::{
    admit::Admission,
    chunks::ChunkStore,
    drill::Drill,
    limits::{CHUNK_PATIENCE, COMMIT_PATIENCE},
    meta::{
        command::{Command, Done, Refusal},
        index::{IndexHandle, Origin},
        keys::replays,
        view::IndexView,
    },
    names::Names,
};
use bulkhead_model::{Epoch, RequestId, blueprint::Sizes};
use bulkhead_service::Env;
use tokio::time::Instant;

/// The node as the calls see it. Cheap to clone.
#[derive(Clone)]
pub struct Cell {
    pub index: IndexHandle,
    pub chunks: ChunkStore,
    pub names: Names,
    pub env: Env,
    pub budgets: Budgets,
    /// Who may be executed now.
    pub admission: Admission,
    /// How the bodies of objects are cut.
    pub cut: Cut,
    /// Whether the cell is being certified; `None` where it never is.
    pub drill: Option<Drill>,
}

impl Cell {
    /// Puts together what the calls need.
    pub fn new(index: IndexHandle, chunks: ChunkStore, names: Names, env: Env, sizes: &Sizes) -> Self {
        let cut = Cut { inline_bytes_max: Some(sizes.inline_bytes_max), chunk_bytes: sizes.chunk_bytes };
        let (budgets, admission) = (Budgets::new(sizes.body_budget_bytes), Admission::new(env.clock.clone(), true));
        Self { index, chunks, names, env, budgets, admission, cut, drill: None }
    }

    /// The same, with another gate in front of it.
    pub fn behind(self, admission: Admission) -> Self {
        Self { admission, ..self }
    }

    /// The same, on a node that may be certified.
    pub fn marked(self, drill: Drill) -> Self {
        Self { drill: Some(drill), ..self }
    }

    /// Whether only who certifies the cell may make buckets in it.
    pub(super) fn is_certifying(&self) -> bool {
        self.drill.as_ref().is_some_and(Drill::is_certifying)
    }

    /// Until when a commit may take that begins now, after a body has been taken in.
    pub(super) fn commit_deadline(&self) -> Instant {
        self.env.clock.now() + COMMIT_PATIENCE
    }

    /// Until when a chunk may take that is put or read from now on.
    pub(super) fn chunk_deadline(&self) -> Instant {
        self.env.clock.now() + CHUNK_PATIENCE
    }

    /// Submits a command under a request id and returns what it did, once that is durable.
    pub(super) async fn execute(
        &self,
        caller: &Caller,
        request: RequestId,
        command: Command,
        deadline: Instant,
    ) -> Result<Done, OpError> {
        let origin = Origin { request: Some(request), routed: caller.routed };
        let refusal = match self.index.execute(origin, command, deadline).await? {
            Ok(done) => return Ok(done),
            Err(refusal) => refusal,
        };
        if let Refusal::EpochClosed { blob } = &refusal {
            self.index.epoch_closed(blob.epoch);
        }
        Err(refusal.into())
    }

    /// A view that includes everything acknowledged before, provided this cell serves the account under the epoch the
    /// router believed.
    pub(super) async fn view(&self, caller: &Caller) -> Result<IndexView, OpError> {
        let view = self.index.read(caller.deadline).await?;
        if let Some((account, epoch)) = caller.routed {
            // As `apply` has it: an account that is not here at all has epoch 0.
            let current = view.epoch(account)?.unwrap_or(Epoch(0));
            if current != epoch {
                return Err(Refusal::Moved { current }.into());
            }
        }
        Ok(view)
    }
}

/// What became of this very request when it was made before: a repetition must not be refused because of what it did itself.
pub(super) fn replayed(view: &IndexView, caller: &Caller) -> Result<Option<Result<Done, Refusal>>, OpError> {
    Ok(replays::by_request(caller.request).get(view.reader())?.map(|replay| replay.outcome))
}

/// A command was answered with what only another command does.
pub(super) fn unexpected(done: &Done) -> OpError {
    OpError::Unknown(format!("the index answered {done:?}"))
}

/// Runs a read of the index that may take long on the blocking pool.
pub(super) async fn off_thread<T: Send + 'static>(
    cell: &Cell,
    work: impl FnOnce() -> Result<T, OpError> + Send + 'static,
) -> Result<T, OpError> {
    match cell.env.tasks.blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(OpError::Internal(format!("reading the index did not end: {error}"))),
    }
}

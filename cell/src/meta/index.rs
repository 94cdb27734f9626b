//! The handle its users hold: submit a command, read a view, get a fresh blob id. Cheap to clone.
//!
//! Stamps time; decides nothing. Whether an outcome is unknown is said, never guessed.

use super::{
    command::{Command, Done, Envelope, Outcome},
    epochs::{BlobLease, Opening, UploadEpochs},
    format,
    record::{UploadEpoch, UploadId},
    view::IndexView,
};
use bulkhead_model::{AccountId, Epoch, NodeId, RequestId};
use bulkhead_replica::{ProposeError, ReadError, Replica};
use bulkhead_service::Env;
use std::sync::Arc;
use tokio::time::Instant;

/// Why a command has no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Certainly not executed and never will be: it may be submitted again, here or on another node.
    #[error("not executed: {0}")]
    NotExecuted(String),
    /// May have been executed, or may still be.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    #[error("a command of {bytes} bytes is larger than the {max} bytes an entry may have")]
    TooLarge { bytes: usize, max: usize },
}

impl From<ProposeError> for SubmitError {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NotExecuted(why) => Self::NotExecuted(why),
            ProposeError::Unknown(why) => Self::Unknown(why),
            ProposeError::TooLarge { bytes, max } => Self::TooLarge { bytes, max },
        }
    }
}

/// What a command carries of the request it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin {
    /// Makes a repetition return the recorded outcome.
    pub request: Option<RequestId>,
    /// What the router believed.
    pub routed: Option<(AccountId, Epoch)>,
}

/// The index, as a node of the cell uses it.
#[derive(Clone)]
pub struct IndexHandle {
    replica: Replica,
    env: Env,
    node: NodeId,
    epochs: Arc<UploadEpochs>,
}

impl IndexHandle {
    /// A handle for `node` on its replica.
    pub fn new(replica: Replica, env: Env, node: NodeId) -> Self {
        Self { replica, env, node, epochs: Arc::default() }
    }

    /// Stamps `command` with the time and submits it.
    ///
    /// # Errors
    /// As [`IndexHandle::submit`].
    pub async fn execute(&self, origin: Origin, command: Command, deadline: Instant) -> Result<Outcome, SubmitError> {
        let Origin { request, routed } = origin;
        self.submit(Envelope { time: self.env.clock.wall(), request, routed, command }, deadline).await
    }

    /// Has the command applied by the cell. The outcome is durable on a majority when it is returned.
    ///
    /// # Errors
    /// [`SubmitError`] says whether the command may have been executed.
    pub async fn submit(&self, envelope: Envelope, deadline: Instant) -> Result<Outcome, SubmitError> {
        let command = format::encode(&envelope).into();
        let outcome = self.replica.propose(command, deadline).await?;
        format::decode(&outcome).map_err(|error| SubmitError::Unknown(error.to_string()))
    }

    /// A state that includes everything that was acknowledged before this call.
    ///
    /// # Errors
    /// When no leader confirms it before `deadline`.
    pub async fn read(&self, deadline: Instant) -> Result<IndexView, ReadError> {
        Ok(IndexView::new(self.replica.view(deadline).await?))
    }

    /// The state as this node has it, possibly behind: for credentials, and for figures.
    pub fn local(&self) -> IndexView {
        IndexView::new(self.replica.local_view())
    }

    /// Opens another upload epoch for this node, and closes those of its epochs that nothing is written under any more; the
    /// first time all that the node had in a former life. Done at start and every few minutes.
    ///
    /// # Errors
    /// As [`IndexHandle::submit`].
    pub async fn rotate_epoch(&self, deadline: Instant) -> Result<(), SubmitError> {
        self.epochs.rotate(self.env.clock.now(), |opening| self.propose_epoch(opening, deadline)).await
    }

    /// A blob id that no one has had and no one will have. Its epoch stays open, within limits, while the lease is held. Opens an
    /// upload epoch when none is open.
    ///
    /// # Errors
    /// As [`IndexHandle::submit`], when an epoch had to be opened and could not be.
    pub async fn lease_blob(&self, deadline: Instant) -> Result<BlobLease, SubmitError> {
        self.epochs.lease(self.env.clock.now(), |opening| self.propose_epoch(opening, deadline)).await
    }

    /// Says that a command was refused because this epoch is closed: the next blob gets a new one.
    pub fn epoch_closed(&self, epoch: UploadEpoch) {
        self.epochs.close(epoch);
    }

    /// Upload epochs of this node that are not known to be closed.
    pub fn open_epochs(&self) -> usize {
        self.epochs.open_count()
    }

    /// A fresh id for a multipart upload initiated now.
    pub fn upload_id(&self) -> UploadId {
        UploadId::mint(self.env.clock.wall(), self.env.rng.u64())
    }

    /// The replica beneath: for forming the group, and for its status.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    async fn propose_epoch(&self, opening: Opening, deadline: Instant) -> Result<UploadEpoch, SubmitError> {
        let node = self.node;
        let command = match opening {
            Opening::First => Command::OpenEpoch { node },
            Opening::Next { to, keep } => Command::RotateEpoch { node, to, keep },
        };
        match self.execute(Origin::default(), command, deadline).await? {
            Ok(Done::EpochOpened { epoch }) => Ok(epoch),
            other => Err(SubmitError::Unknown(format!("opening an upload epoch was answered with {other:?}"))),
        }
    }
}

//! The handle to the replicated directory: propose a command, read a view. Cheap to clone.

use super::{
    command::{Command, Done, Envelope, Outcome, Refusal},
    format,
};
use crate::{
    caller,
    limits::{DIRECTORY_DEADLINE, POLL_PAUSE},
};
use bulkhead_replica::{ProposeError, Replica, StoreError, View};
use bulkhead_service::Env;
use std::sync::Arc;
use tokio::sync::Notify;

/// Why the directory did not answer.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Nothing was done.
    #[error("the directory has no leader or is overloaded: {0}")]
    Unavailable(String),
    /// The command may have been executed, or may still be.
    #[error("the directory did not confirm in time: {0}")]
    Unknown(String),
    /// Nothing was done, and repeating it would not help.
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The directory as one node of the control plane has it.
#[derive(Clone)]
pub struct Directory {
    replica: Replica,
    env: Env,
    changed: Arc<Notify>,
}

impl Directory {
    /// Wraps a replica whose machine is [`super::apply::DirectoryMachine`].
    pub fn new(replica: Replica, env: Env) -> Self {
        Self { replica, env, changed: Arc::default() }
    }

    /// Has a command applied in the name of whoever calls, and returns what it did.
    ///
    /// # Errors
    /// [`DirectoryError`] tells apart a refusal, certainly nothing, and an unknown outcome.
    pub async fn propose(&self, command: Command) -> Result<Done, DirectoryError> {
        let deadline = self.env.clock.now() + DIRECTORY_DEADLINE;
        // A new group, or one whose last member was just upgraded, agrees within a second on what all of it reads.
        while self.replica.version() < command.version() && self.env.clock.now() < deadline {
            tokio::time::sleep(POLL_PAUSE).await;
        }
        let who = (self.replica.version() >= format::V2).then(caller::name);
        let envelope = format::encode(&Envelope { time: self.env.clock.wall(), command, who });
        let outcome = match self.replica.propose(envelope.into(), deadline).await {
            Ok(outcome) => outcome,
            Err(ProposeError::NotExecuted(why)) => return Err(DirectoryError::Unavailable(why)),
            Err(ProposeError::Unknown(why)) => return Err(DirectoryError::Unknown(why)),
            Err(error @ ProposeError::TooLarge { .. }) => return Err(DirectoryError::Unavailable(error.to_string())),
        };
        self.changed.notify_waiters();
        format::decode::<Outcome>(&outcome)?.map_err(DirectoryError::Refused)
    }

    /// A state that includes everything acknowledged before.
    ///
    /// # Errors
    /// [`DirectoryError::Unavailable`] when no leader confirms it in time.
    pub async fn view(&self) -> Result<View, DirectoryError> {
        let deadline = self.env.clock.now() + DIRECTORY_DEADLINE;
        self.replica.view(deadline).await.map_err(|error| DirectoryError::Unavailable(error.to_string()))
    }

    /// The state as this node has it, possibly behind.
    pub fn local_view(&self) -> View {
        self.replica.local_view()
    }

    /// What this node has of a cell, possibly behind.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn local_cell(&self, cell: &bulkhead_model::CellId) -> Result<Option<super::record::Cell>, DirectoryError> {
        Ok(super::read::cell(&self.replica.local_view(), cell)?)
    }

    /// The replica, for its status.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Ends when a command proposed through this node has been applied, if that happens after this call.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }
}

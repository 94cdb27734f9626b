//! The state machine openraft drives: committed entries in, one write to the state store per batch out.
//!
//! A batch's commands are decided one after the other over an [`Overlay`], so each sees what the earlier ones did; outcomes
//! leave only after the write. An error here ends this node: going on would diverge.
//! Must not know what commands mean.

use crate::{
    limits::{APPLY_BYTES_MAX, APPLY_ENTRIES_MAX},
    log::payload_bytes,
    machine::{Machine, Mutation, StoreError},
    snapshot::{Checkpoints, Saved},
    store::{Overlay, Store},
    types::{Entry, LogId, Outcome, SnapshotMeta, StoredMembership, TypeConfig},
    version::{self, Raise},
};
use bulkhead_service::{env::Tasks, fail_point::FailPoint};
use futures::{Stream, StreamExt};
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder,
    storage::{ApplyResponder, EntryResponder, RaftStateMachine},
    type_config::alias::SnapshotOf,
};
use std::{io, sync::Arc};

/// The state store seen from openraft.
pub(crate) struct StateMachine {
    pub store: Arc<Store>,
    pub machine: Arc<dyn Machine>,
    pub checkpoints: Arc<Checkpoints>,
    pub tasks: Tasks,
}

/// Takes one checkpoint.
pub(crate) struct Builder {
    store: Arc<Store>,
    checkpoints: Arc<Checkpoints>,
    tasks: Tasks,
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = Arc<Saved>;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let store = Arc::clone(&self.store);
        let state = blocking(&self.tasks, move || store.database().applied()).await?;
        Ok((state.last, state.membership))
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        // Asked again after its end, by the batch that finds nothing left.
        let mut entries = entries.fuse();
        loop {
            let (batch, responders) = next_batch(&mut entries).await?;
            let Some(last) = batch.last().map(|entry| entry.log_id) else { return Ok(()) };
            metrics::histogram!("replica_apply_batch_entries").record(count(batch.len()));
            let (store, machine) = (Arc::clone(&self.store), Arc::clone(&self.machine));
            let outcomes = blocking(&self.tasks, move || apply_batch(&store, &*machine, batch)).await?;
            FailPoint::StateWritten.pass();
            self.store.announce(&last);
            for (responder, outcome) in responders.into_iter().zip(outcomes) {
                if let Some(responder) = responder {
                    responder.send(outcome);
                }
            }
        }
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            store: Arc::clone(&self.store),
            checkpoints: Arc::clone(&self.checkpoints),
            tasks: self.tasks.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, from: Arc<Saved>) -> Result<(), io::Error> {
        let (store, checkpoints, last) = (Arc::clone(&self.store), Arc::clone(&self.checkpoints), meta.last_log_id);
        let newest = self.machine.newest_format();
        blocking(&self.tasks, move || {
            version::check(from.applied().version, newest)?;
            let database = store.replace(&from.database(), last.as_ref())?;
            checkpoints.take(&database, store.families()).map(drop)
        })
        .await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<TypeConfig, Arc<Saved>>>, io::Error> {
        Ok(self.checkpoints.current().map(snapshot))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Arc<Saved>;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<TypeConfig, Arc<Saved>>, io::Error> {
        let (store, checkpoints) = (Arc::clone(&self.store), Arc::clone(&self.checkpoints));
        blocking(&self.tasks, move || checkpoints.take(&store.database(), store.families())).await.map(snapshot)
    }
}

fn snapshot(saved: Arc<Saved>) -> SnapshotOf<TypeConfig, Arc<Saved>> {
    openraft::Snapshot { meta: saved.meta(), snapshot: saved }
}

type Responder = Option<ApplyResponder<TypeConfig>>;

/// As many entries as are there, within the bounds of one batch.
async fn next_batch<Strm>(entries: &mut Strm) -> Result<(Vec<Entry>, Vec<Responder>), io::Error>
where
    Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin,
{
    let (mut batch, mut responders, mut bytes) = (Vec::new(), Vec::new(), 0);
    while batch.len() < APPLY_ENTRIES_MAX && bytes < APPLY_BYTES_MAX {
        let Some(item) = entries.next().await else { break };
        let (entry, responder) = item?;
        bytes += payload_bytes(&entry.payload);
        batch.push(entry);
        responders.push(responder);
    }
    Ok((batch, responders))
}

/// Decides every command of a batch, in order, and writes what they all did at once. One outcome per entry.
fn apply_batch(store: &Store, machine: &dyn Machine, entries: Vec<Entry>) -> Result<Vec<Outcome>, StoreError> {
    let database = &*store.database();
    let mut overlay = Overlay::new(database);
    let mut write = database.batch();
    let mut outcomes = Vec::with_capacity(entries.len());
    let (mut last, mut membership, mut version) = (None, None, None);
    for entry in entries {
        last = Some(entry.log_id);
        outcomes.push(match entry.payload {
            EntryPayload::Blank => Outcome::default(),
            EntryPayload::Membership(new) => {
                membership = Some(StoredMembership::new(Some(entry.log_id), new));
                Outcome::default()
            }
            EntryPayload::Normal(command) if let Some(raise) = Raise::decode(&command.0)? => {
                let now = match &membership {
                    Some(new) => StoredMembership::clone(new),
                    None => database.applied()?.membership,
                };
                let raised = raise.decide(store.version(), now.membership().nodes().map(|(id, _)| *id));
                version::check(raised, machine.newest_format())?;
                version = Some(raised.max(version.unwrap_or_default()));
                Outcome::default()
            }
            EntryPayload::Normal(command) => {
                let applied = machine.apply(&overlay, &command.0)?;
                for mutation in &applied.mutations {
                    match mutation {
                        Mutation::Put { family, key, value } => database.put(&mut write, *family, key, value)?,
                        Mutation::Delete { family, key } => database.delete(&mut write, *family, key)?,
                    }
                }
                overlay.add(applied.mutations);
                Outcome(applied.outcome)
            }
        });
    }
    if let Some(last) = last {
        database.commit(write, &last, membership.as_ref(), version)?;
    }
    if let Some(version) = version {
        store.raised(version);
    }
    Ok(outcomes)
}

/// Runs disk work where it may block.
async fn blocking<T: Send + 'static>(
    tasks: &Tasks,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> io::Result<T> {
    tasks.blocking(work).await.map_err(io::Error::other)?.map_err(io::Error::other)
}

fn count(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::INFINITY, f64::from)
}

//! Repair: missing copies are made out of whole ones, those of the most endangered chunks first.
//!
//! Readers, writers, scrub and the census say what is missing ([`crate::chunks::repairs`]); the index says whether it is needed; the
//! nodes say which copies there are. The rate has a floor that tenants' load does not touch, and a ceiling.

mod plan;

#[cfg(test)]
mod tests;

use super::{
    blocking,
    figures::Figures,
    pace::{Activity, Pacer, at_rate, of_what_is_left},
};
use crate::{
    admit::Admission,
    chunks::{ChunkStore, CopyError, RestoreError, Wanted, repairs::MissingCopy},
    limits::{
        HELD_IDS_MAX, REPAIR_BYTES_PER_SECOND_MIN, REPAIR_INTERVAL, REPAIR_PATIENCE, REPAIR_RETRY, REPAIR_ROUND,
        REPAIRS_AT_ONCE, SURVEY_PATIENCE,
    },
    meta::{bytes::Bytes, index::IndexHandle},
};
use bulkhead_model::settings::REPAIR_RATE;
use bulkhead_replica::{ReadError, StoreError};
use bulkhead_service::{Env, settings::Live};
use futures::StreamExt as _;
use parking_lot::Mutex;
use plan::{Need, Plan, Survey, Task, need, plan};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::{sleep, sleep_until};

/// Why a round of repair did not begin.
#[derive(Debug, thiserror::Error)]
enum RepairError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the index cannot be read: {0}")]
    Store(#[from] StoreError),
}

/// Repairs until the node stops.
pub struct Job {
    pub index: IndexHandle,
    pub chunks: ChunkStore,
    pub figures: Arc<Figures>,
    /// Tells what tenants leave.
    pub admission: Admission,
    pub env: Env,
    pub settings: Live,
    /// Released bytes are kept for so long.
    pub grace: Duration,
}

impl Job {
    pub async fn run(self) {
        let stopping = self.env.tasks.stopping();
        stopping.run_until_cancelled(self.again_and_again()).await;
    }

    async fn again_and_again(&self) {
        loop {
            let is_stuck = self.round().await.unwrap_or_else(|error| {
                tracing::debug!(%error, "repair waits for the index");
                true
            });
            sleep(if is_stuck { REPAIR_RETRY } else { REPAIR_INTERVAL }).await;
        }
    }

    /// Makes what copies it can. Says whether some wait and none could be made.
    async fn round(&self) -> Result<bool, RepairError> {
        let waiting = self.chunks.repairs().list();
        if waiting.is_empty() || self.chunks.topology().is_none() {
            self.figures.without_source(0);
            return Ok(false);
        }
        let missing = self.needed(waiting).await?;
        let survey = self.survey(&missing).await;
        let Plan { tasks, settled, waiting, without_source } =
            plan(&missing, &survey, |chunk| self.chunks.placed_on(chunk));
        settled.iter().for_each(|copy| self.chunks.repairs().settle(copy));
        self.figures.without_source(without_source);
        if without_source > 0 {
            tracing::error!(chunks = without_source, "chunks that are needed are on no node");
        }
        let (made, failed) = self.make(tasks).await;
        Ok(made == 0 && (failed > 0 || waiting > 0))
    }

    /// Of the missing copies, those of chunks that are named. Those nobody needs are settled.
    async fn needed(&self, waiting: Vec<MissingCopy>) -> Result<Vec<(MissingCopy, Wanted)>, RepairError> {
        let view = self.index.read(self.env.clock.now() + SURVEY_PATIENCE).await?;
        let grace = self.grace;
        let answers = blocking(&self.env.tasks, move || {
            let bytes = Bytes::new(view, grace)?;
            waiting.into_iter().map(|copy| Ok((copy, need(&bytes, copy.chunk)?))).collect::<Result<Vec<_>, _>>()
        });
        let mut missing = Vec::new();
        for (copy, need) in answers.await? {
            match need {
                Need::Copy(wanted) => {
                    self.chunks.repairs().judged(&copy, true);
                    missing.push((copy, wanted));
                }
                Need::Later => self.chunks.repairs().judged(&copy, false),
                Need::Nothing => self.chunks.repairs().settle(&copy),
            }
        }
        Ok(missing)
    }

    /// Asks every node which of these chunks it has.
    async fn survey(&self, missing: &[(MissingCopy, Wanted)]) -> Survey {
        let chunks: BTreeSet<_> = missing.iter().map(|(copy, _)| copy.chunk).collect();
        let mut asked = BTreeMap::new();
        for chunk in chunks {
            for member in self.chunks.placed_on(chunk) {
                asked.entry(member.node).or_insert_with(|| (member, Vec::new())).1.push(chunk);
            }
        }
        let mut survey = Survey::default();
        for (node, (member, chunks)) in asked {
            let mut held = std::collections::HashSet::new();
            let mut answered = true;
            for ids in chunks.chunks(HELD_IDS_MAX) {
                match self.chunks.held_by(&member, ids, self.env.clock.now() + SURVEY_PATIENCE).await {
                    Ok(has) => held.extend(ids.iter().zip(has).filter(|(_, has)| *has).map(|(id, _)| *id)),
                    Err(error) => {
                        tracing::debug!(%node, %error, "a node does not say which chunks it has");
                        answered = false;
                        break;
                    }
                }
            }
            if answered {
                survey.held.insert(node, held);
            }
        }
        survey
    }

    /// Makes copies in this order, several at a time, until the round is over. Says how many were made, and how many failed.
    async fn make(&self, tasks: Vec<Task>) -> (usize, usize) {
        let now = self.env.clock.now();
        let until = now + REPAIR_ROUND;
        let pace = Mutex::new((Pacer::new(now), Activity::new(now, self.chunks.operations())));
        let unreachable = Mutex::new(BTreeSet::new());
        let made = futures::stream::iter(tasks)
            .take_while(|_| std::future::ready(self.env.clock.now() < until))
            .map(|task| self.make_one(task, &pace, &unreachable))
            .buffer_unordered(REPAIRS_AT_ONCE);
        let count = |(made, failed): (usize, usize), is_made| {
            std::future::ready(if is_made { (made + 1, failed) } else { (made, failed + 1) })
        };
        made.fold((0, 0), count).await
    }

    async fn make_one(
        &self,
        task: Task,
        pace: &Mutex<(Pacer, Activity)>,
        unreachable: &Mutex<BTreeSet<bulkhead_model::NodeId>>,
    ) -> bool {
        if unreachable.lock().contains(&task.to.node) {
            return false;
        }
        sleep_until(self.slot(pace, task.wanted.len)).await;
        match self.chunks.restore(task.wanted, &task.to, self.env.clock.now() + REPAIR_PATIENCE).await {
            Ok(()) => {
                self.chunks.repairs().settle(&MissingCopy { chunk: task.wanted.chunk, node: task.to.node });
                self.figures.repaired(task.wanted.len);
                true
            }
            Err(error) => {
                tracing::debug!(chunk = %task.wanted.chunk, node = %task.to.node, %error, "a copy was not made");
                if let RestoreError::Target(CopyError::Unreachable(_) | CopyError::Deadline | CopyError::Full) = error {
                    unreachable.lock().insert(task.to.node);
                }
                false
            }
        }
    }

    fn slot(&self, pace: &Mutex<(Pacer, Activity)>, bytes: u32) -> tokio::time::Instant {
        let (pacer, activity) = &mut *pace.lock();
        let now = self.env.clock.now();
        let is_busy = activity.is_busy(now, self.chunks.operations());
        let most = self.settings.number(&REPAIR_RATE, None);
        pacer.slot(now, at_rate(bytes.into(), rate(is_busy, self.admission.utilisation(), most)))
    }
}

/// Bytes per second, with so much of the node in use, and `most` allowed. Never below the floor.
fn rate(is_busy: bool, used_percent: u64, most: u64) -> u64 {
    let most = if is_busy { REPAIR_BYTES_PER_SECOND_MIN } else { most };
    of_what_is_left(REPAIR_BYTES_PER_SECOND_MIN, most, used_percent)
}

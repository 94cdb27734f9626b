//! Gives space back: has the chunk store compact extents that are mostly garbage, and empty its trash under the eyes of the index.

use super::{
    blocking,
    figures::Figures,
    pace::{Activity, of_what_is_left},
};
use crate::{
    admit::Admission,
    chunks::{Budget, ChunkId, ChunkStore, Emptied, Inspect, Outcome},
    limits::{
        COMPACTION_BYTES_PER_SECOND_BUSY, COMPACTION_BYTES_PER_SECOND_MAX, COMPACTION_INTERVAL, COMPACTION_STEP_BYTES,
        INSPECTION_PATIENCE,
    },
    meta::{
        bytes::{Bytes, Verdict},
        index::IndexHandle,
    },
};
use async_trait::async_trait;
use bulkhead_model::settings::COMPACTION;
use bulkhead_service::{Env, settings::Live};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// The index, asked about each record before its extent is removed for good.
struct Inspector {
    index: IndexHandle,
    env: Env,
    grace: Duration,
}

#[async_trait]
impl Inspect for Inspector {
    /// All but what the index calls free, which no later state of it names.
    async fn needed(&self, ids: &[ChunkId]) -> Result<Vec<ChunkId>, String> {
        let view =
            self.index.read(self.env.clock.now() + INSPECTION_PATIENCE).await.map_err(|error| error.to_string())?;
        let (ids, grace) = (ids.to_vec(), self.grace);
        let needed = blocking(&self.env.tasks, move || {
            let bytes = Bytes::new(view, grace)?;
            let mut needed = Vec::new();
            for id in ids {
                if bytes.verdict(id.blob.into())? != Verdict::Free {
                    needed.push(id);
                }
            }
            Ok(needed)
        });
        needed.await.map_err(|error| error.to_string())
    }
}

/// Compacts until the node stops.
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
        let inspector = Inspector { index: self.index.clone(), env: self.env.clone(), grace: self.grace };
        let mut activity = Activity::new(self.env.clock.now(), self.chunks.operations());
        loop {
            let is_busy = activity.is_busy(self.env.clock.now(), self.chunks.operations());
            let pace = self.settings.choice(&COMPACTION, None, None);
            let done = self.chunks.local().compact_once(budget(is_busy, self.admission.utilisation(), pace)).await;
            if let Outcome::Failed { why } = &done.outcome {
                tracing::warn!(why, "an extent was not compacted");
            }
            let emptied = self.chunks.local().empty_trash(&inspector).await;
            self.figures.emptied(&emptied);
            report(&emptied);
            if rests_after(&done.outcome) {
                sleep(COMPACTION_INTERVAL).await;
            }
        }
    }
}

/// What one step may move, and how fast: `gentle`, `normal` or `eager`. Never below the floor, and by what tenants leave.
fn budget(is_busy: bool, used_percent: u64, pace: &str) -> Budget {
    let most = match (pace, is_busy) {
        ("gentle", _) | ("normal", true) => COMPACTION_BYTES_PER_SECOND_BUSY,
        _ => COMPACTION_BYTES_PER_SECOND_MAX,
    };
    let rate = of_what_is_left(COMPACTION_BYTES_PER_SECOND_BUSY, most, used_percent);
    Budget { bytes: COMPACTION_STEP_BYTES, bytes_per_second: rate }
}

/// Whether another step at once would be of no use.
fn rests_after(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Sealed(_) | Outcome::Partly(_) | Outcome::Trashed(_) => false,
        Outcome::Nothing | Outcome::TrashFull | Outcome::Full | Outcome::Failed { .. } => true,
    }
}

fn report(emptied: &Emptied) {
    if emptied.rescued > 0 {
        metrics::counter!("bulkhead_chunk_trash_rescued_total").increment(emptied.rescued as u64);
        tracing::error!(chunks = emptied.rescued, "chunks in trash are needed: their extents are in use again");
    }
    if let Some(why) = &emptied.left {
        tracing::warn!(why, "an extent stays in trash");
    }
    if emptied.extents > 0 {
        let Emptied { extents, bytes, dead, moved, .. } = *emptied;
        tracing::info!(extents, bytes, dead, moved, "trash was emptied");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::settings::Kind;

    #[test]
    fn each_pace_of_compaction_is_one_of_its_own_and_none_is_below_the_floor() {
        let (floor, most) = (COMPACTION_BYTES_PER_SECOND_BUSY, COMPACTION_BYTES_PER_SECOND_MAX);
        let Kind::Choice { of, default } = COMPACTION.kind else { panic!("it is a choice") };
        assert_eq!((of, default), (&["gentle", "normal", "eager"][..], "normal"));
        let rates = |pace| (budget(false, 0, pace).bytes_per_second, budget(true, 0, pace).bytes_per_second);
        assert_eq!(["gentle", "normal", "eager"].map(rates), [(floor, floor), (most, floor), (most, most)]);
        assert!(of.iter().all(|pace| budget(false, 100, pace).bytes_per_second == floor), "tenants come first");
    }
}

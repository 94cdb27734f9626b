//! Follows consensus: readiness, the status others wait for, gauges, when a checkpoint is due and how much log is kept.
//!
//! Decisions are pure functions; one task acts on them whenever openraft's metrics change.

use crate::{
    handle::Status,
    limits::{LOG_CHECKPOINTS_KEPT, LOG_MARK_EVERY, MEASURE_EVERY},
    medium::Log,
    membership::Members,
    network::Served,
    retain::Retention,
    types::{Raft, TypeConfig, position},
};
use bulkhead_model::NodeId;
use bulkhead_service::env::Clock;
use openraft::{RaftMetrics, async_runtime::watch::WatchReceiver};
use std::sync::Arc;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

/// Whether this node has applied what may have been committed before it started.
///
/// `tail` is the position its log ended at when it started. A leader may have cut that tail off, so what counts is the
/// shorter of the tail then and the log now; and the commit must come from a leader, not from this node's own disk.
pub(crate) fn has_recovered(tail: u64, last: u64, committed: u64, applied: u64) -> bool {
    let wanted = tail.min(last).max(1);
    committed >= wanted && applied >= wanted
}

/// Whether a checkpoint is due, by the bytes appended since the last one.
pub(crate) fn checkpoint_is_due(appended: u64, at_last: u64, every: u64) -> bool {
    appended.saturating_sub(at_last) >= every
}

/// What the task follows and keeps.
pub(crate) struct Watcher {
    pub raft: Raft,
    pub log: Log,
    /// See [`has_recovered`].
    pub tail: u64,
    pub checkpoint_log_bytes: u64,
    pub status: watch::Sender<Status>,
    pub served: Arc<Served>,
    pub stop: CancellationToken,
    pub clock: Clock,
}

impl Watcher {
    /// Until the replica stops.
    pub async fn run(self) {
        let mut news = self.raft.metrics();
        let (mut checkpointed, mut asked) = (0, None);
        let mut measured = None;
        let mut recovered = false;
        let mut kept = Retention::new(self.checkpoint_log_bytes.saturating_mul(LOG_CHECKPOINTS_KEPT));
        let mut purged = 0;
        loop {
            let now = news.borrow_and_update().clone();
            recovered = recovered || self.recovered(&now);
            self.status.send_if_modified(|status| {
                let new = status_of(&now, recovered, self.served.is_wiped());
                let differs = *status != new;
                *status = new;
                differs
            });
            let at = self.clock.now();
            if measured.is_none_or(|before| at >= before + MEASURE_EVERY) {
                measured = Some(at);
                self.measure(&now);
            }
            let appended = self.log.appended_bytes();
            // While one is being taken another is not begun, and the log that grew meanwhile would stay.
            let is_missed = asked
                .is_some_and(|(since, upto)| at >= since + LOG_MARK_EVERY && position(now.snapshot.as_ref()) < upto);
            if is_missed || checkpoint_is_due(appended, checkpointed, self.checkpoint_log_bytes) {
                checkpointed = appended;
                asked = Some((at, position(now.last_applied.as_ref())));
                if let Err(error) = self.raft.trigger().snapshot().await {
                    tracing::warn!(%error, "no checkpoint is taken: consensus has stopped");
                }
            }
            let end = now.last_log_index.map_or(0, |index| index + 1);
            if kept.mark(at, end, appended) {
                let upto = kept.spare(at).min(position(now.snapshot.as_ref()));
                if upto > purged {
                    purged = upto;
                    if let Err(error) = self.raft.trigger().purge_log(upto - 1).await {
                        tracing::warn!(%error, "the log is not purged: consensus has stopped");
                    }
                }
            }
            // Entries grow old also when there is no news.
            match self.stop.run_until_cancelled(timeout(LOG_MARK_EVERY, news.changed())).await {
                Some(Ok(Ok(())) | Err(_)) => {}
                Some(Ok(Err(_))) | None => break,
            }
        }
        self.status.send_modify(|status| status.ready = false);
    }

    fn recovered(&self, now: &RaftMetrics<TypeConfig>) -> bool {
        let last = now.last_log_index.map_or(0, |index| index + 1);
        let (committed, applied) = (position(now.cluster_committed.as_ref()), position(now.last_applied.as_ref()));
        has_recovered(self.tail, last, committed, applied)
    }

    fn measure(&self, now: &RaftMetrics<TypeConfig>) {
        metrics::gauge!("replica_term").set(now.current_term as f64);
        metrics::gauge!("replica_applied").set(position(now.last_applied.as_ref()) as f64);
        metrics::gauge!("replica_leads").set(if now.current_leader == Some(now.id) { 1.0 } else { 0.0 });
        metrics::gauge!("replica_log_syncs").set(self.log.syncs() as f64);
        metrics::gauge!("replica_log_bytes").set(self.log.disk_bytes() as f64);
    }
}

/// The status these metrics show.
pub(crate) fn status_of(now: &RaftMetrics<TypeConfig>, recovered: bool, wiped: bool) -> Status {
    let Members { voters: members, learners } = Members::of(&now.membership_config);
    Status {
        leader: now.current_leader.map(NodeId),
        term: now.current_term,
        applied: position(now.last_applied.as_ref()),
        members,
        learners,
        ready: recovered && now.current_leader.is_some() && now.running_state.is_ok() && !wiped,
        wiped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_recovered_once_a_leader_confirmed_its_log_and_it_applied_that() {
        for (what, recovered, tail, last, committed, applied) in [
            ("nothing is known", false, 0, 0, 0, 0),
            ("a fresh node heard of the first entry", true, 0, 1, 1, 1),
            ("the leader has confirmed an older entry only", false, 10, 10, 9, 9),
            ("confirmed, not applied", false, 10, 12, 10, 9),
            ("confirmed and applied", true, 10, 12, 10, 10),
            ("the tail was cut off and replaced by less", true, 10, 9, 9, 9),
            ("writes go on while it catches up", true, 10, 500, 400, 399),
        ] {
            assert_eq!(has_recovered(tail, last, committed, applied), recovered, "{what}");
        }
    }

    #[test]
    fn a_checkpoint_is_due_by_bytes() {
        assert!(!checkpoint_is_due(99, 0, 100));
        assert!(checkpoint_is_due(100, 0, 100));
        assert!(!checkpoint_is_due(150, 100, 100));
    }
}

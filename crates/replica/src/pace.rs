//! A leader that is slow beside its peers hands over: every commit waits for it.
//!
//! Each node asks its peers a small question, measures how long the answer takes, and says in its own answers what it measured, and how
//! long its log took to sync. How slow a node is, the others say: the lower median of what they see of it, and the sync of its log on
//! top. To a leader that is slow itself everybody seems slow; what the others see of each other outvotes it.

use crate::{
    limits::{PACE_EVERY, PACE_FACTOR, PACE_JUDGEMENTS, PACE_PATIENCE, PACE_REST, PACE_SLOWER_MIN},
    medium::Log,
    network::{Peers, path},
    propose::{Leader, leader},
    types::Raft,
};
use bulkhead_service::env::Clock;
use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

/// What a node says of itself and of what it sees. Microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    node: u64,
    sync_us: u64,
    /// How long each of its peers takes to answer it.
    seen: Vec<(u64, u64)>,
}

/// What this node has measured.
#[derive(Debug, Default)]
pub(crate) struct Paces(Mutex<Measured>);

#[derive(Debug, Default)]
struct Measured {
    sync_us: u64,
    seen: BTreeMap<u64, u64>,
}

impl Paces {
    pub fn report(&self, node: u64) -> Report {
        let measured = self.0.lock();
        let seen = measured.seen.iter().map(|(peer, us)| (*peer, *us)).collect();
        Report { node, sync_us: measured.sync_us, seen }
    }

    fn synced(&self, took: Duration) {
        let measured = &mut *self.0.lock();
        measured.sync_us = smoothed(Some(measured.sync_us), took);
    }

    /// Takes in a round; peers that are not in it are forgotten.
    fn answered(&self, round: &[(u64, Duration)]) {
        let measured = &mut *self.0.lock();
        let known = std::mem::take(&mut measured.seen);
        measured.seen = round.iter().map(|(peer, took)| (*peer, smoothed(known.get(peer).copied(), *took))).collect();
    }
}

/// A quarter of it is the newest.
fn smoothed(before: Option<u64>, took: Duration) -> u64 {
    let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    before.map_or(took, |before| (before * 3).saturating_add(took) / 4)
}

/// Measures, and hands over when this node leads and is slow.
pub(crate) struct Pacer {
    pub raft: Raft,
    pub node: u64,
    pub log: Log,
    pub peers: Peers,
    pub paces: Arc<Paces>,
    pub clock: Clock,
    pub stop: CancellationToken,
}

impl Pacer {
    /// Until the replica stops.
    pub async fn run(self) {
        let (mut appended, mut judge) = (self.log.appended_bytes(), Judge::default());
        while self.stop.run_until_cancelled(time::sleep(PACE_EVERY)).await.is_some() {
            // A log that nobody writes to is not synced: that would say nothing, and cost the disk a flush.
            let before = std::mem::replace(&mut appended, self.log.appended_bytes());
            let (reports, ()) = futures::future::join(self.ask(), self.time_sync(before != appended)).await;
            let successor = match leader(&self.raft, self.node) {
                Leader::This => successor(self.node, &reports),
                Leader::Other(..) | Leader::Unknown => None,
            };
            if let Some(to) = judge.decide(successor, self.clock.now()) {
                tracing::warn!(to, ?reports, "this leader is slow beside its peers and hands over");
                metrics::counter!("replica_slow_leader_handovers").increment(1);
                if let Err(error) = self.raft.trigger().transfer_leader(to).await {
                    tracing::warn!(%error, "the lead was not handed over");
                }
            }
        }
    }

    /// What all say, this node included. Who does not answer in time counts as that slow and says nothing.
    async fn ask(&self) -> Vec<Report> {
        let members: Vec<_> = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            let membership = metrics.membership_config.membership();
            let voters: Vec<u64> = membership.voter_ids().collect();
            membership.nodes().filter(|(id, _)| voters.contains(id)).map(|(id, peer)| (*id, peer.clone())).collect()
        };
        let asked = members.into_iter().filter(|(id, _)| *id != self.node).map(|(id, peer)| async move {
            let begun = self.clock.now();
            let report: Option<Report> = self.peers.ask(id, &peer, path::PACE, &(), PACE_PATIENCE).await.ok();
            (id, self.clock.now().saturating_duration_since(begun), report)
        });
        let round = futures::future::join_all(asked).await;
        let took = |(id, took, report): &(u64, Duration, Option<Report>)| {
            (*id, if report.is_some() { *took } else { PACE_PATIENCE })
        };
        self.paces.answered(&round.iter().map(took).collect::<Vec<_>>());
        let reports = round.into_iter().filter_map(|(id, _, report)| report.filter(|report| report.node == id));
        reports.chain([self.paces.report(self.node)]).collect()
    }

    /// How long a write to the log waits for its disk, together with whatever else is waiting for it.
    async fn time_sync(&self, written: bool) {
        if !written {
            return;
        }
        let begun = self.clock.now();
        let synced = time::timeout(PACE_PATIENCE, self.log.settle()).await;
        let took = self.clock.now().saturating_duration_since(begun);
        // One that fails ends consensus here, and with it this.
        self.paces.synced(if matches!(synced, Ok(Ok(()))) { took } else { PACE_PATIENCE });
    }
}

/// Several looks in a row that find the leader slow, and a rest after it has handed over.
#[derive(Debug, Default)]
struct Judge {
    slow: u32,
    rests_until: Option<Instant>,
}

impl Judge {
    fn decide(&mut self, successor: Option<u64>, now: Instant) -> Option<u64> {
        if successor.is_none() {
            self.slow = 0;
            return None;
        }
        self.slow += 1;
        if self.slow < PACE_JUDGEMENTS || self.rests_until.is_some_and(|until| now < until) {
            return None;
        }
        (self.slow, self.rests_until) = (0, Some(now + PACE_REST));
        successor
    }
}

/// Who should lead in the place of `leader`: the fastest of its peers, if it is [`PACE_FACTOR`] times as slow as their median and by an amount that
/// matters. Nobody when fewer than two peers are known: one alone cannot say which of the two is at fault. Pure.
fn successor(leader: u64, reports: &[Report]) -> Option<u64> {
    let own = slowness(leader, reports)?;
    let others = reports.iter().filter(|report| report.node != leader);
    let mut others: Vec<(u64, u64)> = others.filter_map(|one| Some((slowness(one.node, reports)?, one.node))).collect();
    others.sort_unstable();
    let [(_, fastest), _, ..] = others.as_slice() else { return None };
    let middle = others.len() / 2;
    let median =
        if others.len().is_multiple_of(2) { others[middle - 1].0.midpoint(others[middle].0) } else { others[middle].0 };
    let margin = u64::try_from(PACE_SLOWER_MIN.as_micros()).unwrap_or(u64::MAX);
    (own > median.saturating_mul(PACE_FACTOR) && own - median > margin).then_some(*fastest)
}

/// How slow a node is, if anybody else sees it.
fn slowness(node: u64, reports: &[Report]) -> Option<u64> {
    let sync = reports.iter().find(|report| report.node == node)?.sync_us;
    let seen_by = |report: &Report| report.seen.iter().find(|(peer, _)| *peer == node).map(|(_, us)| *us);
    let mut seen: Vec<u64> = reports.iter().filter(|report| report.node != node).filter_map(seen_by).collect();
    seen.sort_unstable();
    let middle = seen.len().checked_sub(1)? / 2;
    Some(seen[middle].saturating_add(sync))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::Env;

    /// Three nodes with what each sees of the others, in milliseconds, and their logs' syncs.
    fn cell(seen: [[u64; 3]; 3], sync: [u64; 3]) -> Vec<Report> {
        let report = |node: usize| Report {
            node: node as u64,
            sync_us: sync[node] * 1_000,
            seen: (0..3).filter(|peer| *peer != node).map(|peer| (peer as u64, seen[node][peer] * 1_000)).collect(),
        };
        (0..3).map(report).collect()
    }

    #[test]
    fn a_leader_three_times_slower_than_its_peers_names_the_fastest_of_them() {
        let well = [[0, 1, 1], [1, 0, 1], [1, 1, 0]];
        // Node 0 leads.
        for (what, seen, sync, expected) in [
            ("all well", well, [1, 1, 1], None),
            (
                "it answers late, and so everybody seems late to it",
                [[0, 60, 60], [60, 0, 2], [60, 1, 0]],
                [1, 1, 1],
                Some(1),
            ),
            ("its disk is slow", well, [80, 4, 2], Some(2)),
            ("all disks are slow", well, [80, 70, 60], None),
            ("a follower is slow", [[0, 60, 1], [60, 0, 60], [1, 60, 0]], [1, 1, 1], None),
            ("one peer's link to it is slow", [[0, 60, 1], [60, 0, 1], [1, 1, 0]], [1, 1, 1], None),
            ("slower, but not by much", well, [19, 1, 1], None),
            ("by much, but not three times", well, [90, 40, 40], None),
        ] {
            assert_eq!(successor(0, &cell(seen, sync)), expected, "{what}");
        }
    }

    #[test]
    fn with_one_peer_left_nobody_is_found_slow() {
        let mut reports = cell([[0, 1, 1], [99, 0, 1], [99, 1, 0]], [99, 1, 1]);
        assert_eq!(successor(0, &reports), Some(1));
        reports.remove(2);
        assert_eq!(successor(0, &reports), None);
        assert_eq!(successor(0, &reports[..1]), None);
        assert_eq!(successor(0, &[]), None);
    }

    #[test]
    fn one_look_decides_nothing_and_after_a_handover_there_is_a_rest() {
        let (mut judge, now) = (Judge::default(), Env::for_tests(1).clock.now());
        let mut looks = |successors: &[Option<u64>], now| -> Vec<Option<u64>> {
            successors.iter().map(|to| judge.decide(*to, now)).collect()
        };
        let slow = Some(2);
        assert_eq!(looks(&[slow, slow, None, slow, slow], now), [None; 5]);
        assert_eq!(looks(&[slow, slow], now), [slow, None]);
        assert_eq!(looks(&[slow; 9], now + PACE_REST / 2), [None; 9]);
        assert_eq!(looks(&[slow], now + PACE_REST), [slow]);
    }

    #[test]
    fn who_answers_no_more_becomes_slow_and_who_left_is_forgotten() {
        let paces = Paces::default();
        paces.answered(&[(1, Duration::from_millis(1)), (2, Duration::from_millis(1))]);
        paces.answered(&[(1, PACE_PATIENCE)]);
        let report = paces.report(7);
        assert_eq!((report.node, report.seen), (7, vec![(1, (3_000 + 1_000_000) / 4)]));
    }
}

//! What was last seen of every cell: what it holds, how much it is asked, what it runs. In memory: whoever leads asks anew.

use crate::{
    cells::Cells,
    domain::{
        cell,
        rollout::Look,
        stamping::{Seen, one_build},
    },
    limits::{RATE_WINDOW, SETTING_SEEN, USAGE_FRESH, USAGE_INTERVAL},
    store::{Directory, read, record::Cell},
};
use bulkhead_model::{
    CellId, NodeId,
    api::{cell::NodeStatus, control_plane::Figures},
};
use bulkhead_service::{Env, env::Clock};
use futures::future::join_all;
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};
use tokio::time::Instant;

/// One look at a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    pub at: Instant,
    pub figures: Figures,
    /// What all its nodes run, or what each of them does when they differ; `None` when not all of them answered.
    pub build: Option<Result<String, String>>,
    /// Nodes that are ready.
    pub ready: u64,
    /// Whether it was looked at shortly before, too: else there is no rate.
    pub again: bool,
    /// Turns given since each node began.
    admitted: HashMap<NodeId, u64>,
    /// Turns in a thousand seconds, of the last minutes: a cell that is busy for a moment is no reason to place accounts elsewhere.
    average: u64,
}

/// What was seen, shared by whoever looks and whoever places. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Watch {
    clock: Clock,
    /// Since when it is looked.
    since: Instant,
    seen: Arc<Mutex<HashMap<CellId, Observed>>>,
}

impl Watch {
    pub fn new(clock: Clock) -> Self {
        let since = clock.now();
        Self { clock, since, seen: Arc::default() }
    }

    /// Looks at every cell until the process stops: on every node of the control plane, since each of them places accounts.
    pub async fn run(self, directory: Directory, cells: Cells, env: Env) {
        let stopping = env.tasks.stopping();
        while stopping.run_until_cancelled(tokio::time::sleep(USAGE_INTERVAL)).await.is_some() {
            let all = match read::cells(&directory.local_view()) {
                Ok(all) => all,
                Err(error) => {
                    tracing::warn!(%error, "the cells could not be read");
                    continue;
                }
            };
            // What a cell is made to hold while it is certified says nothing of what it holds afterwards.
            let is_watched = |cell: &Cell| cell::runs(&cell.state) && !cell::is_being_stamped(&cell.state);
            let watched: Vec<_> = all.into_iter().filter(|(_, cell)| is_watched(cell)).collect();
            self.seen.lock().retain(|known, _| watched.iter().any(|(id, _)| id == known));
            let looks = join_all(watched.iter().map(|(id, cell)| self.look(&cells, id, cell)));
            // A node that hangs must not hold up the end of this process.
            if stopping.run_until_cancelled(looks).await.is_none() {
                return;
            }
        }
    }

    /// What was seen of a cell lately.
    pub fn of(&self, cell: &CellId) -> Option<Observed> {
        let now = self.clock.now();
        self.seen.lock().get(cell).filter(|seen| now.saturating_duration_since(seen.at) < USAGE_FRESH).cloned()
    }

    /// How a cell is, as far as it is seen: not seen lately means that it does not answer only when it was looked for that long.
    pub fn look_at(&self, cell: &CellId) -> Look {
        let now = self.clock.now();
        match self.of(cell) {
            Some(seen) if now.saturating_duration_since(seen.at) <= SETTING_SEEN => Look::Ready(seen.ready),
            None if now.saturating_duration_since(self.since) >= USAGE_FRESH => Look::Silent,
            Some(_) | None => Look::Unknown,
        }
    }

    /// What a cell was seen to hold and to be asked; nothing when it was not seen.
    pub fn figures(&self, cell: &CellId) -> Figures {
        self.of(cell).map(|seen| seen.figures).unwrap_or_default()
    }

    /// Asks all nodes of a cell, and remembers what they say.
    pub async fn look(&self, cells: &Cells, id: &CellId, cell: &Cell) {
        let asked = join_all(cell.nodes.iter().map(|node| cells.status(id, node.admin))).await;
        let statuses: Vec<NodeStatus> = asked.into_iter().filter_map(Result::ok).collect();
        let Ok(load) = cells.load(id, &cell.nodes).await else { return };
        let admitted: HashMap<NodeId, u64> =
            load.nodes.iter().filter_map(|node| node.load.as_ref().map(|load| (node.node, load.admitted))).collect();
        if statuses.is_empty() {
            return;
        }
        let before = self.of(id);
        let now = self.clock.now();
        let average = before.as_ref().map_or(0, |before| average(before, &admitted, now));
        let requests = average / 1_000;
        // The one that has applied the most says it best.
        let usage = statuses.iter().max_by_key(|status| status.applied).map(|status| status.usage).unwrap_or_default();
        let figures = Figures { accounts: usage.accounts, bytes: usage.bytes, objects: usage.objects, requests };
        let builds: Vec<Seen> = statuses.iter().map(|status| Seen::Ready { build: status.build.clone() }).collect();
        let ready = statuses.iter().filter(|status| status.ready).count() as u64;
        let all = statuses.len() == cell.nodes.len();
        let build = Some(one_build(&builds)).filter(|build| all || build.is_err());
        let again = before.is_some();
        self.seen.lock().insert(id.clone(), Observed { at: now, figures, build, ready, again, admitted, average });
    }
}

/// Turns in a thousand seconds, of the last [`RATE_WINDOW`] mostly. The first rate counts as if it had always been.
fn average(before: &Observed, admitted: &HashMap<NodeId, u64>, now: Instant) -> u64 {
    let rate = rate(before, admitted, now);
    if !before.again {
        return rate;
    }
    let window = RATE_WINDOW.as_millis();
    let passed = now.saturating_duration_since(before.at).as_millis().min(window);
    let sum = u128::from(before.average) * (window - passed) + u128::from(rate) * passed;
    u64::try_from(sum / window).unwrap_or(u64::MAX)
}

/// Turns in a thousand seconds, since the last look. A node that began anew counts from its beginning.
fn rate(before: &Observed, admitted: &HashMap<NodeId, u64>, now: Instant) -> u64 {
    let given = admitted.iter().map(|(node, turns)| {
        let earlier = before.admitted.get(node).copied().filter(|earlier| earlier <= turns).unwrap_or(0);
        turns - earlier
    });
    let milliseconds = now.saturating_duration_since(before.at).as_millis().max(1);
    let turns: u64 = given.sum();
    u64::try_from(u128::from(turns) * 1_000_000 / milliseconds).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn observed(at: Instant, again: bool, average: u64) -> Observed {
        let admitted = admitted(100, 1_000);
        Observed { at, figures: Figures::default(), build: None, ready: 2, again, admitted, average }
    }

    fn admitted(one: u64, two: u64) -> HashMap<NodeId, u64> {
        HashMap::from([(NodeId(1), one), (NodeId(2), two)])
    }

    #[test]
    fn a_rate_counts_from_the_last_look_and_a_node_that_began_anew_from_its_beginning() {
        let now = Clock::system().now();
        let before = observed(now, true, 0);
        assert_eq!(rate(&before, &admitted(300, 40), now + Duration::from_secs(2)), 120_000);
    }

    #[test]
    fn a_cell_that_is_busy_for_a_moment_is_asked_little_and_one_that_stays_so_is_asked_much() {
        let now = Clock::system().now();
        let (busy, later) = (admitted(1_100, 2_000), now + USAGE_INTERVAL);
        assert_eq!(average(&observed(now, false, 0), &busy, later), 1_000_000, "nothing is known of before");
        let moment = average(&observed(now, true, 0), &busy, later);
        assert!(moment > 0 && moment < 5_000, "{moment} in a thousand seconds");
        let mut lasting = 0;
        for _ in 0..RATE_WINDOW.as_secs() {
            lasting = average(&observed(now, true, lasting), &busy, later);
        }
        assert!(lasting > 800_000, "{lasting} in a thousand seconds");
    }
}

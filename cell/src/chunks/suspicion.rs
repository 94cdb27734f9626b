//! Which peers have failed lately, so that no request waits for a dead one when others will do.

use crate::limits::{PEER_FAILURES_MAX, PEER_SUSPICION};
use bulkhead_model::NodeId;
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::time::Instant;

#[derive(Debug, Clone, Copy)]
struct Failures {
    in_a_row: u32,
    last: Instant,
}

/// Failures of the peers. As many entries as the cell has nodes.
#[derive(Debug, Default)]
pub struct Suspicions {
    peers: Mutex<HashMap<NodeId, Failures>>,
}

impl Suspicions {
    /// Whether `peer` is to be asked last. Some time after its last failure it is tried again.
    pub fn is_suspect(&self, peer: NodeId, now: Instant) -> bool {
        self.peers.lock().get(&peer).is_some_and(|failures| {
            failures.in_a_row >= PEER_FAILURES_MAX && now.saturating_duration_since(failures.last) < PEER_SUSPICION
        })
    }

    /// The peer has answered.
    pub fn answered(&self, peer: NodeId) {
        if self.peers.lock().remove(&peer).is_some_and(|failures| failures.in_a_row >= PEER_FAILURES_MAX) {
            tracing::info!(%peer, "a peer answers again");
        }
    }

    /// The peer has not answered, or not in time.
    pub fn failed(&self, peer: NodeId, now: Instant) {
        let mut peers = self.peers.lock();
        let failures = peers.entry(peer).or_insert(Failures { in_a_row: 0, last: now });
        *failures = Failures { in_a_row: failures.in_a_row.saturating_add(1), last: now };
        if failures.in_a_row == PEER_FAILURES_MAX {
            tracing::warn!(%peer, "a peer does not answer: it is asked last from now on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::env::Clock;

    #[test]
    fn a_peer_is_suspect_after_failures_in_a_row_and_for_a_while() {
        let (suspicions, peer, now) = (Suspicions::default(), NodeId(2), Clock::system().now());
        for _ in 1..PEER_FAILURES_MAX {
            suspicions.failed(peer, now);
        }
        assert!(!suspicions.is_suspect(peer, now));
        suspicions.failed(peer, now);
        assert!(suspicions.is_suspect(peer, now));
        assert!(!suspicions.is_suspect(peer, now + PEER_SUSPICION));
        suspicions.answered(peer);
        assert!(!suspicions.is_suspect(peer, now));
    }
}

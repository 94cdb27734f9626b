//! Whether a node is left alone for a while. Pure: time is an argument.
//!
//! ```text
//!  Good ──unreachable──► Ejected { until } ──its time, probe fails──► Ejected, twice as long
//!   ▲                        │
//!   └──────probe succeeds────┘
//! ```
//! A node returns only through a probe, so that no request is risked on it. At most one node per AZ is left alone at a time, and
//! when no other node is left, all are used: a wrong suspicion must not take the cell away.

use crate::limits;
use bulkhead_model::Az;
use std::time::Duration;
use tokio::time::Instant;

/// How a node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    #[default]
    Good,
    Ejected {
        since: Instant,
        until: Instant,
        pause: Duration,
    },
}

impl Health {
    /// The node could not be reached.
    pub fn unreachable(self, now: Instant) -> Self {
        match self {
            Self::Good => Self::ejected(now, now, limits::EJECTION_FIRST),
            // Requests that were under way when it was ejected say nothing new.
            Self::Ejected { .. } => self,
        }
    }

    /// A probe that was due has ended.
    pub fn probed(self, reached: bool, now: Instant) -> Self {
        match self {
            Self::Ejected { .. } if reached => Self::Good,
            Self::Ejected { since, pause, .. } => Self::ejected(since, now, (pause * 2).min(limits::EJECTION_MAX)),
            Self::Good => Self::Good,
        }
    }

    /// It is time to see whether the node is back.
    pub fn probe_is_due(self, now: Instant) -> bool {
        match self {
            Self::Good => false,
            Self::Ejected { until, .. } => now >= until,
        }
    }

    fn ejected(since: Instant, now: Instant, pause: Duration) -> Self {
        Self::Ejected { since, until: now + pause, pause }
    }
}

/// Which of a cell's nodes may be used: all that are good, all but the first ejected one of each AZ, and all when none is left.
pub fn usable(nodes: &[(&Az, Health)]) -> Vec<bool> {
    let is_first_of_its_az = |index: usize, since: Instant| {
        let (az, _) = nodes[index];
        nodes.iter().enumerate().all(|(other, (other_az, health))| match health {
            Health::Ejected { since: s, .. } if *other_az == az && other != index => (since, index) < (*s, other),
            Health::Ejected { .. } | Health::Good => true,
        })
    };
    let usable: Vec<bool> = (0..nodes.len())
        .map(|index| match nodes[index].1 {
            Health::Good => true,
            Health::Ejected { since, .. } => !is_first_of_its_az(index, since),
        })
        .collect();
    if usable.contains(&true) { usable } else { vec![true; nodes.len()] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::env::Clock;

    fn az(letter: &str) -> Az {
        format!("az-{letter}").parse().expect("a label")
    }

    #[tokio::test]
    async fn a_node_that_stays_away_is_probed_ever_less_often() {
        let start = Clock::system().now();
        let ejected = Health::Good.unreachable(start);
        assert!(!ejected.probe_is_due(start));
        assert!(ejected.probe_is_due(start + limits::EJECTION_FIRST));
        let again = ejected.probed(false, start + limits::EJECTION_FIRST);
        assert!(!again.probe_is_due(start + limits::EJECTION_FIRST * 2));
        assert!(again.probe_is_due(start + limits::EJECTION_FIRST * 3));
        let long = (0..20).fold(ejected, |health, _| health.probed(false, start));
        assert!(long.probe_is_due(start + limits::EJECTION_MAX));
        assert_eq!(long.probed(true, start), Health::Good);
    }

    #[tokio::test]
    async fn at_most_one_node_per_az_is_left_alone_and_never_all() {
        let now = Clock::system().now();
        let earlier = Health::Good.unreachable(now);
        let later = Health::Good.unreachable(now + Duration::from_millis(1));
        let (a, b) = (az("a"), az("b"));
        for (nodes, expected) in [
            (vec![(&a, Health::Good), (&b, Health::Good)], vec![true, true]),
            (vec![(&a, earlier), (&b, Health::Good)], vec![false, true]),
            (vec![(&a, earlier), (&b, later)], vec![true, true]),
            (vec![(&a, later), (&a, earlier), (&b, Health::Good)], vec![true, false, true]),
            (vec![(&a, earlier), (&a, earlier), (&b, later)], vec![false, true, false]),
            (vec![], vec![]),
        ] {
            assert_eq!(usable(&nodes), expected, "{nodes:?}");
        }
    }
}

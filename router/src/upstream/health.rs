//! Which of a cell's nodes are left alone, and which are slow beside their peers. Pure.
//!
//! At most one node per AZ is left alone at a time, and when no other node is left, all are used: a wrong suspicion must not take
//! the cell away.

use super::breaker::Circuit;
use crate::limits;
use bulkhead_model::Az;
use tokio::time::Instant;

/// A node as this sees it.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    pub az: &'a Az,
    pub circuit: Circuit,
    /// Its breaker has room for one more.
    pub admits: bool,
}

impl Standing<'_> {
    /// Half-open, with room for one more.
    pub fn is_on_trial(&self) -> bool {
        match self.circuit {
            Circuit::HalfOpen { .. } => self.admits,
            Circuit::Closed { .. } | Circuit::Open { .. } => false,
        }
    }

    /// Not open.
    pub fn is_alive(&self) -> bool {
        self.open_since().is_none()
    }

    fn open_since(&self) -> Option<Instant> {
        match self.circuit {
            Circuit::Open { since, .. } => Some(since),
            Circuit::Closed { .. } | Circuit::HalfOpen { .. } => None,
        }
    }
}

/// Whether a node may be used: it is not left alone, or it is not the first of its AZ to be.
///
/// When none may, the choice falls on all of them.
pub fn is_usable(nodes: &[Standing<'_>], index: usize) -> bool {
    let node = &nodes[index];
    let Some(since) = node.open_since() else { return node.admits };
    nodes.iter().enumerate().any(|(other, peer)| {
        let earlier = peer.open_since().is_some_and(|first| (first, other) < (since, index));
        other != index && peer.az == node.az && earlier
    })
}

/// What is known of a node's recent reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Mean latency, seconds.
    pub mean: f64,
    /// Reads since the last judgement.
    pub samples: u64,
}

/// The node that is slow beside its peers, if there is one: [`limits::SLOW_FACTOR`] times their median, and by an amount that
/// matters. Nodes of which too little is known neither judge nor are judged.
pub fn outlier(nodes: &[Pace]) -> Option<usize> {
    let known = |pace: &Pace| pace.samples >= limits::SLOW_SAMPLES_MIN;
    let slowest = (0..nodes.len())
        .filter(|&index| known(&nodes[index]))
        .max_by(|&a, &b| nodes[a].mean.total_cmp(&nodes[b].mean))?;
    let peers: Vec<f64> = nodes
        .iter()
        .enumerate()
        .filter(|&(index, pace)| index != slowest && known(pace))
        .map(|(_, pace)| pace.mean)
        .collect();
    // One peer alone cannot say which of the two is at fault.
    let [_, _, ..] = peers.as_slice() else { return None };
    is_slow(nodes[slowest].mean, median(peers)?).then_some(slowest)
}

/// The median, if there is anything to take one of.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len().is_multiple_of(2) { f64::midpoint(values[middle - 1], upper) } else { upper })
}

/// Whether a latency is slow beside a median, both in seconds.
pub fn is_slow(latency: f64, median: f64) -> bool {
    latency > median * limits::SLOW_FACTOR && latency - median > limits::SLOW_BY_MIN.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::{super::breaker::Why, *};
    use bulkhead_service::env::Clock;
    use std::time::Duration;

    fn az(letter: &str) -> Az {
        format!("az-{letter}").parse().expect("a label")
    }

    fn open(since: Instant) -> Circuit {
        Circuit::Open { why: Why::Silent, since, until: since, pause: Duration::ZERO }
    }

    #[test]
    fn at_most_one_node_per_az_is_left_alone() {
        let now = Clock::system().now();
        let (good, earlier, later) = (Circuit::CALM, open(now), open(now + Duration::from_millis(1)));
        let (a, b) = (az("a"), az("b"));
        for (nodes, expected) in [
            (vec![(&a, good), (&b, good)], vec![true, true]),
            (vec![(&a, earlier), (&b, good)], vec![false, true]),
            (vec![(&a, earlier), (&b, later)], vec![false, false]),
            (vec![(&a, later), (&a, earlier), (&b, good)], vec![true, false, true]),
            (vec![(&a, earlier), (&a, earlier), (&b, later)], vec![false, true, false]),
        ] {
            let nodes: Vec<Standing<'_>> =
                nodes.into_iter().map(|(az, circuit)| Standing { az, circuit, admits: circuit == good }).collect();
            let usable: Vec<bool> = (0..nodes.len()).map(|index| is_usable(&nodes, index)).collect();
            assert_eq!(usable, expected, "{nodes:?}");
        }
    }

    #[test]
    fn a_node_three_times_slower_than_its_peers_is_an_outlier() {
        let pace = |millis: f64| Pace { mean: millis / 1000.0, samples: limits::SLOW_SAMPLES_MIN };
        let unknown = |millis: f64| Pace { samples: limits::SLOW_SAMPLES_MIN - 1, ..pace(millis) };
        for (nodes, expected) in [
            (vec![pace(10.0), pace(10.0), pace(100.0)], Some(2)),
            (vec![pace(10.0), pace(10.0), pace(29.0)], None),
            (vec![pace(0.1), pace(0.1), pace(5.0)], None),
            (vec![pace(100.0), pace(10.0), pace(90.0)], None),
            (vec![pace(10.0), pace(100.0)], None),
            (vec![pace(10.0), pace(500.0), pace(10.0), pace(20.0)], Some(1)),
            (vec![pace(10.0), pace(10.0), unknown(100.0)], None),
            (vec![unknown(10.0), unknown(10.0), pace(100.0)], None),
            (vec![pace(100.0)], None),
            (vec![], None),
        ] {
            assert_eq!(outlier(&nodes), expected, "{nodes:?}");
        }
    }
}

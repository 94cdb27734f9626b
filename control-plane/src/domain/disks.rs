//! Which disks of a cell are slow: by how much longer they take than those of most of its nodes. Pure.

use crate::limits::{SLOW_DISK_FLOOR_MICROSECONDS, SLOW_DISK_RATIO, SLOW_DISK_SAMPLES_MIN};
use bulkhead_model::{
    NodeId,
    api::{
        cell::{DiskLatency, DiskStorage, NodeStorage},
        control_plane::CellNodeStorage,
    },
};

/// What one node says of its chunks, or why it says nothing.
#[derive(Debug, Clone)]
pub struct Answer {
    pub node: NodeId,
    pub storage: Result<NodeStorage, String>,
}

/// Puts the answers side by side and says which disks are slow.
pub fn compare(answers: Vec<Answer>) -> Vec<CellNodeStorage> {
    let disks: Vec<_> =
        answers.iter().filter_map(|answer| answer.storage.as_ref().ok()).map(|node| &node.disk).collect();
    let syncs = median(&disks, |disk| disk.sync);
    let reads = median(&disks, |disk| disk.read);
    let slow_for = |node: &NodeStorage| {
        let seen = [("fsync", node.disk.sync, syncs), ("read", node.disk.read, reads)];
        seen.into_iter().filter_map(|(what, own, median)| slow(what, own, median)).collect()
    };
    let shown = answers.iter().map(|answer| CellNodeStorage {
        node: answer.node,
        slow: answer.storage.as_ref().map(slow_for).unwrap_or_default(),
        storage: answer.storage.as_ref().ok().cloned(),
        unreachable: answer.storage.as_ref().err().cloned(),
    });
    shown.collect()
}

/// The p99 of the middle node, of those that have done enough to tell; `None` when these are fewer than three.
fn median(disks: &[&DiskStorage], of: impl Fn(&DiskStorage) -> DiskLatency) -> Option<u64> {
    let mut seen: Vec<_> =
        disks.iter().map(|disk| of(disk)).filter(enough).map(|latency| latency.p99_microseconds).collect();
    seen.sort_unstable();
    (seen.len() >= 3).then(|| seen[seen.len() / 2])
}

fn enough(latency: &DiskLatency) -> bool {
    latency.samples >= SLOW_DISK_SAMPLES_MIN
}

fn slow(what: &str, own: DiskLatency, median: Option<u64>) -> Option<String> {
    let (median, own) = (median?, Some(own).filter(enough)?.p99_microseconds);
    let bound = median.saturating_mul(SLOW_DISK_RATIO).max(SLOW_DISK_FLOOR_MICROSECONDS);
    (own > bound).then(|| format!("{what}: p99 {} ms, cell's median {} ms", own / 1_000, median / 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::{
        Timestamp,
        api::cell::{CensusStorage, DiskCondition, ScrubStorage, TrashStorage},
    };

    fn answer(node: u64, samples: u64, p99_milliseconds: u64) -> Answer {
        let sync = DiskLatency { samples, p99_microseconds: p99_milliseconds * 1_000 };
        let disk = DiskStorage {
            condition: DiskCondition::Healthy,
            full: false,
            free_bytes: None,
            reserve_bytes: 0,
            sync,
            read: DiskLatency::default(),
        };
        let storage = NodeStorage {
            node: NodeId(node),
            az: "az-a".parse().expect("a label"),
            now: Timestamp(0),
            disk,
            chunks: 0,
            extents: vec![],
            trash: TrashStorage::default(),
            missing: 0,
            corrupt: 0,
            repair_backlog: 0,
            without_source: 0,
            repaired_copies: 0,
            repaired_bytes: 0,
            freed_chunks: 0,
            freed_bytes: 0,
            open_epochs: 0,
            census: CensusStorage::default(),
            scrub: ScrubStorage::default(),
        };
        Answer { node: NodeId(node), storage: Ok(storage) }
    }

    fn slow_nodes(answers: Vec<Answer>) -> Vec<u64> {
        compare(answers).into_iter().filter(|node| !node.slow.is_empty()).map(|node| node.node.0).collect()
    }

    #[test]
    fn a_disk_that_takes_much_longer_than_most_is_slow() {
        assert_eq!(slow_nodes(vec![answer(1, 500, 10), answer(2, 500, 12), answer(3, 500, 200)]), [3]);
        assert_eq!(slow_nodes(vec![answer(1, 500, 10), answer(2, 500, 12), answer(3, 500, 40)]), [0; 0]);
        assert_eq!(
            slow_nodes(vec![answer(1, 500, 1), answer(2, 500, 1), answer(3, 500, 9)]),
            [0; 0],
            "below the floor"
        );
    }

    #[test]
    fn few_operations_and_few_nodes_tell_nothing() {
        assert_eq!(slow_nodes(vec![answer(1, 500, 10), answer(2, 500, 12), answer(3, 3, 900)]), [0; 0]);
        let silent = Answer { node: NodeId(1), storage: Err("refused".into()) };
        let shown = compare(vec![silent, answer(2, 500, 1), answer(3, 500, 900)]);
        assert_eq!(shown[0].unreachable.as_deref(), Some("refused"));
        assert!(shown.iter().all(|node| node.slow.is_empty()));
    }
}

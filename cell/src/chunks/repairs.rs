//! Copies known to be missing, waiting for repair. A hint: what does not fit, or is lost by a restart, the census finds again.

use crate::{chunks::ChunkId, limits::REPAIRS_QUEUED_MAX};
use bulkhead_model::NodeId;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// A chunk that a node should have and does not have whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissingCopy {
    pub chunk: ChunkId,
    pub node: NodeId,
}

/// Two bounded sets of missing copies, so that what a dead node lacks never crowds out what this one does.
#[derive(Debug)]
pub struct Repairs {
    node: NodeId,
    waiting: Mutex<Waiting>,
}

/// With each copy, whether the chunk is needed, as far as anybody has looked: until then it is taken to be. What is only being written
/// waits for its name, and lacks nothing before it has one.
#[derive(Debug, Default)]
struct Waiting {
    here: BTreeMap<MissingCopy, bool>,
    elsewhere: BTreeMap<MissingCopy, bool>,
}

impl Waiting {
    fn set(&mut self, is_here: bool) -> &mut BTreeMap<MissingCopy, bool> {
        if is_here { &mut self.here } else { &mut self.elsewhere }
    }

    fn publish(&self) {
        let queued = self.here.len() + self.elsewhere.len();
        metrics::gauge!("bulkhead_chunk_repairs_queued").set(u32::try_from(queued).unwrap_or(u32::MAX));
    }
}

impl Repairs {
    /// For the repairs that `node` knows of.
    pub fn new(node: NodeId) -> Self {
        Self { node, waiting: Mutex::default() }
    }

    /// Notes a missing copy. When its set is full it is only counted.
    pub fn add(&self, missing: MissingCopy) {
        let mut waiting = self.waiting.lock();
        let set = waiting.set(missing.node == self.node);
        if set.len() < REPAIRS_QUEUED_MAX {
            set.entry(missing).or_insert(true);
            waiting.publish();
        } else {
            metrics::counter!("bulkhead_chunk_repairs_dropped_total").increment(1);
        }
    }

    /// The copy is there now, or is not needed any more.
    pub fn settle(&self, settled: &MissingCopy) {
        let mut waiting = self.waiting.lock();
        waiting.set(settled.node == self.node).remove(settled);
        waiting.publish();
    }

    /// The index has said whether the chunk is named.
    pub fn judged(&self, copy: &MissingCopy, is_named: bool) {
        if let Some(known) = self.waiting.lock().set(copy.node == self.node).get_mut(copy) {
            *known = is_named;
        }
    }

    /// Number of missing copies known.
    pub fn len(&self) -> usize {
        let waiting = self.waiting.lock();
        waiting.here.len() + waiting.elsewhere.len()
    }

    /// Of those, the ones this node is to have, of chunks that are needed.
    pub fn here(&self) -> usize {
        self.waiting.lock().here.values().filter(|is_named| **is_named).count()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The missing copies known now.
    pub fn list(&self) -> Vec<MissingCopy> {
        let waiting = self.waiting.lock();
        waiting.here.keys().chain(waiting.elsewhere.keys()).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_node_lacks_does_not_crowd_out_what_this_one_does() {
        let (repairs, own) = (Repairs::new(NodeId(1)), |number| ChunkId { blob: number, index: 0 });
        for number in 0..REPAIRS_QUEUED_MAX as u128 + 10 {
            repairs.add(MissingCopy { chunk: own(number), node: NodeId(2) });
        }
        assert_eq!((repairs.len(), repairs.here()), (REPAIRS_QUEUED_MAX, 0));
        let mine = MissingCopy { chunk: own(7), node: NodeId(1) };
        repairs.add(mine);
        assert_eq!((repairs.here(), repairs.list()[0]), (1, mine));
        repairs.settle(&mine);
        assert_eq!(repairs.here(), 0);
    }

    #[test]
    fn what_has_no_name_yet_waits_and_is_not_missing() {
        let repairs = Repairs::new(NodeId(1));
        let mine = MissingCopy { chunk: ChunkId { blob: 7, index: 0 }, node: NodeId(1) };
        repairs.add(mine);
        repairs.judged(&mine, false);
        repairs.add(mine);
        assert_eq!((repairs.here(), repairs.list()), (0, vec![mine]));
        repairs.judged(&mine, true);
        assert_eq!(repairs.here(), 1);
    }
}

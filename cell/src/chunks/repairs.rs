//! Copies known to be missing, waiting for repair. A hint: what does not fit, or is lost by a restart, scrub finds again.

use crate::{chunks::ChunkId, limits::REPAIRS_QUEUED_MAX};
use bulkhead_model::NodeId;
use parking_lot::Mutex;
use std::collections::BTreeSet;

/// A chunk that a node should have and does not have whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissingCopy {
    pub chunk: ChunkId,
    pub node: NodeId,
}

/// A bounded set of missing copies.
#[derive(Debug, Default)]
pub struct Repairs {
    waiting: Mutex<BTreeSet<MissingCopy>>,
}

impl Repairs {
    /// Notes a missing copy. When the set is full it is only counted.
    pub fn add(&self, missing: MissingCopy) {
        let mut waiting = self.waiting.lock();
        if waiting.len() < REPAIRS_QUEUED_MAX {
            waiting.insert(missing);
            metrics::gauge!("bulkhead_chunk_repairs_queued").set(u32::try_from(waiting.len()).unwrap_or(u32::MAX));
        } else {
            metrics::counter!("bulkhead_chunk_repairs_dropped_total").increment(1);
        }
    }

    /// Number of missing copies known.
    pub fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The missing copies known now.
    pub fn list(&self) -> Vec<MissingCopy> {
        self.waiting.lock().iter().copied().collect()
    }
}

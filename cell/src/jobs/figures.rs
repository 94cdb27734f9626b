//! What the jobs of this node have found and done, for whoever asks. Of this process: a restart begins anew.

use crate::chunks::{Emptied, Freed, Topology};
use bulkhead_model::Timestamp;
use parking_lot::Mutex;
use std::sync::Arc;

/// How far the jobs are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub census: Census,
    pub scrub: Scrub,
    pub repair: Repair,
    /// What nobody needs any more, given to compaction.
    pub freed: Freed,
    /// What was removed with its extent, after it was proven that nobody needs it here.
    pub removed: Removed,
}

/// The comparison of this node's chunks with the index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// When the one that is under way began, or else the last.
    pub began: Option<Timestamp>,
    /// When the last whole one ended.
    pub ended: Option<Timestamp>,
    /// Of the one that is under way, or else of the last.
    pub chunks: u64,
    pub freed: u64,
    pub missing: u64,
}

/// The reading of all chunks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scrub {
    /// Everything that was here then has been read since, and was whole or is being repaired.
    pub whole_since: Option<Timestamp>,
    /// When the reading that is under way began.
    pub began: Option<Timestamp>,
    /// Chunks read of those, and how many there were when it began.
    pub read: u64,
    pub of: u64,
    /// Damaged chunks found.
    pub damaged: u64,
}

/// The making of missing copies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repair {
    pub copies: u64,
    pub bytes: u64,
    /// Chunks waiting that no node has whole, as of the last look.
    pub without_source: u64,
}

/// Extents removed from trash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    pub extents: u64,
    pub bytes: u64,
    /// Records that nobody needed, and their bytes.
    pub dead: u64,
    pub dead_bytes: u64,
    /// Records that lie elsewhere.
    pub moved: u64,
    /// Records that were needed after all: their extents were not removed. Always 0, unless something is wrong.
    pub rescued: u64,
}

/// Shared by the jobs and those who ask.
#[derive(Default)]
pub struct Figures {
    now: Mutex<Snapshot>,
    /// The nodes of the cell when the last whole census began.
    covered: Mutex<Option<Arc<Topology>>>,
}

impl Figures {
    pub fn snapshot(&self) -> Snapshot {
        self.now.lock().clone()
    }

    pub fn freed(&self, freed: Freed) {
        let total = &mut self.now.lock().freed;
        total.chunks += freed.chunks;
        total.bytes += freed.bytes;
    }

    pub fn emptied(&self, emptied: &Emptied) {
        let removed = &mut self.now.lock().removed;
        removed.extents += emptied.extents as u64;
        removed.bytes += emptied.bytes;
        removed.dead += emptied.dead as u64;
        removed.dead_bytes += emptied.dead_bytes;
        removed.moved += emptied.moved as u64;
        removed.rescued += emptied.rescued as u64;
    }

    pub fn census_began(&self, at: Timestamp) {
        let mut now = self.now.lock();
        now.census = Census { began: Some(at), ended: now.census.ended, ..Census::default() };
    }

    pub fn census_part(&self, chunks: usize, freed: usize, missing: usize) {
        let census = &mut self.now.lock().census;
        census.chunks += chunks as u64;
        census.freed += freed as u64;
        census.missing += missing as u64;
    }

    /// `topology` is what it was when this census began.
    pub fn census_ended(&self, at: Timestamp, topology: Option<Arc<Topology>>) {
        self.now.lock().census.ended = Some(at);
        *self.covered.lock() = topology;
    }

    /// Whether a whole census was taken under this very topology: then this node knows what it lacks.
    pub fn covers(&self, topology: Option<&Arc<Topology>>) -> bool {
        let covered = self.covered.lock();
        covered.as_ref().zip(topology).is_some_and(|(covered, topology)| Arc::ptr_eq(covered, topology))
    }

    pub fn scrub(&self, change: impl FnOnce(&mut Scrub)) {
        change(&mut self.now.lock().scrub);
    }

    pub fn repaired(&self, bytes: u32) {
        metrics::counter!("bulkhead_chunk_copies_repaired_total").increment(1);
        let repair = &mut self.now.lock().repair;
        repair.copies += 1;
        repair.bytes += u64::from(bytes);
    }

    pub fn without_source(&self, chunks: u64) {
        self.now.lock().repair.without_source = chunks;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_known_only_after_a_census_under_the_present_topology() {
        let figures = Figures::default();
        let [before, now] = [(), ()].map(|()| Arc::new(Topology::new(Vec::new())));
        assert!(!figures.covers(None));
        assert!(!figures.covers(Some(&now)));
        figures.census_ended(Timestamp(1), Some(Arc::clone(&before)));
        assert!(!figures.covers(Some(&now)), "the nodes changed while it was taken");
        figures.census_ended(Timestamp(2), Some(Arc::clone(&now)));
        assert!(figures.covers(Some(&now)));
        figures.census_ended(Timestamp(3), None);
        assert!(!figures.covers(None) && !figures.covers(Some(&now)));
    }
}

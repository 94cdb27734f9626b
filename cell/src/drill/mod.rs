//! Whether this node may be broken on purpose, and breaking it.
//!
//! A node is marked first, for a time, and only where it must serve nobody or is there to be broken; without a mark every fault is refused, here,
//! where it would be executed. The mark is in a file, so that a node that was killed is still marked when it is back; faults are not: a
//! process that starts has none. Knows no index: who asks says how many buckets there are.

mod break_it;

use bulkhead_model::{
    NodeId, Timestamp,
    api::drill::{DrillStatus, Fault, MARK_SECONDS_MAX, Mark, Purpose},
};
use bulkhead_service::{drill::faults, env::Clock};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Why nothing was broken, or marked.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    #[error("this node is not marked: nothing of it is broken on purpose (PUT /admin/v1/drill)")]
    NotMarked,
    #[error("this node is not marked for certification")]
    NotCertifying,
    #[error("the cell has {buckets} buckets: what serves tenants is not certified")]
    HasBuckets { buckets: u64 },
    #[error("neither this node's configuration (`drills = true`) nor its blueprint (`dev`) allows drills")]
    NoDrillsHere,
    #[error("a mark holds for 1 to {MARK_SECONDS_MAX} seconds, not for {0}")]
    Seconds(u64),
    #[error("node {0} is not a member of this cell")]
    NoSuchNode(NodeId),
    #[error("the disk: {0}")]
    Disk(#[from] std::io::Error),
}

/// In the file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Kept {
    purpose: Purpose,
    until: Timestamp,
}

/// The mark of one node. Cheap to clone.
#[derive(Clone)]
pub struct Drill(Arc<Shared>);

struct Shared {
    clock: Clock,
    /// Holds the node's data.
    data: PathBuf,
    allowed: bool,
    mark: Mutex<Option<Kept>>,
    cut_from: Mutex<Vec<NodeId>>,
}

impl Drill {
    /// As the last process of this node left it. `allowed` says whether drills are, besides certifications.
    pub fn open(data: &Path, allowed: bool, clock: Clock) -> Self {
        let kept = std::fs::read(file(data)).ok();
        // What cannot be read marks nothing.
        let mark = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let shared =
            Shared { clock, data: data.to_owned(), allowed, mark: Mutex::new(mark), cut_from: Mutex::default() };
        let drill = Self(Arc::new(shared));
        if drill.purpose().is_none() {
            drill.end_filling();
        }
        drill
    }

    /// What this node may be broken for now. A mark whose time is over is none, and what it broke is mended.
    pub fn purpose(&self) -> Option<Purpose> {
        let kept = (*self.0.mark.lock())?;
        if kept.until > self.0.clock.machine() {
            return Some(kept.purpose);
        }
        self.end();
        None
    }

    /// Whether only who certifies the cell may make buckets.
    pub fn is_certifying(&self) -> bool {
        self.purpose() == Some(Purpose::Certify)
    }

    /// Marks the node, in a cell that has so many buckets.
    ///
    /// # Errors
    /// Where a node must not be marked so.
    pub fn mark(&self, mark: Mark, buckets: u64) -> Result<(), DrillError> {
        if !(1..=MARK_SECONDS_MAX).contains(&mark.seconds) {
            return Err(DrillError::Seconds(mark.seconds));
        }
        match mark.purpose {
            // Its own buckets are there while it is marked; then only the time changes.
            Purpose::Certify if buckets > 0 && !self.is_certifying() => return Err(DrillError::HasBuckets { buckets }),
            Purpose::Drill if !self.0.allowed => return Err(DrillError::NoDrillsHere),
            Purpose::Certify | Purpose::Drill => {}
        }
        let until = self.0.clock.machine().plus(Duration::from_secs(mark.seconds));
        let kept = Kept { purpose: mark.purpose, until };
        let bytes = serde_json::to_vec(&kept).expect("a mark is plain data");
        break_it::write_synced(&file(&self.0.data), &bytes)?;
        *self.0.mark.lock() = Some(kept);
        tracing::warn!(purpose = ?mark.purpose, seconds = mark.seconds, "this node may be broken on purpose");
        Ok(())
    }

    /// Ends the mark, and all faults.
    pub fn end(&self) {
        *self.0.mark.lock() = None;
        self.mend();
        if let Err(error) = std::fs::remove_file(file(&self.0.data))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::error!(%error, "the mark of a drill cannot be removed; it ends by itself");
        }
    }

    /// Breaks one thing. `members` says where the cell's nodes are.
    ///
    /// # Errors
    /// [`DrillError::NotMarked`] above all.
    pub fn execute(&self, fault: &Fault, members: &[(NodeId, SocketAddr)]) -> Result<(), DrillError> {
        if self.purpose().is_none() {
            return Err(DrillError::NotMarked);
        }
        tracing::warn!(?fault, "broken on purpose");
        match fault {
            Fault::Kill => break_it::kill()?,
            Fault::Pause { ms } => break_it::pause(Duration::from_millis(*ms))?,
            Fault::SlowDisk { ms } => faults().set_flush_delay(Duration::from_millis(*ms)),
            Fault::Partition { from } => self.cut(from, members)?,
            Fault::Corrupt { bits, seed } => break_it::corrupt(&self.0.data.join("chunks"), *bits, *seed)?,
            Fault::FillDisk { leave_bytes } => break_it::fill(&filler(&self.0.data), *leave_bytes)?,
            Fault::ClockJump { ms } => faults().set_clock_offset(*ms),
            Fault::DropChunks { drop } => faults().set_drops(*drop),
            Fault::Mend => self.mend(),
        }
        Ok(())
    }

    /// Mark and faults as they are.
    pub fn status(&self) -> DrillStatus {
        let purpose = self.purpose();
        let until = (*self.0.mark.lock()).map(|kept| kept.until);
        DrillStatus {
            purpose,
            until: until.filter(|_| purpose.is_some()),
            flush_delay_ms: u64::try_from(faults().flush_delay().as_millis()).unwrap_or(u64::MAX),
            cut_from: self.0.cut_from.lock().clone(),
            clock_offset_ms: faults().clock_offset(),
            filled_bytes: std::fs::metadata(filler(&self.0.data)).map_or(0, |found| found.len()),
        }
    }

    fn cut(&self, from: &[NodeId], members: &[(NodeId, SocketAddr)]) -> Result<(), DrillError> {
        let address = |node: &NodeId| {
            let found = members.iter().find(|(member, _)| member == node);
            found.map(|(_, address)| *address).ok_or(DrillError::NoSuchNode(*node))
        };
        let addresses = from.iter().map(address).collect::<Result<Vec<_>, _>>()?;
        faults().set_cut(addresses);
        *self.0.cut_from.lock() = from.to_vec();
        Ok(())
    }

    fn mend(&self) {
        faults().mend();
        self.0.cut_from.lock().clear();
        self.end_filling();
    }

    fn end_filling(&self) {
        if let Err(error) = std::fs::remove_file(filler(&self.0.data))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::error!(%error, "what fills the disk on purpose cannot be removed");
        }
    }
}

fn file(data: &Path) -> PathBuf {
    data.join("drill.json")
}

fn filler(data: &Path) -> PathBuf {
    data.join("drill.fill")
}

#[cfg(test)]
mod tests;

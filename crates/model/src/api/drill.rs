//! Faults on purpose: the part of a node's admin API by which certifications and drills break what they look after.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `PUT /admin/v1/drill` | [`Mark`] | `204`; `409` where it must not be |
//! | `GET /admin/v1/drill` | – | [`DrillStatus`] |
//! | `DELETE /admin/v1/drill` | – | `204`; idempotent: every fault ends, and so does the mark |
//! | `POST /admin/v1/drill/fault` | [`Fault`] | `204`; `409` on a node that is not marked |
//! | `PUT /admin/v1/drill/ballast` | [`Ballast`] | `204`; `409` on a node that is not marked for certification |
//!
//! The node itself refuses: whoever holds its token cannot break a node that serves tenants without marking it first, and a mark for
//! certification is refused, and ended by nothing but time or its owner, where a bucket exists.

use crate::{NodeId, Timestamp};
use serde::{Deserialize, Serialize};

/// The longest a mark holds. Seconds.
pub const MARK_SECONDS_MAX: u64 = 24 * 60 * 60;

/// What a node may be broken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The cell is tried before it takes tenants: it has no bucket when it is marked, and gets none but those of the account that tries it.
    Certify,
    /// The cell is there to be broken, whoever uses it. Only where the node's configuration, or the blueprint `dev`, says so.
    Drill,
}

/// Marks a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    pub purpose: Purpose,
    /// It ends by itself then. 1 to [`MARK_SECONDS_MAX`].
    pub seconds: u64,
}

/// Whether a node is marked, and how it is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillStatus {
    pub purpose: Option<Purpose>,
    pub until: Option<Timestamp>,
    /// What is added to every flush. Milliseconds.
    pub flush_delay_ms: u64,
    /// Nodes that this one does not reach.
    pub cut_from: Vec<NodeId>,
    /// By which its wall clock is wrong. Milliseconds.
    pub clock_offset_ms: i64,
    /// Bytes that take its disk's place.
    pub filled_bytes: u64,
}

/// One thing to break, on the node that is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The process ends at once, as by `kill -9`: there is no answer.
    Kill,
    /// The process stands still, its connections open. Milliseconds.
    Pause { ms: u64 },
    /// Every flush of chunks and log takes so much longer; 0 ends it. Milliseconds.
    SlowDisk { ms: u64 },
    /// What it sends to these nodes is lost; none ends it. What they send arrives: cut them off too for a cut both ways.
    Partition { from: Vec<NodeId> },
    /// So many bits of the chunk store's files turn over, at places that the seed chooses.
    Corrupt { bits: u64, seed: u64 },
    /// The disk is filled up until no more than this is free; the same again with more frees some of it.
    FillDisk { leave_bytes: u64 },
    /// The machine's wall clock is off by so much for this process; 0 ends it. Milliseconds.
    ClockJump { ms: i64 },
    /// Chunks are acknowledged and not kept, as by a disk that lies.
    DropChunks { drop: bool },
    /// All that may be ended is: flushes, cuts, the clock, the filled disk, dropped chunks.
    Mend,
}

/// What a cell under certification is to count as held although nobody holds it, so that its maxima are near. Zero ends it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ballast {
    pub bytes: u64,
    pub objects: u64,
}

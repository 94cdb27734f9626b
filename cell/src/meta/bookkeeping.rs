//! What the index stores for itself: totals, fences, owners of blobs, recorded outcomes, errands.
//!
//! Every record is written through [`crate::meta::format`]. Nothing outside the index needs to know these.

use super::{
    command::Outcome,
    record::{BucketId, Usage},
};
use bulkhead_model::{AccountId, ClaimId, RequestId, Timestamp};
use serde::{Deserialize, Serialize};

/// What the whole cell holds, where it is in time, and which numbers it gives out next. One row, written by every command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellState {
    /// The time of the last applied command. Never goes back.
    pub time: Timestamp,
    pub usage: Usage,
    pub accounts: u64,
    pub buckets: u64,
    pub last_bucket: u64,
    pub last_epoch: u64,
    pub last_errand: u64,
    /// Rows of [`Dropped`] buckets.
    pub dropped: u64,
    /// Ticks so far: at least [`crate::limits::TICK`] of true time lies between two, whatever the clocks say.
    pub ticks: u64,
    /// Recorded outcomes.
    pub replays: u64,
    /// Recorded outcomes up to this one are expired: a scan for the next begins here and not among their tombstones.
    pub expired_to: Option<(u64, RequestId)>,
    /// No recorded outcome expires before this tick.
    pub expire_at: u64,
}

/// What an account holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountTotals {
    pub usage: Usage,
    pub buckets: u64,
    pub keys: u64,
    pub uploads: u64,
}

/// What a bucket holds, under its id. Exists exactly as long as the bucket does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketState {
    pub owner: AccountId,
    pub name: String,
    pub usage: Usage,
    pub uploads: u64,
}

/// No bucket of this name will be created with a claim up to this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    pub claim: ClaimId,
}

/// What is known of a blob in the chunk store, from when it is named until its bytes may be freed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlobState {
    /// By the object under this key, or by a part of an upload. Completing an upload moves its blobs from the one to the other
    /// and so leaves this as it is. Length and chunk size are those of the segment.
    Named { bucket: BucketId, key: String, len: u64, chunk_bytes: u32 },
    /// By nobody any more. It is never named again.
    Released { at: Timestamp },
}

/// The outcome of a request, kept for those who ask again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// The tick in which it was applied.
    pub applied: u64,
    pub outcome: Outcome,
}

/// Something the control plane must hear of. Done by the leader, any number of times, until it is heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Errand {
    /// The bucket is gone: its name may be given away.
    ReleaseName { name: String, claim: ClaimId },
}

/// A deleted bucket whose abandoned uploads are still being cleared away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The last row of family `parts`, then of `uploads`, that is gone: the next scan begins behind it.
    pub parts_to: Option<Vec<u8>>,
    pub uploads_to: Option<Vec<u8>>,
}

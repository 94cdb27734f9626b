//! A cell node's admin API (`/admin/v1/...`, JSON, bearer token). Its users are the control plane and operators.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `POST /admin/v1/form` | [`Form`] | `204`; idempotent |
//! | `GET /admin/v1/status` | – | [`NodeStatus`] |
//! | `GET /admin/v1/storage` | – | [`NodeStorage`] |
//! | `GET /admin/v1/load` | – | [`NodeLoad`] |
//! | `PUT /admin/v1/accounts/{account}` | [`PutAccount`] | `204`; idempotent |
//! | `GET /admin/v1/accounts/{account}` | – | [`AccountUsage`] |
//! | `PUT /admin/v1/accounts/{account}/limits` | [`PutLimits`] | `204`; idempotent: an older version changes nothing |
//! | `PUT /admin/v1/accounts/{account}/settings` | [`PutSettings`] | `204`; idempotent: an older version changes nothing |
//! | `DELETE /admin/v1/accounts/{account}` | – | `204`, or `409` while it has buckets |
//! | `PUT /admin/v1/accounts/{account}/keys/{key}` | [`PutKey`] | `204`; idempotent |
//! | `DELETE /admin/v1/accounts/{account}/keys/{key}` | – | `204`; idempotent |
//! | `GET /admin/v1/quarantine` | – | `[`[`Quarantined`]`]`: what this node refuses |
//! | `DELETE /admin/v1/quarantine/{shape}` | – | `204`; here at once, on the other nodes within seconds |
//! | `POST /admin/v1/claims/settle` | [`SettleClaim`] | [`ClaimSettled`] |
//! | `POST /admin/v1/members` | [`Member`] | `204`; idempotent: the node follows without a vote |
//! | `PUT /admin/v1/voters` | [`Voters`] | `204`; idempotent |
//!
//! Every call but `status`, `storage`, `load` and those of the quarantine is answered after commit. `members` and `voters` are for the leader, which others name in
//! their status, and are answered `409` by any other; the rest may be sent to any node.

#![allow(clippy::disallowed_methods, reason = "what `JsonSchema` derives unwraps literals of its own")]

use super::control_plane::Quota;
use crate::{AccessKeyId, AccountId, AccountLimits, Az, CellId, ClaimId, Epoch, Limits, NodeId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr};

/// A member of the cell's Raft group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Member {
    pub node: NodeId,
    pub az: Az,
    /// Where it serves its peers.
    pub peer: SocketAddr,
}

/// Forms the cell's Raft group out of fresh nodes. Sent once, to one node; repeating it with the same members is harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Form {
    pub members: Vec<Member>,
}

/// Makes exactly these nodes the voters; a voter that is not named leaves the group. Each must be a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Voters {
    pub voters: Vec<NodeId>,
}

/// One node's own view of its cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeStatus {
    pub cell: CellId,
    pub node: NodeId,
    pub az: Az,
    pub blueprint_hash: String,
    pub build: String,
    /// Ready to serve tenants.
    pub ready: bool,
    /// What readiness waits for, when it does.
    pub waits_for: Vec<String>,
    pub leader: Option<NodeId>,
    pub term: u64,
    pub applied: u64,
    /// The voters.
    pub members: Vec<Member>,
    /// Members that follow without a vote.
    pub learners: Vec<Member>,
    /// This node came back without the data of its earlier life: it takes no part and must be replaced under a new id.
    pub wiped: bool,
    /// Copies of chunks that are missing, as far as this node is to know; `None` until it has looked through everything it
    /// should hold since its cell's members last changed. A replacement is over only when every node says 0.
    pub missing_copies: Option<u64>,
    pub usage: CellUsage,
}

/// What the cell holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CellUsage {
    pub bytes: u64,
    pub objects: u64,
    pub accounts: u64,
    pub buckets: u64,
}

/// What one node executes for tenants, who waits, and who is refused. Figures of the process: a restart begins anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeLoad {
    pub node: NodeId,
    /// Off only in a cell for tests.
    pub isolation: bool,
    /// Units that may be executed at once now: one is the work of a 4 KiB GET.
    pub limit_units: u64,
    /// Units being executed.
    pub held_units: u64,
    /// Requests that wait for their turn.
    pub queued: u64,
    /// Turns given since the process began: of requests, and of pieces of large ones.
    pub admitted: u64,
    /// Refusals since the process began, by reason: of the queue, or the limit of its account that a request met.
    pub refused: BTreeMap<String, u64>,
    /// Of the last one to two minutes: the accounts that waited longest, then those that were refused most. Bounded; an account that asks
    /// seldom may be missing.
    pub accounts: Vec<AccountLoad>,
}

/// One account on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountLoad {
    pub account: AccountId,
    /// Units of work it was given.
    pub units: u64,
    /// How long its requests waited for their turns, in sum.
    pub waited_ms: u64,
    pub refused: u64,
}

/// How one node's chunks are: its disk, what is on it, and what the jobs that look after it have found and done. The jobs' figures
/// are of the process: a restart begins anew, but for how far scrub is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeStorage {
    pub node: NodeId,
    pub az: Az,
    /// The node's clock when it answered: ages are counted from here.
    pub now: Timestamp,
    pub disk: DiskStorage,
    pub chunks: u64,
    /// The oldest first.
    pub extents: Vec<ExtentStorage>,
    pub trash: TrashStorage,
    /// Copies that this node should have and does not, as far as it knows. Of damaged ones too.
    pub missing: u64,
    /// Of chunks with a damaged record here and no other.
    pub corrupt: u64,
    /// Copies of any node that this one knows to be missing and is going to make.
    pub repair_backlog: u64,
    /// Of the backlog, chunks that no node has.
    pub without_source: u64,
    pub repaired_copies: u64,
    pub repaired_bytes: u64,
    /// Chunks found to be garbage and given to compaction, and the bytes of their records.
    pub freed_chunks: u64,
    pub freed_bytes: u64,
    /// Upload epochs of this node that are open.
    pub open_epochs: u64,
    pub census: CensusStorage,
    pub scrub: ScrubStorage,
}

impl NodeStorage {
    /// Bytes that are needed, and bytes that compaction gives back.
    pub fn live_and_dead(&self) -> (u64, u64) {
        self.extents.iter().fold((0, 0), |(live, dead), extent| (live + extent.live, dead + extent.dead))
    }
}

/// Extents that compaction has emptied. They are removed once every record in them is proven dead or moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrashStorage {
    /// Waiting for that, and what they take on the disk.
    pub extents: u64,
    pub bytes: u64,
    /// Removed, and what that gave back.
    pub removed_extents: u64,
    pub removed_bytes: u64,
    /// Records removed with them that the index called garbage, and their bytes.
    pub dead: u64,
    pub dead_bytes: u64,
    /// Records removed with them that lie elsewhere on the disk.
    pub moved: u64,
    /// Records that were needed after all, and stay. Always 0, unless something is wrong.
    pub rescued: u64,
}

/// A node's chunk disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskStorage {
    pub condition: DiskCondition,
    /// Writes are refused because the reserve is reached.
    pub full: bool,
    /// What may still be allocated; absent when the disk does not say.
    pub free_bytes: Option<u64>,
    pub reserve_bytes: u64,
    /// Of fsyncs and of reads over the last minute.
    pub sync: DiskLatency,
    pub read: DiskLatency,
}

/// How far a disk is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiskCondition {
    Healthy,
    /// It failed, or returned wrong bytes; reads and writes go on.
    Suspect {
        why: String,
    },
    /// It failed too often; only reads go on.
    Failed {
        why: String,
    },
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskLatency {
    pub samples: u64,
    pub p99_microseconds: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExtentStorage {
    pub extent: String,
    pub state: String,
    pub live: u64,
    pub dead: u64,
    /// Damaged records that are neither replaced nor freed.
    pub corrupt: u64,
}

/// The comparison of everything this node holds with the index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CensusStorage {
    /// Of the one that is under way, or else of the last.
    pub began: Option<Timestamp>,
    /// Of the last that came to its end.
    pub ended: Option<Timestamp>,
    pub chunks: u64,
    pub freed: u64,
    pub missing: u64,
}

/// The reading of every chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScrubStorage {
    /// Everything that was here then has been read since.
    pub whole_since: Option<Timestamp>,
    /// When the reading under way began.
    pub began: Option<Timestamp>,
    pub read: u64,
    pub of: u64,
    pub damaged: u64,
}

/// Creates or updates an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutAccount {
    pub display_name: String,
    pub email: String,
    /// The cell refuses an epoch lower than one it has seen for this account.
    pub epoch: Epoch,
}

/// Says what an account may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutLimits {
    pub limits: AccountLimits,
    /// Counts the changes of this account's limits: of two that cross on their way, the later one holds.
    pub version: u64,
}

/// Says what an account may hold, and who of it is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSettings {
    pub quota: Quota,
    /// All its requests are refused.
    pub suspended: bool,
    /// Requests signed with these are refused.
    pub disabled_keys: Vec<AccessKeyId>,
    /// Counts the changes: of two that cross on their way, the later one holds.
    pub version: u64,
}

/// What an account holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountUsage {
    pub account: AccountId,
    pub display_name: String,
    pub epoch: Epoch,
    pub buckets: u64,
    pub objects: u64,
    pub bytes: u64,
    /// What holds, the cell's defaults included.
    pub limits: Limits,
    pub limits_version: u64,
}

/// A credential's secret, in clear; the cell encrypts it before it is stored or replicated.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutKey {
    pub secret_access_key: String,
}

impl std::fmt::Debug for PutKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PutKey { secret_access_key: <redacted> }")
    }
}

/// A request that ended processes, and is refused for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quarantined {
    /// 16 hex digits.
    pub shape: String,
    pub account: AccountId,
    pub operation: String,
    /// At how many it was in flight.
    pub deaths: u64,
    pub until: Timestamp,
    pub scope: QuarantineScope,
}

/// Where it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuarantineScope {
    /// On the node that died; others execute it.
    Node,
    /// Nowhere, but each node executes one such request at a time: which of several is the cause is not known.
    Alone,
    /// On every node.
    Cell,
}

/// Asks what became of a claim on a bucket name that was never confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettleClaim {
    pub bucket: String,
    pub account: AccountId,
    pub claim: ClaimId,
}

/// The cell's answer. After `Absent`, a `CreateBucket` that still carries this claim (or an older one) is refused for
/// ever, so the name may be given away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClaimSettled {
    Exists,
    Absent,
}

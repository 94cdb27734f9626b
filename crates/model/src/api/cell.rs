//! A cell node's admin API (`/admin/v1/...`, JSON, bearer token). Its users are the control plane and operators.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `POST /admin/v1/form` | [`Form`] | `204`; idempotent |
//! | `GET /admin/v1/status` | – | [`NodeStatus`] |
//! | `PUT /admin/v1/accounts/{account}` | [`PutAccount`] | `204`; idempotent |
//! | `GET /admin/v1/accounts/{account}` | – | [`AccountUsage`] |
//! | `DELETE /admin/v1/accounts/{account}` | – | `204`, or `409` while it has buckets |
//! | `PUT /admin/v1/accounts/{account}/keys/{key}` | [`PutKey`] | `204`; idempotent |
//! | `DELETE /admin/v1/accounts/{account}/keys/{key}` | – | `204`; idempotent |
//! | `POST /admin/v1/claims/settle` | [`SettleClaim`] | [`ClaimSettled`] |
//! | `POST /admin/v1/members` | [`Member`] | `204`; idempotent: the node follows without a vote |
//! | `PUT /admin/v1/voters` | [`Voters`] | `204`; idempotent |
//!
//! Every call but `status` is answered after commit. `members` and `voters` are for the leader, which others name in their
//! status, and are answered `409` by any other; the rest may be sent to any node.

use crate::{AccountId, Az, CellId, ClaimId, Epoch, NodeId};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// A member of the cell's Raft group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    pub node: NodeId,
    pub az: Az,
    /// Where it serves its peers.
    pub peer: SocketAddr,
}

/// Forms the cell's Raft group out of fresh nodes. Sent once, to one node; repeating it with the same members is harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    pub members: Vec<Member>,
}

/// Makes exactly these nodes the voters; a voter that is not named leaves the group. Each must be a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voters {
    pub voters: Vec<NodeId>,
}

/// One node's own view of its cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Copies of chunks that this node knows to be missing in the cell; `None` when this build does not count them.
    pub missing_copies: Option<u64>,
    pub usage: CellUsage,
}

/// What the cell holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellUsage {
    pub bytes: u64,
    pub objects: u64,
    pub accounts: u64,
    pub buckets: u64,
}

/// Creates or updates an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutAccount {
    pub display_name: String,
    pub email: String,
    /// The cell refuses an epoch lower than one it has seen for this account.
    pub epoch: Epoch,
}

/// What an account holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountUsage {
    pub account: AccountId,
    pub display_name: String,
    pub epoch: Epoch,
    pub buckets: u64,
    pub objects: u64,
    pub bytes: u64,
}

/// A credential's secret, in clear; the cell encrypts it before it is stored or replicated.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutKey {
    pub secret_access_key: String,
}

impl std::fmt::Debug for PutKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PutKey { secret_access_key: <redacted> }")
    }
}

/// Asks what became of a claim on a bucket name that was never confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettleClaim {
    pub bucket: String,
    pub account: AccountId,
    pub claim: ClaimId,
}

/// The cell's answer. After `Absent`, a `CreateBucket` that still carries this claim (or an older one) is refused for
/// ever, so the name may be given away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimSettled {
    Exists,
    Absent,
}

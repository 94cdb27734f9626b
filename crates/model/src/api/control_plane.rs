//! The control plane's API (`/v1/...`, JSON, bearer token). Its users are the CLI, routers and cells.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `POST /v1/accounts` | [`CreateAccount`] | `201` [`CreatedAccount`]: the only time the secret is shown |
//! | `GET /v1/accounts` | – | `[`[`Account`]`]` |
//! | `GET /v1/accounts/{account}` | – | [`Account`] |
//! | `PUT /v1/accounts/{account}/limits` | [`AccountLimits`] | [`Account`]; idempotent: replaces all of them |
//! | `DELETE /v1/accounts/{account}` | – | `204`, or `409` while it has buckets |
//! | `POST /v1/accounts/{account}/keys` | – | `201` [`CreatedKey`] |
//! | `GET /v1/accounts/{account}/keys` | – | `[`[`Key`]`]` |
//! | `DELETE /v1/accounts/{account}/keys/{key}` | – | `204` |
//! | `POST /v1/cells` | [`StampCell`] | `201` [`Cell`], once it is formed and serving |
//! | `GET /v1/cells` | – | `[`[`Cell`]`]` |
//! | `GET /v1/cells/{cell}` | – | [`Cell`] |
//! | `POST /v1/cells/{cell}/nodes/{node}/replace` | – | `202` [`Cell`]; idempotent; watch its `replacement` |
//! | `GET /v1/cells/{cell}/storage` | – | [`CellStorage`] |
//! | `GET /v1/cells/{cell}/load` | – | [`CellLoad`] |
//! | `GET /v1/cells/{cell}/quarantine` | – | `[`[`NodeQuarantine`]`]`: what each node refuses |
//! | `DELETE /v1/cells/{cell}/quarantine/{shape}` | – | `204`: on one node at once, on all within seconds |
//! | `POST /v1/buckets` | [`ClaimBucket`] | [`Claimed`], or `409` when the name is another account's |
//! | `GET /v1/buckets/{bucket}` | – | [`Bucket`] |
//! | `DELETE /v1/buckets/{bucket}?claim={claim}` | – | `204`; idempotent; a later claim is left alone |
//! | `GET /v1/routing` | – | [`crate::RoutingTable`] |
//! | `GET /v1/routing/changes?after={version}` | – | [`Changes`]; waits up to [`FEED_WAIT_SECONDS`] for the first |
//! | `GET /v1/status` | – | [`Status`] |

use crate::{
    AccessKeyId, AccountId, AccountLimits, Az, CellId, ClaimId, Epoch, NodeId, Timestamp,
    api::cell::{NodeLoad, NodeStorage, Quarantined},
    routing::Versioned,
};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// How long the change feed waits before it answers with no change.
pub const FEED_WAIT_SECONDS: u64 = 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateAccount {
    /// 1 to 64 characters; shown as the owner's display name.
    pub name: String,
    /// Unique in the fleet, up to 254 characters, with one `@`.
    pub email: String,
    /// What is not set is the default of its cell.
    #[serde(default)]
    pub limits: AccountLimits,
}

/// A new account with its first key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedAccount {
    pub account_id: AccountId,
    pub canonical_id: String,
    pub display_name: String,
    pub email: String,
    pub cell: CellId,
    pub access_key_id: AccessKeyId,
    pub secret_access_key: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub account_id: AccountId,
    pub canonical_id: String,
    pub display_name: String,
    pub email: String,
    pub cell: CellId,
    pub epoch: Epoch,
    pub state: AccountState,
    pub created_at: Timestamp,
    /// What was set; the rest is the default of its cell.
    #[serde(default)]
    pub limits: AccountLimits,
    /// The cell has them.
    #[serde(default)]
    pub limits_in_force: bool,
}

/// ```text
///  Creating ─► Active ─► Deleting ─► (gone)
///      └──────────────────────┘  a creation that failed half-way is undone
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    Creating,
    Active,
    Deleting,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedKey {
    pub account_id: AccountId,
    pub access_key_id: AccessKeyId,
    pub secret_access_key: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub access_key_id: AccessKeyId,
    pub account_id: AccountId,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StampCell {
    pub name: CellId,
    /// A blueprint the control plane knows by name, for example `dev`.
    pub blueprint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    pub cell: CellId,
    pub blueprint: String,
    pub blueprint_hash: String,
    pub state: CellState,
    pub nodes: Vec<CellNode>,
    pub replacement: Option<Replacement>,
    pub accounts: u64,
    pub created_at: Timestamp,
}

/// A node that takes another's place, in the same AZ. A node id is never used twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    pub old: NodeId,
    pub new: NodeId,
    /// `None` until the new node's addresses are planned.
    pub planned: Option<CellNode>,
    pub step: ReplaceStep,
    /// When `step` was entered.
    pub since: Timestamp,
}

/// ```text
///  Joining ─► Swapping ─► Repairing ─► (done)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplaceStep {
    /// The new node is started, follows without a vote, and catches up.
    Joining,
    /// The old node is stopped, and the new one votes in its stead.
    Swapping,
    /// The new node serves; the chunks it should hold are copied to it.
    Repairing,
}

/// ```text
///  Provisioning ─► Forming ─► Active
///        └────────────┴─► Failed { why }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellState {
    Provisioning,
    Forming,
    Active,
    Failed { why: String },
}

/// A node of a cell, with all its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellNode {
    pub node: NodeId,
    pub az: Az,
    pub s3: SocketAddr,
    pub admin: SocketAddr,
    pub peer: SocketAddr,
}

/// How a cell's chunks are, node by node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellStorage {
    pub nodes: Vec<CellNodeStorage>,
}

/// What one node refuses because it ended processes, or why it does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeQuarantine {
    pub node: NodeId,
    pub refused: Vec<Quarantined>,
    pub unreachable: Option<String>,
}

/// One node's answer, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellNodeStorage {
    pub node: NodeId,
    pub storage: Option<NodeStorage>,
    pub unreachable: Option<String>,
    /// Its disk takes much longer than those of most nodes of the cell: for what.
    pub slow: Vec<String>,
}

/// What a cell's nodes execute, and who waits and is refused there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellLoad {
    pub nodes: Vec<CellNodeLoad>,
}

/// One node's answer, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellNodeLoad {
    pub node: NodeId,
    pub load: Option<NodeLoad>,
    pub unreachable: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimBucket {
    pub bucket: String,
    pub account: AccountId,
}

/// The name is the account's. Repeating a claim while it is unsettled, or once it is committed, gives the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    pub claim: ClaimId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    pub bucket: String,
    pub account: AccountId,
    pub claim: ClaimId,
    /// The cell has confirmed that the bucket exists.
    pub committed: bool,
}

/// The next changes after a version, in order. `reset` says that the feed no longer reaches back that far: fetch the
/// full table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    pub reset: bool,
    pub changes: Vec<Versioned>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub build: String,
    pub node: NodeId,
    pub leader: Option<NodeId>,
    pub accounts: u64,
    pub buckets: u64,
    pub cells: u64,
    pub routing_version: u64,
}

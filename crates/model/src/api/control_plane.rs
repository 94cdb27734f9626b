//! The control plane's API (`/v1/...`, JSON, bearer token). Its users are the CLI, routers and cells.
//!
//! `GET /v1/openapi.json` describes every call; it is made of the table of routes and of the types in here. A write may carry
//! [`IDEMPOTENCY_KEY`]: repeated under the same key it is carried out once. Work that takes long is answered `202` with an
//! [`Operation`] to watch at `GET /v1/operations/{operation}`.

#![allow(clippy::disallowed_methods, reason = "what `JsonSchema` derives unwraps literals of its own")]

mod dns;
mod fleet;
mod operations;
mod settings;

pub use dns::{DnsName, DnsPage};
pub use fleet::{
    CellCertificate, Considered, Dimension, Explained, Figures, Fleet, FleetCell, FleetDimension, Placed, Quota,
};
pub use operations::{
    AuditEntry, CreateToken, CreatedToken, Operation, OperationKind, OperationState, OperationStep, Role, Token,
};
pub use settings::{Reached, RollBackSetting, Rollout, Said, SetSetting, Setting, SettingsFor, Target, Was};

use crate::{
    AccessKeyId, AccountId, AccountLimits, Az, CellId, ClaimId, Epoch, NodeId, Timestamp,
    api::cell::{NodeLoad, NodeStorage, Quarantined},
    routing::Versioned,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// How long the change feed waits before it answers with no change.
pub const FEED_WAIT_SECONDS: u64 = 20;
/// The header under which a write is carried out once, however often it is sent: 1 to 128 visible ASCII characters.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAccount {
    /// 1 to 64 characters; shown as the owner's display name.
    pub name: String,
    /// Unique in the fleet, up to 254 characters, with one `@`.
    pub email: String,
    /// What is not set is the default of its cell.
    #[serde(default)]
    pub limits: AccountLimits,
    /// What it may hold. What is not set is bounded by its cell alone.
    #[serde(default)]
    pub quota: Quota,
    /// Its data must stay in one of these regions. Empty means anywhere.
    #[serde(default)]
    pub regions: Vec<String>,
    /// Accounts of one group are never placed in the same cell.
    #[serde(default)]
    pub apart: Option<String>,
}

/// A new account with its first key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreatedAccount {
    pub account_id: AccountId,
    pub canonical_id: String,
    pub display_name: String,
    pub email: String,
    pub cell: CellId,
    pub access_key_id: AccessKeyId,
    pub secret_access_key: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    #[serde(default)]
    pub quota: Quota,
    #[serde(default)]
    pub regions: Vec<String>,
    #[serde(default)]
    pub apart: Option<String>,
    #[serde(default)]
    pub buckets: u64,
}

/// ```text
///  Creating ─► Active ◄─► Suspended
///      │         └─────┬─────┴─► Purging
///      └───────────────┴────────────┴─► Deleting ─► (gone)
/// ```
/// The order is that in which the states came to be: it is part of a stored format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    Creating,
    Active,
    Deleting,
    /// Its requests are refused; everything it holds stays.
    Suspended,
    /// Everything it holds is being deleted, then it is.
    Purging,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreatedKey {
    pub account_id: AccountId,
    pub access_key_id: AccessKeyId,
    pub secret_access_key: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Key {
    pub access_key_id: AccessKeyId,
    pub account_id: AccountId,
    pub created_at: Timestamp,
    /// Requests signed with it are refused.
    #[serde(default)]
    pub disabled: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StampCell {
    pub name: CellId,
    /// A blueprint the control plane knows by name, for example `dev`.
    pub blueprint: String,
    /// Where it is; the control plane's own region when it is not said.
    #[serde(default)]
    pub region: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cell {
    pub cell: CellId,
    pub blueprint: String,
    pub blueprint_hash: String,
    pub state: CellState,
    pub nodes: Vec<CellNode>,
    pub replacement: Option<Replacement>,
    pub accounts: u64,
    pub created_at: Timestamp,
    /// When `state` was entered.
    #[serde(default)]
    pub since: Timestamp,
    #[serde(default)]
    pub region: String,
    /// What its blueprint declares.
    #[serde(default)]
    pub capacity: Figures,
    #[serde(default)]
    pub certificate: CellCertificate,
    /// Why it takes no new account; `None` when it does.
    #[serde(default)]
    pub refuses: Option<String>,
    /// The last work on it.
    #[serde(default)]
    pub operation: Option<u64>,
}

/// A node that takes another's place, in the same AZ. A node id is never used twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplaceStep {
    /// The new node is started, follows without a vote, and catches up.
    Joining,
    /// The old node is stopped, and the new one votes in its stead.
    Swapping,
    /// The new node serves; the chunks it should hold are copied to it.
    Repairing,
}

/// The life of a cell. Which moves are legal is said in one place, in the control plane.
///
/// ```text
///  Requested ─► Provisioning ─► Forming ─► Certifying ─► Active ◄─► Closed { by }
///      │             ▲  │          │           │            └────┬─────┘
///      └─────────────┼──┴──────────┴───────────┴─► Failed        ▼
///                    └──────────────────────────────┤        Draining
///                                      torn down    ▼            ▼ retired
///                                          Dismantling { forget } ─► Retired, or forgotten
/// ```
/// The order is that in which the states came to be: it is part of a stored format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CellState {
    /// Its processes are being planned and started.
    Provisioning,
    /// Its nodes become one group.
    Forming,
    /// It serves its accounts, and takes new ones while its certificate is good.
    Active,
    /// Stamping went wrong. Its processes are stopped; it goes on when it is resumed, or goes when it is torn down.
    Failed { why: String },
    /// Recorded, and nothing done yet.
    Requested,
    /// It is measured against its blueprint.
    Certifying,
    /// It serves its accounts and takes no new ones.
    Closed { by: ClosedBy },
    /// It has no account and takes none.
    Draining,
    /// Its processes are being ended and its directories removed.
    Dismantling {
        /// Nobody was ever promised anything there: the name may be used again.
        forget: bool,
    },
    /// It is gone, and its name is not used again.
    Retired,
}

/// Who closed a cell to new accounts, and therefore who opens it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClosedBy {
    /// By command; opened by command.
    Operator,
    /// A dimension is used up to its soft limit; opened by itself once it is well below.
    SoftLimit { why: String },
    /// Its certificate does not hold (any more); opened by itself once there is one that does.
    Certificate { why: String },
}

/// A node of a cell, with all its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CellNode {
    pub node: NodeId,
    pub az: Az,
    pub s3: SocketAddr,
    pub admin: SocketAddr,
    pub peer: SocketAddr,
}

/// How a cell's chunks are, node by node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CellStorage {
    pub nodes: Vec<CellNodeStorage>,
}

/// What one node refuses because it ended processes, or why it does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeQuarantine {
    pub node: NodeId,
    pub refused: Vec<Quarantined>,
    pub unreachable: Option<String>,
}

/// One node's answer, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CellNodeStorage {
    pub node: NodeId,
    pub storage: Option<NodeStorage>,
    pub unreachable: Option<String>,
    /// Its disk takes much longer than those of most nodes of the cell: for what.
    pub slow: Vec<String>,
}

/// What a cell's nodes execute, and who waits and is refused there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CellLoad {
    pub nodes: Vec<CellNodeLoad>,
}

/// One node's answer, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CellNodeLoad {
    pub node: NodeId,
    pub load: Option<NodeLoad>,
    pub unreachable: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimBucket {
    pub bucket: String,
    pub account: AccountId,
}

/// The name is the account's. Repeating a claim while it is unsettled, or once it is committed, gives the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claimed {
    pub claim: ClaimId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bucket {
    pub bucket: String,
    pub account: AccountId,
    pub claim: ClaimId,
    /// The cell has confirmed that the bucket exists.
    pub committed: bool,
}

/// The next changes after a version, in order. `reset` says that the feed no longer reaches back that far: fetch the
/// full table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changes {
    pub reset: bool,
    pub changes: Vec<Versioned>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    pub build: String,
    pub node: NodeId,
    pub leader: Option<NodeId>,
    pub accounts: u64,
    pub buckets: u64,
    pub cells: u64,
    pub routing_version: u64,
    /// Cells of the blueprint `dev` take accounts without a certificate: a configuration for tests.
    #[serde(default)]
    pub uncertified: bool,
}

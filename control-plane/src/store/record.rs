//! What the directory stores. No secret is ever among it.
//!
//! Written through [`super::format`]; fields and variants may only be added together with a new format version.

use crate::domain::{claims::Held, placement::Load};
use bulkhead_model::{
    AccessKeyId, AccountId, AccountLimits, CellId, ClaimId, Epoch, NodeId, Timestamp,
    api::control_plane::{AccountState, CellNode, CellState, Replacement},
};
use serde::{Deserialize, Serialize};

/// A tenant, and where it lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub display_name: String,
    pub email: String,
    pub cell: CellId,
    pub epoch: Epoch,
    pub state: AccountState,
    pub created: Timestamp,
    /// When `state` was entered.
    pub since: Timestamp,
    /// Bucket names held here, pending ones included.
    pub buckets: u64,
    pub keys: Vec<AccessKeyId>,
    pub limits: AccountLimits,
    /// Counts the changes of `limits`; 0 when they were never set.
    pub limits_version: u64,
    /// The version that the cell is known to have.
    pub limits_in_cell: u64,
}

/// The public half of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub account: AccountId,
    pub state: KeyState,
    pub created: Timestamp,
}

/// ```text
///  Creating ─► Active ─► Deleting ─► (gone)
///      └──────────────────────┘  a creation that failed half-way is undone
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    Creating,
    Active,
    Deleting,
}

/// A claimed name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    pub account: AccountId,
    pub claim: ClaimId,
    /// The cell has confirmed that the bucket exists.
    pub committed: bool,
    pub claimed: Timestamp,
}

impl Bucket {
    /// Who holds the name.
    pub fn held(&self) -> Held {
        Held { account: self.account, claim: self.claim }
    }
}

/// A cell and what was promised to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The blueprint's name.
    pub blueprint: String,
    pub blueprint_hash: String,
    /// Accounts it is declared to hold.
    pub capacity: u64,
    /// Accounts placed in it, those being created or deleted included.
    pub accounts: u64,
    pub state: CellState,
    /// Empty until its addresses are planned.
    pub nodes: Vec<CellNode>,
    /// The highest id a node of it ever had: none is used twice.
    pub last_node: NodeId,
    /// At most one at a time: until the chunks are whole again, another node cannot be spared.
    pub replacement: Option<Replacement>,
    pub created: Timestamp,
    /// When `state` was entered.
    pub since: Timestamp,
}

impl Cell {
    /// Its load, for placement.
    pub fn load(&self) -> Load {
        Load { accounts: self.accounts, capacity: self.capacity }
    }

    /// Whether it takes another account.
    pub fn is_eligible(&self) -> bool {
        self.state == CellState::Active && self.load().has_room()
    }
}

/// Counters of the whole directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The version of the routing table; counts changes.
    pub routing_version: u64,
    /// The last claim that was given.
    pub last_claim: ClaimId,
    /// The time of the last command, made monotonic.
    pub time: Timestamp,
    pub accounts: u64,
    pub buckets: u64,
    pub cells: u64,
}

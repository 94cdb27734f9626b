//! What the directory stores. No secret is ever among it.
//!
//! Written through [`super::format`]; fields and variants may only be added together with a new format version.

use crate::domain::{
    claims::Held,
    headroom::{Load, SOFT_LIMITS},
    placement,
};
use bulkhead_model::{
    AccessKeyId, AccountId, AccountLimits, CellId, ClaimId, Epoch, NodeId, Timestamp,
    api::control_plane::{
        AccountState, CellNode, CellState, ClosedBy, Figures, OperationKind, OperationState, OperationStep, Placed,
        Quota, Replacement, Role,
    },
};
use serde::{Deserialize, Serialize};

pub mod setting;
pub mod v1;

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
    /// Since version 2.
    pub more: MoreOfAccount,
}

/// What version 2 added to an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoreOfAccount {
    pub quota: Quota,
    /// What is reserved for it in its cell, the account itself apart.
    pub reserved: Figures,
    /// Empty means anywhere.
    pub regions: Vec<String>,
    /// Accounts of one group never share a cell.
    pub apart: Option<String>,
    pub placed: Option<Placed>,
    /// The last work on it.
    pub operation: Option<u64>,
    /// Counts the changes of quota, suspension and disabled keys; 0 when there were none.
    pub settings_version: u64,
    /// The version that the cell is known to have.
    pub settings_in_cell: u64,
}

impl Account {
    /// What it is to have in its cell, itself apart: its quota, and the request rates that were set for it.
    pub fn reserves(&self) -> Figures {
        reserves(&self.limits, &self.more.quota)
    }
}

/// What an account with these limits and this quota is to have in its cell, itself apart.
pub fn reserves(limits: &AccountLimits, quota: &Quota) -> Figures {
    let rates = [limits.read_requests, limits.write_requests, limits.list_requests, limits.delete_requests];
    let requests = rates.into_iter().flatten().fold(0_u64, u64::saturating_add);
    Figures { accounts: 0, bytes: quota.bytes.unwrap_or(0), objects: quota.objects.unwrap_or(0), requests }
}

/// The public half of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub account: AccountId,
    pub state: KeyState,
    pub created: Timestamp,
    /// Since version 2: requests signed with it are refused.
    pub disabled: bool,
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
    /// Since version 2.
    pub more: MoreOfCell,
}

/// What version 2 added to a cell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoreOfCell {
    pub region: String,
    /// What its blueprint declares; of a cell of version 1 only the accounts are known.
    pub capacity: Figures,
    /// What its accounts reserve, themselves counted in [`Cell::accounts`].
    pub reserved: Figures,
    pub vouched: Vouched,
    /// The last work on it.
    pub operation: Option<u64>,
}

/// What vouches for a cell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Vouched {
    #[default]
    Nothing,
    /// Nothing, and the configuration said that it need not be.
    Waived,
    By(Certified),
}

/// What was read out of a certificate that held. The document itself is a [`CertificateRecord`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certified {
    pub blueprint_hash: String,
    pub build: String,
    /// Hex SHA-256 of the document.
    pub digest: String,
    pub issued: Timestamp,
    pub expires: Timestamp,
}

impl Cell {
    /// Its load by accounts alone, as version 1 placed.
    pub fn first_load(&self) -> placement::Load {
        placement::Load { accounts: self.accounts, capacity: self.capacity }
    }

    /// Whether it takes another account, as version 1 placed.
    pub fn was_eligible(&self) -> bool {
        self.state == CellState::Active && self.first_load().has_room()
    }

    /// What its blueprint declares, as far as it is recorded.
    pub fn capacity(&self) -> Figures {
        Figures { accounts: self.capacity, ..self.more.capacity }
    }

    /// What is used of it: in each dimension the larger of what is reserved and what was `seen`.
    pub fn used(&self, seen: Figures) -> Figures {
        let reserved = Figures { accounts: self.accounts, ..self.more.reserved };
        reserved.zip(Figures { accounts: 0, ..seen }, u64::max)
    }

    /// Its load, for placement.
    pub fn load(&self, seen: Figures) -> Load {
        Load { used: self.used(seen), capacity: self.capacity(), soft: SOFT_LIMITS }
    }

    /// Why it takes no new account at `now`; `None` when it may. What is left of it is not asked here.
    pub fn closed(&self, now: Timestamp) -> Option<String> {
        match &self.state {
            CellState::Active => self.unvouched(now),
            CellState::Closed { by: ClosedBy::Operator } => Some("an operator closed it".into()),
            CellState::Closed { by } => Some(by.to_string()),
            CellState::Failed { .. }
            | CellState::Requested
            | CellState::Provisioning
            | CellState::Forming
            | CellState::Certifying
            | CellState::Draining
            | CellState::Dismantling { .. }
            | CellState::Retired => Some(format!("it is {}", crate::domain::cell::name(&self.state))),
        }
    }

    /// Why nothing vouches for it at `now`.
    pub fn unvouched(&self, now: Timestamp) -> Option<String> {
        match &self.more.vouched {
            Vouched::Waived => None,
            Vouched::Nothing => Some("it has no certificate".into()),
            Vouched::By(certified) if certified.blueprint_hash != self.blueprint_hash => {
                let (theirs, ours) = (&certified.blueprint_hash, &self.blueprint_hash);
                Some(format!("its certificate is of blueprint {theirs}, but it is of {ours}"))
            }
            Vouched::By(certified) if certified.expires <= now => {
                Some(format!("its certificate expired at {}", crate::domain::cell::time(certified.expires)))
            }
            Vouched::By(_) => None,
        }
    }
}

/// A certificate as it was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRecord {
    pub document: String,
}

/// Long work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationRecord {
    pub kind: OperationKind,
    pub target: String,
    pub state: OperationState,
    pub steps: Vec<OperationStep>,
    pub began: Timestamp,
    pub by: String,
}

/// One change, before and after in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    pub at: Timestamp,
    pub who: String,
    pub what: String,
    pub target: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// A token of the API. The token itself is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    pub role: Role,
    /// Hex SHA-256 of the token, which has 256 random bits.
    pub digest: String,
    pub created: Timestamp,
}

/// A request that is carried out once under its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotent {
    /// Hex SHA-256 of who, method, path and body.
    pub request: String,
    pub began: Timestamp,
    /// `None` while it is not known what became of it.
    pub answer: Option<Answered>,
}

/// What was answered, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    pub status: u16,
    pub body: String,
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

/// What version 2 counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub last_operation: u64,
    pub last_audit: u64,
    /// Requests remembered by their keys; the oldest are forgotten.
    pub last_idempotent: u64,
}

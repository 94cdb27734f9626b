//! Commands: everything that can change the directory. Proposed by one node, applied by every replica.
//!
//! The proposer stamps time, ids and the placement ring's candidates; `apply` decides. Formats are frozen.

use bulkhead_model::{
    AccessKeyId, AccountId, AccountLimits, CellId, ClaimId, Epoch, NodeId, Timestamp,
    api::control_plane::{AccountState, CellNode, CellState, ReplaceStep},
};
use serde::{Deserialize, Serialize};

/// A command and the proposer's wall clock, which `apply` makes monotonic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    pub time: Timestamp,
    pub command: Command,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Reserves a place in the best of `candidates`, and the account's first key.
    CreateAccount(CreateAccount),
    /// The cell has the account and its first key.
    ActivateAccount {
        account: AccountId,
        key: AccessKeyId,
    },
    /// Refused while the account has buckets.
    BeginDeleteAccount {
        account: AccountId,
    },
    /// The cell has forgotten the account.
    ForgetAccount {
        account: AccountId,
    },
    CreateKey {
        account: AccountId,
        key: AccessKeyId,
    },
    /// The cell has the key.
    ActivateKey {
        key: AccessKeyId,
    },
    BeginDeleteKey {
        account: AccountId,
        key: AccessKeyId,
    },
    /// The cell has forgotten the key.
    ForgetKey {
        key: AccessKeyId,
    },
    /// Records a cell to be stamped. Repeating it is harmless, and gives a failed cell another attempt.
    StampCell {
        cell: CellId,
        blueprint: String,
        blueprint_hash: String,
        capacity: u64,
    },
    /// Records the addresses a cell's nodes will have, once.
    PlanCell {
        cell: CellId,
        nodes: Vec<CellNode>,
    },
    MoveCell {
        cell: CellId,
        to: CellState,
    },
    ClaimBucket {
        bucket: String,
        account: AccountId,
    },
    /// The cell has the bucket under this claim.
    CommitBucket {
        bucket: String,
        claim: ClaimId,
    },
    /// The cell does not have the bucket under this claim and never will again.
    ReleaseBucket {
        bucket: String,
        claim: ClaimId,
    },
    /// Begins to replace a node by one with a fresh id. Repeating it while that goes on is harmless.
    ReplaceNode {
        cell: CellId,
        node: NodeId,
    },
    /// Records the addresses of the node that takes the place, once.
    PlanReplacement {
        cell: CellId,
        node: CellNode,
    },
    /// The replacement by this node goes on; with [`ReplaceStep::Repairing`] it has taken the place.
    MoveReplacement {
        cell: CellId,
        node: NodeId,
        to: ReplaceStep,
    },
    /// The cell is whole again.
    FinishReplacement {
        cell: CellId,
        node: NodeId,
    },
    /// Replaces what was set for an account; the cell is told afterwards.
    SetLimits {
        account: AccountId,
        limits: AccountLimits,
    },
    /// The cell has this version of the account's limits.
    LimitsInForce {
        account: AccountId,
        version: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateAccount {
    pub account: AccountId,
    pub display_name: String,
    pub email: String,
    /// In the order of the ring.
    pub candidates: Vec<CellId>,
    pub key: AccessKeyId,
    pub limits: AccountLimits,
}

/// What a command did, or why it did nothing.
pub type Outcome = Result<Done, Refusal>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Done {
    Ok,
    AccountPlaced { cell: CellId, epoch: Epoch },
    Claimed { claim: ClaimId },
}

/// Why nothing was done. The text is shown to the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    #[error("the id {0} is taken")]
    AccountIdTaken(AccountId),
    #[error("the access key id is taken")]
    KeyIdTaken,
    #[error("the email address is account {account}'s (its state is {state:?}); use another address, or that account")]
    EmailTaken { account: AccountId, state: AccountState },
    #[error("no active cell has room for another account; stamp one with `bulkhead cell stamp`")]
    NoRoom,
    #[error("there is no account {0}")]
    NoSuchAccount(AccountId),
    #[error("account {account} is {state:?}; only an active account can do this")]
    AccountNotActive { account: AccountId, state: AccountState },
    #[error("account {account} is {state:?}; deletion has not begun")]
    AccountNotDeleting { account: AccountId, state: AccountState },
    #[error("account {account} still has {buckets} buckets; delete them first")]
    AccountNotEmpty { account: AccountId, buckets: u64 },
    #[error("account {account} has {keys} of at most {max} access keys; delete one first")]
    TooManyKeys { account: AccountId, keys: u64, max: u64 },
    #[error("account {account} has no access key {key}")]
    NoSuchKey { account: AccountId, key: AccessKeyId },
    #[error("access key {0} is gone or being deleted")]
    KeyGone(AccessKeyId),
    #[error("access key {0} is in use; deletion has not begun")]
    KeyNotDeleting(AccessKeyId),
    #[error("there is no cell {0}")]
    NoSuchCell(CellId),
    #[error(
        "cell {cell} exists with blueprint {blueprint} ({blueprint_hash}); a cell never changes its blueprint: choose another name"
    )]
    CellExists { cell: CellId, blueprint: String, blueprint_hash: String },
    #[error("the fleet has {cells} of at most {max} cells")]
    TooManyCells { cells: u64, max: u64 },
    #[error("cell {cell} is {from}, from where it cannot become {to}")]
    IllegalCellMove { cell: CellId, from: String, to: String },
    #[error("cell {0} has its addresses already")]
    CellPlanned(CellId),
    #[error("cell {cell} is {state}; only an active cell's nodes are replaced: stamp it again")]
    CellNotActive { cell: CellId, state: String },
    #[error("cell {cell} has no node {node}")]
    NoSuchNode { cell: CellId, node: NodeId },
    #[error(
        "node {old} of cell {cell} is being replaced by node {new}; the cell cannot spare another until that is done"
    )]
    ReplacementUnderWay { cell: CellId, old: NodeId, new: NodeId },
    #[error("cell {cell} has no replacement by node {node} that could do this now")]
    NoSuchReplacement { cell: CellId, node: NodeId },
    #[error("the bucket name is another account's")]
    BucketTaken,
    #[error("account {account} holds {buckets} of at most {max} bucket names")]
    TooManyBuckets { account: AccountId, buckets: u64, max: u64 },
}

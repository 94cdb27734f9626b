//! Commands: everything that can change the directory. Proposed by one node, applied by every replica.
//!
//! The proposer stamps time, ids and the placement ring's candidates; `apply` decides. Formats are frozen.

use super::format::{V1, V2, V3};
use super::record::{Answered, Certified};
use bulkhead_model::{
    AccessKeyId, AccountId, AccountLimits, CellId, ClaimId, Epoch, NodeId, Timestamp,
    api::control_plane::{
        AccountState, CellNode, CellState, Figures, OperationKind, OperationState, Quota, ReplaceStep, Role, Target,
    },
    settings::Held,
};
use serde::{Deserialize, Serialize};

pub mod v1;

/// A command, the proposer's wall clock, which `apply` makes monotonic, and since version 2 who asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    pub time: Timestamp,
    pub command: Command,
    /// `None` in version 1, whose changes are not in the audit log.
    pub who: Option<String>,
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
    // From here on: version 2.
    /// Records a cell to be stamped. Repeating it is harmless.
    RequestCell {
        cell: CellId,
        blueprint: String,
        blueprint_hash: String,
        region: String,
        capacity: Figures,
    },
    /// Gives a cell that failed another attempt, with the addresses it has.
    ResumeCell {
        cell: CellId,
    },
    /// Moves a cell along its life, if it has not been moved since it was looked at.
    AdvanceCell {
        cell: CellId,
        /// When the state that was seen was entered.
        seen: Timestamp,
        to: CellState,
        /// What was done, for the operation that shows it.
        note: String,
    },
    /// Puts a certificate that was verified beside the cell, and opens the cell if it only waited for that.
    CertifyCell {
        cell: CellId,
        certified: Certified,
        document: String,
    },
    /// Opens a cell that needs no certificate, as the configuration says.
    WaiveCertificate {
        cell: CellId,
        seen: Timestamp,
    },
    /// Begins to remove a cell: to forget it, or to retire it.
    DismantleCell {
        cell: CellId,
        forget: bool,
    },
    /// Nothing of the cell is left.
    ForgetCell {
        cell: CellId,
    },
    /// As `CreateAccount`, by all dimensions, among cells that something vouches for.
    PlaceAccount(PlaceAccount),
    SetQuota {
        account: AccountId,
        quota: Quota,
    },
    /// Suspends, resumes or begins to purge an account.
    MoveAccount {
        account: AccountId,
        to: AccountState,
    },
    SwitchKey {
        account: AccountId,
        key: AccessKeyId,
        disabled: bool,
    },
    /// The cell has what was set for the account and its keys at that time.
    SettingsInForce {
        account: AccountId,
        version: u64,
    },
    BeginOperation {
        kind: OperationKind,
        target: String,
    },
    /// Notes a step of an operation, or its end.
    NoteOperation {
        operation: u64,
        step: Option<String>,
        state: OperationState,
    },
    CreateToken {
        name: String,
        role: Role,
        digest: String,
    },
    RevokeToken {
        name: String,
    },
    /// Takes up a request under its key, or says what was answered to it.
    BeginIdempotent {
        key: String,
        request: String,
    },
    /// Notes what was answered; with `None` the request may be made again.
    FinishIdempotent {
        key: String,
        answer: Option<Answered>,
    },
    // From here on: version 3.
    /// Begins to change a setting.
    SetSetting(SetSetting),
    /// The next cell gets what is on its way: so many of its nodes are ready. One that is gone is passed over.
    StepSetting {
        setting: String,
        /// The version of the setting that was seen.
        seen: u64,
        ready: Option<u64>,
    },
    /// Every cell has what was on its way.
    FinishSetting {
        setting: String,
        seen: u64,
    },
    /// Takes back what is on its way, or else the last change.
    RollBackSetting {
        setting: String,
        expected: Option<u64>,
        /// When it is done by itself.
        why: Option<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSetting {
    pub setting: String,
    pub target: Target,
    /// `None` takes back what was said.
    pub to: Option<Held>,
    /// The version of the setting that the change was decided on.
    pub expected: Option<u64>,
    pub bake_seconds: u64,
}

/// A cell an account may go to, and what was last seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub cell: CellId,
    pub seen: Figures,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceAccount {
    pub account: AccountId,
    pub display_name: String,
    pub email: String,
    pub key: AccessKeyId,
    pub limits: AccountLimits,
    pub quota: Quota,
    pub regions: Vec<String>,
    pub apart: Option<String>,
    /// In the order of the ring.
    pub candidates: Vec<Candidate>,
    /// The others, and why each is none; recorded with the place.
    pub left_out: Vec<(CellId, String)>,
}

impl Command {
    /// The version that brought it.
    pub fn version(&self) -> u8 {
        match self {
            Self::CreateAccount(_)
            | Self::ActivateAccount { .. }
            | Self::BeginDeleteAccount { .. }
            | Self::ForgetAccount { .. }
            | Self::CreateKey { .. }
            | Self::ActivateKey { .. }
            | Self::BeginDeleteKey { .. }
            | Self::ForgetKey { .. }
            | Self::StampCell { .. }
            | Self::PlanCell { .. }
            | Self::MoveCell { .. }
            | Self::ClaimBucket { .. }
            | Self::CommitBucket { .. }
            | Self::ReleaseBucket { .. }
            | Self::ReplaceNode { .. }
            | Self::PlanReplacement { .. }
            | Self::MoveReplacement { .. }
            | Self::FinishReplacement { .. }
            | Self::SetLimits { .. }
            | Self::LimitsInForce { .. } => V1,
            Self::RequestCell { .. }
            | Self::ResumeCell { .. }
            | Self::AdvanceCell { .. }
            | Self::CertifyCell { .. }
            | Self::WaiveCertificate { .. }
            | Self::DismantleCell { .. }
            | Self::ForgetCell { .. }
            | Self::PlaceAccount(_)
            | Self::SetQuota { .. }
            | Self::MoveAccount { .. }
            | Self::SwitchKey { .. }
            | Self::SettingsInForce { .. }
            | Self::BeginOperation { .. }
            | Self::NoteOperation { .. }
            | Self::CreateToken { .. }
            | Self::RevokeToken { .. }
            | Self::BeginIdempotent { .. }
            | Self::FinishIdempotent { .. } => V2,
            Self::SetSetting(_)
            | Self::StepSetting { .. }
            | Self::FinishSetting { .. }
            | Self::RollBackSetting { .. } => V3,
        }
    }

    /// Its name, for the audit log.
    pub fn name(&self) -> String {
        let shown = format!("{self:?}");
        shown.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
    }
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
    AccountPlaced {
        cell: CellId,
        epoch: Epoch,
    },
    Claimed {
        claim: ClaimId,
    },
    // From here on: version 2.
    /// Work that is watched under this number.
    Operation {
        operation: u64,
    },
    /// Nobody made this request before.
    First,
    /// It was made before: what was answered, or `None` when that is not known.
    Again {
        answer: Option<Answered>,
    },
    // From here on: version 3.
    /// The setting has this version now.
    Setting {
        version: u64,
    },
}

impl Done {
    pub(super) fn version(&self) -> u8 {
        match self {
            Self::Ok | Self::AccountPlaced { .. } | Self::Claimed { .. } => V1,
            Self::Operation { .. } | Self::First | Self::Again { .. } => V2,
            Self::Setting { .. } => V3,
        }
    }
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
    // From here on: version 2.
    #[error("cell {cell} has moved on to {state} meanwhile")]
    CellMoved { cell: CellId, state: String },
    #[error(
        "cell {cell} has {accounts} accounts; only a cell without accounts can be drained: delete them (an account is not moved)"
    )]
    CellHasAccounts { cell: CellId, accounts: u64 },
    #[error("cell {cell} is {state}; this can be done to one that is {accepted}")]
    CellCannot { cell: CellId, state: String, accepted: String },
    #[error("cell {cell} cannot be opened: {why}")]
    CellUnvouched { cell: CellId, why: String },
    #[error("no cell takes this account: {why}")]
    NoCellFits { why: String },
    #[error("there is no operation {0}")]
    NoSuchOperation(u64),
    #[error("there is a token {0} already; revoke it first, or choose another name")]
    TokenExists(String),
    #[error("there is no token {0}")]
    NoSuchToken(String),
    #[error("the fleet has {tokens} of at most {max} tokens; revoke one first")]
    TooManyTokens { tokens: u64, max: u64 },
    #[error("idempotency key {0} was used for another request; a new request needs a new key")]
    IdempotencyMismatch(String),
    #[error("account {account} is {state:?}, from where it cannot become {to:?}")]
    IllegalAccountMove { account: AccountId, state: AccountState, to: AccountState },
    // From here on: version 3.
    #[error(
        "{setting} is at version {version} now, and this was decided on version {expected}: look again, then decide"
    )]
    SettingStale { setting: String, expected: u64, version: u64 },
    #[error(
        "a change of {setting} is under way and has reached {reached} of {cells} cells; wait, or take it back with `bulkhead setting rollback {setting}`"
    )]
    SettingUnderWay { setting: String, reached: u64, cells: u64 },
    #[error("no change of {0} is under way that could go on so")]
    NoRollout(String),
    #[error("{0} has no earlier state to go back to")]
    NothingToRollBack(String),
    #[error("the setting would name {targets} cells, but at most {max} are allowed; say it of the fleet")]
    TooManyTargets { targets: u64, max: u64 },
}

impl Refusal {
    pub(super) fn version(&self) -> u8 {
        match self {
            Self::AccountIdTaken(_)
            | Self::KeyIdTaken
            | Self::EmailTaken { .. }
            | Self::NoRoom
            | Self::NoSuchAccount(_)
            | Self::AccountNotActive { .. }
            | Self::AccountNotDeleting { .. }
            | Self::AccountNotEmpty { .. }
            | Self::TooManyKeys { .. }
            | Self::NoSuchKey { .. }
            | Self::KeyGone(_)
            | Self::KeyNotDeleting(_)
            | Self::NoSuchCell(_)
            | Self::CellExists { .. }
            | Self::TooManyCells { .. }
            | Self::IllegalCellMove { .. }
            | Self::CellPlanned(_)
            | Self::CellNotActive { .. }
            | Self::NoSuchNode { .. }
            | Self::ReplacementUnderWay { .. }
            | Self::NoSuchReplacement { .. }
            | Self::BucketTaken
            | Self::TooManyBuckets { .. } => V1,
            Self::CellMoved { .. }
            | Self::CellHasAccounts { .. }
            | Self::CellCannot { .. }
            | Self::CellUnvouched { .. }
            | Self::NoCellFits { .. }
            | Self::NoSuchOperation(_)
            | Self::TokenExists(_)
            | Self::NoSuchToken(_)
            | Self::TooManyTokens { .. }
            | Self::IdempotencyMismatch(_)
            | Self::IllegalAccountMove { .. } => V2,
            Self::SettingStale { .. }
            | Self::SettingUnderWay { .. }
            | Self::NoRollout(_)
            | Self::NothingToRollBack(_)
            | Self::TooManyTargets { .. } => V3,
        }
    }
}

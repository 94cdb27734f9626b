//! Records as version 1 had them. Frozen.

use super::{KeyState, MoreOfAccount, MoreOfCell};
use bulkhead_model::{
    AccessKeyId, AccountId, AccountLimits, CellId, Epoch, NodeId, Timestamp,
    api::control_plane::{AccountState, CellNode, CellState, Replacement},
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub display_name: String,
    pub email: String,
    pub cell: CellId,
    pub epoch: Epoch,
    pub state: AccountState,
    pub created: Timestamp,
    pub since: Timestamp,
    pub buckets: u64,
    pub keys: Vec<AccessKeyId>,
    pub limits: AccountLimits,
    pub limits_version: u64,
    pub limits_in_cell: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub account: AccountId,
    pub state: KeyState,
    pub created: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    pub blueprint: String,
    pub blueprint_hash: String,
    pub capacity: u64,
    pub accounts: u64,
    pub state: CellState,
    pub nodes: Vec<CellNode>,
    pub last_node: NodeId,
    pub replacement: Option<Replacement>,
    pub created: Timestamp,
    pub since: Timestamp,
}

impl From<Account> for super::Account {
    fn from(first: Account) -> Self {
        Self {
            display_name: first.display_name,
            email: first.email,
            cell: first.cell,
            epoch: first.epoch,
            state: first.state,
            created: first.created,
            since: first.since,
            buckets: first.buckets,
            keys: first.keys,
            limits: first.limits,
            limits_version: first.limits_version,
            limits_in_cell: first.limits_in_cell,
            more: MoreOfAccount::default(),
        }
    }
}

impl super::Account {
    /// As version 1 has it, when that holds all of it.
    pub(in crate::store) fn first_form(&self) -> Option<Account> {
        let known = match self.state {
            AccountState::Creating | AccountState::Active | AccountState::Deleting => true,
            AccountState::Suspended | AccountState::Purging => false,
        };
        (known && self.more == MoreOfAccount::default()).then(|| {
            let all = self.clone();
            Account {
                display_name: all.display_name,
                email: all.email,
                cell: all.cell,
                epoch: all.epoch,
                state: all.state,
                created: all.created,
                since: all.since,
                buckets: all.buckets,
                keys: all.keys,
                limits: all.limits,
                limits_version: all.limits_version,
                limits_in_cell: all.limits_in_cell,
            }
        })
    }
}

impl From<Key> for super::Key {
    fn from(first: Key) -> Self {
        Self { account: first.account, state: first.state, created: first.created, disabled: false }
    }
}

impl super::Key {
    /// As version 1 has it, when that holds all of it.
    pub(in crate::store) fn first_form(&self) -> Option<Key> {
        (!self.disabled).then_some(Key { account: self.account, state: self.state, created: self.created })
    }
}

impl From<Cell> for super::Cell {
    fn from(first: Cell) -> Self {
        Self {
            blueprint: first.blueprint,
            blueprint_hash: first.blueprint_hash,
            capacity: first.capacity,
            accounts: first.accounts,
            state: first.state,
            nodes: first.nodes,
            last_node: first.last_node,
            replacement: first.replacement,
            created: first.created,
            since: first.since,
            more: MoreOfCell::default(),
        }
    }
}

impl super::Cell {
    /// As version 1 has it, when that holds all of it.
    pub(in crate::store) fn first_form(&self) -> Option<Cell> {
        let known = match self.state {
            CellState::Provisioning | CellState::Forming | CellState::Active | CellState::Failed { .. } => true,
            CellState::Requested
            | CellState::Certifying
            | CellState::Closed { .. }
            | CellState::Draining
            | CellState::Dismantling { .. }
            | CellState::Retired => false,
        };
        (known && self.more == MoreOfCell::default()).then(|| {
            let all = self.clone();
            Cell {
                blueprint: all.blueprint,
                blueprint_hash: all.blueprint_hash,
                capacity: all.capacity,
                accounts: all.accounts,
                state: all.state,
                nodes: all.nodes,
                last_node: all.last_node,
                replacement: all.replacement,
                created: all.created,
                since: all.since,
            }
        })
    }
}

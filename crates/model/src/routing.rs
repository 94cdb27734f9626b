//! The routing table: which cell serves which account, and who owns which bucket and key.
//!
//! The control plane publishes it as a full [`RoutingTable`] and as a feed of [`Change`]s; a router that applies
//! every change up to version *v* holds exactly the table the control plane had at *v*. No secrets are in it.
//!
//! A table of a million accounts is copied for each publication: copies share what they have in common ([`packed`]). As JSON it is
//! for people and for what is small; routers fetch and save it as [`binary`].

#![allow(clippy::disallowed_methods, reason = "what `JsonSchema` derives unwraps literals of its own")]

pub mod binary;
mod entry;
pub mod packed;

pub use entry::Malformed;

use crate::{AccessKeyId, AccountId, Az, CellId, Epoch, NodeId};
use packed::{Edits, Packed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr};

/// Where an account is served. `epoch` grows with every move, so that a cell can tell a stale router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Home {
    pub cell: CellId,
    pub epoch: Epoch,
}

/// One node of a cell, as a router sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeRoute {
    pub node: NodeId,
    pub az: Az,
    /// Where it serves S3.
    pub s3: SocketAddr,
}

/// One change of the table. Idempotent: applying it twice is applying it once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    Cell { cell: CellId, nodes: Vec<NodeRoute> },
    CellGone { cell: CellId },
    Account { account: AccountId, home: Home },
    AccountGone { account: AccountId },
    Bucket { bucket: String, account: AccountId },
    BucketGone { bucket: String },
    Key { key: AccessKeyId, account: AccountId },
    KeyGone { key: AccessKeyId },
}

/// A change and the version of the table that includes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Versioned {
    pub version: u64,
    pub change: Change,
}

/// The whole table at one version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoutingTable {
    /// Counts changes; 0 is the empty table.
    pub version: u64,
    pub cells: BTreeMap<CellId, Vec<NodeRoute>>,
    pub accounts: Packed<AccountId, Home>,
    pub buckets: Packed<String, AccountId>,
    pub keys: Packed<AccessKeyId, AccountId>,
}

impl RoutingTable {
    /// Applies one change of the feed. Changes at or below the table's version are already in it and are skipped.
    pub fn apply(&mut self, change: Versioned) {
        self.apply_all([change]);
    }

    /// Applies changes of the feed in their order. Many at once cost much less than one after the other.
    pub fn apply_all(&mut self, changes: impl IntoIterator<Item = Versioned>) {
        let (mut accounts, mut buckets, mut keys) = (Edits::default(), Edits::default(), Edits::default());
        for Versioned { version, change } in changes {
            if version <= self.version {
                continue;
            }
            self.version = version;
            match change {
                Change::Cell { cell, nodes } => drop(self.cells.insert(cell, nodes)),
                Change::CellGone { cell } => drop(self.cells.remove(&cell)),
                Change::Account { account, home } => accounts.put(&account, &home),
                Change::AccountGone { account } => accounts.take_out(&account),
                Change::Bucket { bucket, account } => buckets.put(&bucket, &account),
                Change::BucketGone { bucket } => buckets.take_out(&bucket),
                Change::Key { key, account } => keys.put(&key, &account),
                Change::KeyGone { key } => keys.take_out(&key),
            }
        }
        self.accounts.edit(accounts);
        self.buckets.edit(buckets);
        self.keys.edit(keys);
    }

    /// Entries of all kinds.
    pub fn len(&self) -> usize {
        self.cells.len() + self.accounts.len() + self.buckets.len() + self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory for accounts, buckets and keys.
    pub fn memory(&self) -> usize {
        self.accounts.memory() + self.buckets.memory() + self.keys.memory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(n: u64) -> AccountId {
        AccountId::new(AccountId::FIRST + n).expect("in range")
    }

    fn bucket(version: u64, n: u64) -> Versioned {
        Versioned { version, change: Change::Bucket { bucket: "b".into(), account: account(n) } }
    }

    #[test]
    fn a_change_that_is_already_in_the_table_is_skipped() {
        let mut table = RoutingTable::default();
        table.apply(bucket(2, 2));
        table.apply(bucket(1, 1));
        assert_eq!((table.version, table.buckets.get("b")), (2, Some(account(2))));
    }

    #[test]
    fn a_table_survives_json() {
        let mut table = RoutingTable::default();
        table.apply(bucket(1, 1));
        table.apply(Versioned {
            version: 2,
            change: Change::Cell {
                cell: "c1".parse().expect("label"),
                nodes: vec![NodeRoute {
                    node: NodeId(1),
                    az: "az-a".parse().expect("label"),
                    s3: "127.0.0.1:9000".parse().expect("address"),
                }],
            },
        });
        let json = serde_json::to_string(&table).expect("serializable");
        assert_eq!(serde_json::from_str::<RoutingTable>(&json).expect("its own JSON"), table);
    }
}

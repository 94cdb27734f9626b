//! The routing table: which cell serves which account, and who owns which bucket and key.
//!
//! The control plane publishes it as a full [`RoutingTable`] and as a feed of [`Change`]s; a router that applies
//! every change up to version *v* holds exactly the table the control plane had at *v*. No secrets are in it.

use crate::{AccessKeyId, AccountId, Az, CellId, Epoch, NodeId};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
};

/// Where an account is served. `epoch` grows with every move, so that a cell can tell a stale router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    pub cell: CellId,
    pub epoch: Epoch,
}

/// One node of a cell, as a router sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRoute {
    pub node: NodeId,
    pub az: Az,
    /// Where it serves S3.
    pub s3: SocketAddr,
}

/// One change of the table. Idempotent: applying it twice is applying it once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versioned {
    pub version: u64,
    pub change: Change,
}

/// The whole table at one version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingTable {
    /// Counts changes; 0 is the empty table.
    pub version: u64,
    pub cells: BTreeMap<CellId, Vec<NodeRoute>>,
    pub accounts: HashMap<AccountId, Home>,
    pub buckets: HashMap<String, AccountId>,
    pub keys: HashMap<AccessKeyId, AccountId>,
}

impl RoutingTable {
    /// Applies one change of the feed. Changes at or below the table's version are already in it and are skipped.
    pub fn apply(&mut self, change: Versioned) {
        if change.version <= self.version {
            return;
        }
        self.version = change.version;
        match change.change {
            Change::Cell { cell, nodes } => drop(self.cells.insert(cell, nodes)),
            Change::CellGone { cell } => drop(self.cells.remove(&cell)),
            Change::Account { account, home } => drop(self.accounts.insert(account, home)),
            Change::AccountGone { account } => drop(self.accounts.remove(&account)),
            Change::Bucket { bucket, account } => drop(self.buckets.insert(bucket, account)),
            Change::BucketGone { bucket } => drop(self.buckets.remove(&bucket)),
            Change::Key { key, account } => drop(self.keys.insert(key, account)),
            Change::KeyGone { key } => drop(self.keys.remove(&key)),
        }
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
        assert_eq!((table.version, table.buckets["b"]), (2, account(2)));
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

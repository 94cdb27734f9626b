//! The routing table as routers see it: kept in memory, followed from the directory's changes, offered as a snapshot
//! and as a feed.
//!
//! Invariant: the table at version *v* is the same whether built from the records or from the changes 1 to *v*.

use crate::{
    domain::{account::is_routed, cell},
    limits::{CHANGES_PER_ANSWER, PUBLISH_INTERVAL},
    store::{
        Directory, DirectoryError, read,
        record::{Cell, KeyState},
    },
};
use bulkhead_model::{
    RoutingTable,
    api::control_plane::CellNode,
    api::control_plane::{Changes, FEED_WAIT_SECONDS},
    routing::{Home, NodeRoute},
};
use bulkhead_replica::{Reader, StoreError};
use bulkhead_service::Env;
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// The published table of one control-plane node.
pub struct Publisher {
    table: Mutex<Arc<RoutingTable>>,
    version: watch::Sender<u64>,
}

impl Publisher {
    /// Starts with an empty table; [`Publisher::refresh`] fills it.
    pub fn new() -> Self {
        Self { table: Mutex::default(), version: watch::Sender::new(0) }
    }

    /// The table as it is now.
    pub fn table(&self) -> Arc<RoutingTable> {
        Arc::clone(&self.table.lock())
    }

    /// Takes in what the directory has changed since.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn refresh(&self, view: &dyn Reader) -> Result<(), StoreError> {
        let version = {
            let mut table = self.table.lock();
            loop {
                match read::changes(view, table.version, CHANGES_PER_ANSWER)? {
                    None => *table = Arc::new(snapshot(view)?),
                    Some(changes) if changes.is_empty() => break,
                    Some(changes) => {
                        Arc::make_mut(&mut table).apply_all(changes);
                    }
                }
            }
            table.version
        };
        self.version.send_if_modified(|seen| std::mem::replace(seen, version) != version);
        Ok(())
    }

    /// The changes after a version: at once when there are some, else as soon as one is made, else none after
    /// [`FEED_WAIT_SECONDS`]. A version from the future, or one too far back, is answered with a reset.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn changes_after(&self, directory: &Directory, after: u64) -> Result<Changes, DirectoryError> {
        let reset = Changes { reset: true, changes: Vec::new() };
        let mut version = self.version.subscribe();
        if *version.borrow() < after && read::meta(&directory.view().await?)?.routing_version < after {
            return Ok(reset);
        }
        let news = version.wait_for(|&version| version > after);
        // Both a timeout and a closed channel mean that there is no news; the answer is the same.
        let waited = tokio::time::timeout(Duration::from_secs(FEED_WAIT_SECONDS), news).await;
        let Ok(Ok(published)) = waited.map(|news| news.map(|version| *version)) else { return Ok(Changes::default()) };
        // The directory may be ahead of the table: a router must not hear of more than the table would show it.
        match read::changes(&directory.local_view(), after, CHANGES_PER_ANSWER)? {
            Some(mut changes) => {
                changes.retain(|change| change.version <= published);
                Ok(Changes { reset: false, changes })
            }
            None => Ok(reset),
        }
    }

    /// Follows the directory until the process stops.
    pub async fn run(self: Arc<Self>, directory: Directory, env: Env) {
        let stopping = env.tasks.stopping();
        loop {
            let changed = directory.changed();
            if let Err(error) = self.refresh(&directory.local_view()) {
                tracing::error!(%error, "the routing table could not be refreshed");
            }
            tokio::select! {
                () = stopping.cancelled() => return,
                () = changed => {}
                () = tokio::time::sleep(PUBLISH_INTERVAL) => {}
            }
        }
    }
}

impl Default for Publisher {
    fn default() -> Self {
        Self::new()
    }
}

/// The table built from the records.
fn snapshot(view: &dyn Reader) -> Result<RoutingTable, StoreError> {
    let accounts = read::accounts(view)?.into_iter().filter(|(_, account)| is_routed(account.state));
    let accounts = accounts.map(|(id, account)| (id, Home { cell: account.cell, epoch: account.epoch }));
    let mut table = RoutingTable {
        version: read::meta(view)?.routing_version,
        accounts: accounts.collect(),
        buckets: read::buckets(view)?.into_iter().map(|(name, bucket)| (name, bucket.account)).collect(),
        ..RoutingTable::default()
    };
    // All at once: one after the other, each would write a part of the table anew.
    let keys = read::all_keys(view)?.into_iter();
    let active = keys.filter(|(_, key)| key.state == KeyState::Active && table.accounts.contains_key(&key.account));
    table.keys = active.map(|(id, key)| (id, key.account)).collect();
    for (id, cell) in read::cells(view)? {
        if cell::is_routed(&cell.state) {
            table.cells.insert(id, routes(cell));
        }
    }
    Ok(table)
}

fn routes(cell: Cell) -> Vec<NodeRoute> {
    let route = |node: CellNode| NodeRoute { node: node.node, az: node.az, s3: node.s3 };
    cell.nodes.into_iter().map(route).collect()
}

#[cfg(test)]
mod tests;

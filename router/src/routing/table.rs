//! The table in memory: read without a lock, replaced as a whole, watched by those who wait for news.

use arc_swap::ArcSwap;
use bulkhead_model::{
    AccountId, RoutingTable,
    routing::{Home, Versioned},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The account whose cell serves the request: the bucket's owner, or the signer.
    pub account: AccountId,
    /// The account of the access key, when the table knows it.
    pub signer: Option<AccountId>,
    pub home: Home,
}

/// A table that is older than the router's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("version {offered} is older than {have}; if the control plane was rebuilt, delete the saved table and restart")]
pub struct Older {
    pub have: u64,
    pub offered: u64,
}

/// Called with every table before requests see it.
pub type OnPublish = Box<dyn Fn(&RoutingTable) + Send + Sync>;

/// The one table of a router.
pub struct Table {
    current: ArcSwap<RoutingTable>,
    /// Counts publications, so that a waiter misses none.
    published: watch::Sender<u64>,
    /// Whether the control plane was heard last time it was asked, so that what the table does not hold does not exist.
    is_whole: AtomicBool,
    /// Asks for a full fetch without waiting for its time.
    refetch: Notify,
    on_publish: OnPublish,
}

impl Table {
    /// Starts from a saved table, or from an empty one.
    pub fn new(saved: RoutingTable, on_publish: OnPublish) -> Self {
        on_publish(&saved);
        Self {
            on_publish,
            current: ArcSwap::from_pointee(saved),
            published: watch::Sender::new(0),
            is_whole: AtomicBool::new(false),
            refetch: Notify::new(),
        }
    }

    /// The table as it is now.
    pub fn load(&self) -> Arc<RoutingTable> {
        self.current.load_full()
    }

    /// Takes a whole table. An answer may come from a control-plane node that lags.
    ///
    /// # Errors
    /// When the table is older than what is here, which stays.
    pub fn replace(&self, table: RoutingTable) -> Result<(), Older> {
        let current = self.current.load();
        if table.version < current.version {
            return Err(Older { have: current.version, offered: table.version });
        }
        if table != **current {
            self.publish(table);
        }
        Ok(())
    }

    /// Applies changes of the feed.
    pub fn apply(&self, changes: Vec<Versioned>) {
        if changes.is_empty() {
            return;
        }
        let mut table = RoutingTable::clone(&self.current.load());
        table.apply_all(changes);
        self.publish(table);
    }

    /// Says whether the control plane was heard. A saved table is not whole until it was.
    pub fn heard(&self, heard: bool) {
        self.is_whole.store(heard, Ordering::Release);
    }

    /// Whether a key or a bucket that is not in the table can be said not to exist.
    pub fn is_whole(&self) -> bool {
        self.is_whole.load(Ordering::Acquire)
    }

    fn publish(&self, table: RoutingTable) {
        metrics::gauge!("routing_version").set(table.version as f64);
        metrics::gauge!("routing_entries").set(table.len() as f64);
        (self.on_publish)(&table);
        self.current.store(Arc::new(table));
        self.published.send_modify(|count| *count += 1);
    }

    /// Publications from now on.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.published.subscribe()
    }

    /// Looks with `look` at the table and at every newer one until it finds something, for at most `patience`.
    pub async fn wait_for<T>(&self, patience: Duration, mut look: impl FnMut(&RoutingTable) -> Option<T>) -> Option<T> {
        let mut published = self.watch();
        let wait = async {
            loop {
                if let Some(found) = look(&self.load()) {
                    return Some(found);
                }
                published.changed().await.ok()?;
            }
        };
        tokio::time::timeout(patience, wait).await.ok().flatten()
    }

    /// Has the whole table fetched soon.
    pub fn ask_for_refetch(&self) {
        self.refetch.notify_one();
    }

    pub(super) async fn refetch_asked(&self) {
        self.refetch.notified().await;
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("version", &self.load().version).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::routing::Change;

    fn bucket(version: u64, name: &str) -> Versioned {
        let account = AccountId::new(AccountId::FIRST).expect("in range");
        Versioned { version, change: Change::Bucket { bucket: name.into(), account } }
    }

    fn table_of(saved: RoutingTable) -> Table {
        Table::new(saved, Box::new(|_| {}))
    }

    #[test]
    fn an_older_table_never_replaces_a_newer_one() {
        let table = table_of(RoutingTable::default());
        table.apply(vec![bucket(4, "new")]);
        let older = table.replace(RoutingTable { version: 3, ..RoutingTable::default() });
        assert_eq!(older, Err(Older { have: 4, offered: 3 }));
        assert!(table.load().buckets.contains_key("new"));
    }

    #[test]
    fn a_table_of_the_same_version_repairs_what_differs() {
        let table = table_of(RoutingTable { version: 4, ..RoutingTable::default() });
        let mut right = RoutingTable::default();
        right.apply(bucket(4, "lost"));
        assert_eq!(table.replace(right.clone()), Ok(()));
        assert_eq!(*table.load(), right);
    }

    #[tokio::test]
    async fn a_waiter_sees_the_change_it_waits_for() {
        let table = table_of(RoutingTable::default());
        let waiting = table.wait_for(Duration::from_secs(10), |table| table.buckets.get("b"));
        let change = async {
            table.apply(vec![bucket(1, "a")]);
            table.apply(vec![bucket(2, "b")]);
        };
        let (found, ()) = tokio::join!(waiting, change);
        assert!(found.is_some());
    }

    #[tokio::test]
    async fn a_waiter_gives_up_in_time() {
        let table = table_of(RoutingTable::default());
        let found = table.wait_for(Duration::from_millis(10), |table| table.buckets.get("b")).await;
        assert_eq!(found, None);
    }
}

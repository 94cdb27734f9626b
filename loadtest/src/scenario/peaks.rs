//! The most memory that router and nodes take while something goes on.

use crate::{
    faults::{Cluster, Role},
    limits::POLL,
    machine,
};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};
use tokio::{task::JoinSet, time::sleep};

/// Looks at the processes until it is dropped.
pub struct Peaks {
    bytes: Arc<Mutex<BTreeMap<String, u64>>>,
    _watcher: JoinSet<()>,
}

impl Peaks {
    /// Starts to look at router and nodes.
    ///
    /// # Errors
    /// When none runs on this machine.
    pub async fn watch(cluster: &Cluster) -> anyhow::Result<Self> {
        let rows = cluster.list().await?.into_iter();
        let servers: Vec<(String, u32)> = rows
            .filter(|row| row.alive && matches!(row.role, Role::Router | Role::Cell))
            .filter_map(|row| row.pid.map(|pid| (row.name, pid)))
            .collect();
        anyhow::ensure!(!servers.is_empty(), "no router and no node runs on this machine");
        let bytes = Arc::<Mutex<BTreeMap<String, u64>>>::default();
        let (seen, mut watcher) = (bytes.clone(), JoinSet::new());
        watcher.spawn(async move {
            loop {
                for (name, pid) in &servers {
                    let now = machine::resident_bytes(*pid).unwrap_or(0);
                    let mut seen = seen.lock();
                    let peak = seen.entry(name.clone()).or_default();
                    *peak = now.max(*peak);
                }
                sleep(POLL).await;
            }
        });
        Ok(Self { bytes, _watcher: watcher })
    }

    /// The peaks by process, bytes. Begins anew.
    pub fn take(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.bytes.lock())
    }

    /// The peaks for people.
    pub fn text(&self) -> String {
        let bytes = self.bytes.lock();
        bytes.iter().map(|(name, bytes)| format!("{name} {} MiB", bytes >> 20)).collect::<Vec<_>>().join(", ")
    }

    /// Whether all stayed below `most`.
    ///
    /// # Errors
    /// Names the process that did not.
    pub fn check(&self, most: u64) -> anyhow::Result<()> {
        match self.bytes.lock().iter().find(|(_, bytes)| **bytes > most) {
            Some((name, bytes)) => anyhow::bail!("{name} held {} MiB; {} MiB are allowed", bytes >> 20, most >> 20),
            None => Ok(()),
        }
    }
}

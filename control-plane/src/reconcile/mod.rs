//! Loops that bring what is half-done to an end, on the leader only.
//!
//! Level-triggered: each pass looks at what the directory says now, so a crash at any point is only a later start. Every step is
//! idempotent, because an unknown outcome is tried again.

pub mod accounts;
pub mod cells;
#[cfg(test)]
mod cells_tests;
pub mod claims;
pub mod headroom;
#[cfg(test)]
mod headroom_tests;
pub mod purge;
mod replacements;
#[cfg(test)]
mod replacements_tests;
mod restarts;
pub mod settings;
#[cfg(test)]
mod settings_tests;
#[cfg(test)]
mod tests;
pub mod watch;

use crate::{limits::RECONCILE_INTERVAL, store::Directory};
use bulkhead_service::Env;
use std::sync::Arc;
use tokio::sync::Notify;

/// When a reconciler makes its passes.
pub struct Rhythm {
    directory: Directory,
    env: Env,
    wake: Arc<Notify>,
    led: bool,
}

/// One pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The first pass since this node leads: whoever was at work before is gone.
    pub newly_leading: bool,
}

impl Rhythm {
    /// Passes at an interval, and at once when `wake` is notified.
    pub fn new(directory: Directory, env: Env, wake: Arc<Notify>) -> Self {
        Self { directory, env, wake, led: false }
    }

    /// The next pass, while this node leads; `None` when the process is to stop.
    pub async fn next(&mut self) -> Option<Turn> {
        let stopping = self.env.tasks.stopping();
        loop {
            tokio::select! {
                () = stopping.cancelled() => return None,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(RECONCILE_INTERVAL) => {}
            }
            let leads = self.directory.replica().is_leader();
            let led = std::mem::replace(&mut self.led, leads);
            if leads {
                return Some(Turn { newly_leading: !led });
            }
        }
    }
}

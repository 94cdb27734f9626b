//! What is known of a disk's health: errors make it suspect, too many make it take no more writes; how long it takes, see [`crate::chunks::latency`].

use crate::{
    chunks::{CopyError, latency::Window},
    limits::EXTENT_FAILURES_MAX,
};
use parking_lot::Mutex;
use std::{
    fmt::Display,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};
use tokio::time::Instant;

/// How far the disk is trusted.
///
/// ```text
///  Healthy ─► Suspect ─► Failed      back to Healthy only by a restart
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DiskState {
    #[default]
    Healthy,
    /// Reads and writes go on.
    Suspect { failures: u32, last: String },
    /// Only reads go on.
    Failed { last: String },
}

/// Shared by the disk's writer and readers.
#[derive(Debug)]
pub struct DiskHealth {
    state: Mutex<DiskState>,
    /// Whether ordinary writes would touch the reserve.
    full: AtomicBool,
    pub syncs: Window,
    pub reads: Window,
}

impl DiskHealth {
    pub fn new(now: Instant) -> Self {
        Self { state: Mutex::default(), full: AtomicBool::new(false), syncs: Window::new(now), reads: Window::new(now) }
    }

    pub fn state(&self) -> DiskState {
        self.state.lock().clone()
    }

    /// Whether the last write that looked for room found the disk at its reserve.
    pub fn is_full(&self) -> bool {
        self.full.load(Relaxed)
    }

    /// Notes whether ordinary writes have reached the reserve.
    pub fn set_full(&self, full: bool) {
        if self.full.swap(full, Relaxed) != full {
            metrics::gauge!("bulkhead_chunk_disk_full").set(if full { 1.0 } else { 0.0 });
            if full {
                tracing::warn!("the chunk disk has reached its reserve: it takes no more writes");
            } else {
                tracing::info!("the chunk disk has room again");
            }
        }
    }

    /// Counts an I/O error.
    pub fn failed(&self, what: &'static str, error: &dyn Display) {
        tracing::error!(what, %error, "the chunk disk is suspect");
        metrics::counter!("bulkhead_chunk_disk_errors_total").increment(1);
        metrics::gauge!("bulkhead_chunk_disk_suspect").set(1.0);
        let mut state = self.state.lock();
        *state = state.after(format!("{what}: {error}"));
    }

    /// Notes a copy that could not be read or did not verify. Writes go on.
    pub fn damaged(&self, why: &str) {
        metrics::gauge!("bulkhead_chunk_disk_suspect").set(1.0);
        let mut state = self.state.lock();
        if *state == DiskState::Healthy {
            *state = DiskState::Suspect { failures: 0, last: why.to_owned() };
        }
    }

    /// # Errors
    /// [`CopyError::Disk`] when the disk takes no more writes.
    pub fn writable(&self) -> Result<(), CopyError> {
        match &*self.state.lock() {
            DiskState::Healthy | DiskState::Suspect { .. } => Ok(()),
            DiskState::Failed { last } => Err(CopyError::Disk(format!("it failed too often; at last: {last}"))),
        }
    }
}

impl DiskState {
    fn after(&self, failure: String) -> Self {
        let failures = match self {
            Self::Healthy => 1,
            Self::Suspect { failures, .. } => failures + 1,
            Self::Failed { .. } => return Self::Failed { last: failure },
        };
        if failures < EXTENT_FAILURES_MAX {
            Self::Suspect { failures, last: failure }
        } else {
            Self::Failed { last: failure }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::env::Clock;

    #[test]
    fn a_disk_that_fails_too_often_takes_no_more_writes() {
        let health = DiskHealth::new(Clock::system().now());
        for _ in 1..EXTENT_FAILURES_MAX {
            health.failed("testing", &"EIO");
            assert_eq!(health.writable(), Ok(()));
        }
        health.failed("testing", &"EIO");
        assert!(matches!(health.writable(), Err(CopyError::Disk(_))));
    }
}

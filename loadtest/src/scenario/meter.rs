//! What a window of load cost: CPU of this program and of the servers, flushes of the device below them.

use crate::{
    clock,
    driver::Sample,
    faults::ListedProcess,
    machine::{self, Device},
    report::Cost,
};
use std::{
    path::{Path, PathBuf},
    time::Instant,
};

/// Whom to ask.
pub struct Meter {
    servers: Vec<u32>,
    data: Option<PathBuf>,
}

/// The counters at one moment.
pub struct Reading {
    at: Instant,
    client_cpu_millis: u64,
    server_cpu_millis: Option<u64>,
    device: Option<Device>,
}

impl Meter {
    /// Measures `processes`, and the device that holds `data` when there are any.
    pub fn new(processes: &[ListedProcess], data: &Path) -> Self {
        let servers = processes.iter().filter(|row| row.alive).filter_map(|row| row.pid).collect();
        Self { servers, data: Some(data.to_owned()) }
    }

    /// Measures these processes, and the device that holds `data`, where it is known.
    pub fn of(servers: Vec<u32>, data: Option<&Path>) -> Self {
        Self { servers, data: data.map(Path::to_owned) }
    }

    /// Reads all counters.
    pub fn read(&self) -> Reading {
        let servers: Option<u64> = self.servers.iter().map(|pid| machine::process(*pid).map(|p| p.cpu_millis)).sum();
        let local = !self.servers.is_empty();
        Reading {
            at: clock::now(),
            client_cpu_millis: machine::process(std::process::id()).map_or(0, |process| process.cpu_millis),
            server_cpu_millis: servers.filter(|_| local),
            device: self.data.as_deref().and_then(machine::device).filter(|_| local),
        }
    }
}

impl Reading {
    /// What the operations of `sample`, which ran since `before`, cost.
    pub fn since(&self, before: &Self, sample: &Sample) -> Cost {
        let per_operation = |difference: u64| difference as f64 / sample.operations.max(1) as f64;
        let machine_millis = (self.at - before.at).as_secs_f64() * 1000.0 * machine::cores() as f64;
        let device = self.device.zip(before.device);
        Cost {
            client_cpu_share: (self.client_cpu_millis - before.client_cpu_millis) as f64 / machine_millis,
            server_cpu_ms_per_operation: self
                .server_cpu_millis
                .zip(before.server_cpu_millis)
                .map(|(after, before)| per_operation(after.saturating_sub(before))),
            flushes_per_operation: device.map(|(after, before)| per_operation(after.flushes - before.flushes)),
            bytes_written_per_operation: device
                .map(|(after, before)| per_operation(after.bytes_written - before.bytes_written)),
        }
    }
}

//! Run files: `<data>/run/<name>.json`, one for each process of this machine, the truth about who runs.
//!
//! A pid alone proves nothing, since pids are reused: a process is ours only if it also started at the recorded tick of the recorded
//! boot. Nothing else is ever signalled.

use super::process::ProcessError;
use bulkhead_model::{Az, CellId, NodeId};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, net::SocketAddr, path::PathBuf};

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    ControlPlane,
    Router,
    Cell,
    /// A load test that certifies a cell.
    Certification,
}

/// A process that was started, whether or not it still runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFile {
    pub name: String,
    pub role: Role,
    pub cell: Option<CellId>,
    pub az: Option<Az>,
    pub node: NodeId,
    #[serde(flatten)]
    pub instance: Instance,
    pub argv: Vec<String>,
    /// By listener: `s3`, `admin`, `peer`, `api`.
    pub addresses: BTreeMap<String, SocketAddr>,
    /// Where its output goes.
    pub log: PathBuf,
    /// An operator stopped it: nobody else starts it again.
    pub held: bool,
}

/// One life of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub pid: u32,
    /// Clock ticks from boot to its start (`/proc/<pid>/stat`, field 22).
    pub start_ticks: u64,
    /// The boot it belongs to.
    pub boot: String,
}

impl Instance {
    /// The process that has `pid` now; `None` when there is none or it has ended.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Self { pid, start_ticks: start_ticks(&stat)?, boot: boot()? })
    }

    /// Whether this very process still runs.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }
}

impl RunFile {
    /// Whether the process still runs.
    pub fn is_alive(&self) -> bool {
        self.instance.is_alive()
    }

    /// Sends a signal, if the process still runs.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn signal(&self, signal: Signal) -> Result<(), ProcessError> {
        let pid = i32::try_from(self.instance.pid).ok().and_then(Pid::from_raw);
        match pid.filter(|_| self.is_alive()) {
            Some(pid) => match kill_process(pid, signal) {
                // It ended between the two looks.
                Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
                Err(why) => Err(ProcessError::Signal { name: self.name.clone(), why: why.into() }),
            },
            None => Ok(()),
        }
    }
}

/// The start of a process out of its `stat` line; `None` when it has ended and waits to be reaped.
///
/// The second field is the command in parentheses and may itself hold spaces and parentheses, so fields count from the last one.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn boot() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_found_behind_any_command_name() {
        let rest = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654 20";
        assert_eq!(start_ticks(&format!("42 (cell) S {rest}")), Some(987_654));
        assert_eq!(start_ticks(&format!("42 (a) R (b) c) S {rest}")), Some(987_654));
        assert_eq!(start_ticks(&format!("42 (cell) Z {rest}")), None);
        assert_eq!(start_ticks("nonsense"), None);
    }

    #[test]
    fn a_reused_pid_is_not_mistaken_for_the_process() {
        let own = Instance::of(std::process::id()).expect("this process runs");
        assert!(own.is_alive());
        let earlier = Instance { start_ticks: own.start_ticks - 1, ..own.clone() };
        let before_reboot = Instance { boot: "another".into(), ..own };
        assert!(!earlier.is_alive() && !before_reboot.is_alive());
    }
}

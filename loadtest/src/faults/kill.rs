//! Kills one process, if it still is the one that was listed.
//!
//! Between the listing and the kill a process may end and its pid be given to another. A pid is therefore never
//! trusted alone: start time and command line must be those of the listing.

use super::cluster::ListedProcess;
use crate::{clock, machine};
use rustix::process::{Pid, Signal, kill_process};
use std::time::{Duration, Instant};

/// Why nothing was killed.
#[derive(Debug, thiserror::Error)]
pub enum KillError {
    #[error("{0} is not running")]
    NotRunning(String),
    #[error("process {pid} is not {name} any more: refusing to touch it")]
    Another { name: String, pid: u32 },
    #[error("cannot signal process {pid}: {source}")]
    Kill { pid: u32, source: rustix::io::Errno },
    #[error("process {0} was killed and did not end")]
    Lives(u32),
}

/// A process that may be killed: listed, and identified by pid, start time and command line.
#[derive(Debug, Clone)]
pub struct Victim {
    pub name: String,
    pid: u32,
    started: u64,
}

impl Victim {
    /// Identifies a listed process.
    ///
    /// # Errors
    /// When it is not running, or its pid belongs to something else.
    pub fn identify(row: &ListedProcess) -> Result<Self, KillError> {
        let not_running = || KillError::NotRunning(row.name.clone());
        let pid = row.pid.filter(|_| row.alive).ok_or_else(not_running)?;
        let started = machine::process(pid).ok_or_else(not_running)?.started;
        // A process that is ending, or has ended and was not waited for, has none any more.
        let command_line = machine::command_line(pid).filter(|line| !line.is_empty()).ok_or_else(not_running)?;
        if row.argv.is_empty() || command_line != row.argv {
            return Err(KillError::Another { name: row.name.clone(), pid });
        }
        Ok(Self { name: row.name.clone(), pid, started })
    }

    /// `kill -9`, now. Answers when it was sent.
    ///
    /// # Errors
    /// When the process has become another one, or the kernel refuses.
    pub fn kill(&self) -> Result<Instant, KillError> {
        self.send(Signal::KILL)
    }

    /// Stops the process where it is, its connections open, until it is [`Self::resume`]d.
    ///
    /// # Errors
    /// As [`Self::kill`].
    pub fn pause(&self) -> Result<Instant, KillError> {
        self.send(Signal::STOP)
    }

    /// Lets a paused process go on.
    ///
    /// # Errors
    /// As [`Self::kill`].
    pub fn resume(&self) -> Result<Instant, KillError> {
        self.send(Signal::CONT)
    }

    fn send(&self, signal: Signal) -> Result<Instant, KillError> {
        if !self.is_alive() {
            return Err(KillError::Another { name: self.name.clone(), pid: self.pid });
        }
        let number = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let pid = number.ok_or_else(|| KillError::NotRunning(self.name.clone()))?;
        kill_process(pid, signal).map_err(|source| KillError::Kill { pid: self.pid, source })?;
        Ok(clock::now())
    }

    /// Waits until the process is gone.
    ///
    /// # Errors
    /// When it is still there after `patience`.
    pub async fn gone(&self, patience: Duration) -> Result<(), KillError> {
        let gone = clock::wait_until(patience, async || !self.is_alive()).await;
        if gone { Ok(()) } else { Err(KillError::Lives(self.pid)) }
    }

    fn is_alive(&self) -> bool {
        machine::process(self.pid).is_some_and(|process| process.started == self.started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Role;
    use std::{
        collections::BTreeMap,
        process::{Child, Command},
    };

    fn row(pid: u32, argv: &[&str]) -> ListedProcess {
        ListedProcess {
            name: "c1-1".into(),
            role: Role::Cell,
            cell: None,
            az: None,
            node: None,
            pid: Some(pid),
            alive: true,
            addresses: BTreeMap::new(),
            argv: argv.iter().map(|arg| (*arg).to_owned()).collect(),
        }
    }

    /// A child that does nothing. The kernel shows its command line a moment after it was started.
    async fn sleeper() -> Child {
        let child = Command::new("sleep").arg("100").spawn().expect("sleep exists");
        let shown = async || machine::command_line(child.id()).is_some_and(|line| line == ["sleep", "100"]);
        assert!(clock::wait_until(Duration::from_secs(5), shown).await);
        child
    }

    #[tokio::test]
    async fn a_listed_process_is_killed_and_gone() {
        let mut child = sleeper().await;
        let victim = Victim::identify(&row(child.id(), &["sleep", "100"])).expect("it is the listed one");
        victim.kill().expect("it is ours");
        victim.gone(Duration::from_secs(5)).await.expect("it dies");
        child.wait().expect("it is our child");
        assert!(matches!(victim.kill(), Err(KillError::Another { .. })), "a dead pid is not touched again");
    }

    #[tokio::test]
    async fn what_is_left_of_a_process_is_not_running() {
        let mut child = sleeper().await;
        let pid = child.id();
        child.kill().expect("it is our child, and lives");
        let emptied = async || machine::command_line(pid).is_none_or(|line| line.is_empty());
        assert!(clock::wait_until(Duration::from_secs(5), emptied).await);
        let identified = Victim::identify(&row(pid, &["sleep", "100"]));
        assert!(matches!(identified, Err(KillError::NotRunning(_))), "{identified:?}");
        child.wait().expect("it is our child");
    }

    #[tokio::test]
    async fn a_pid_with_another_command_line_is_left_alone() {
        let mut child = sleeper().await;
        let refused = Victim::identify(&row(child.id(), &["bulkhead-cell", "--config", "x"]));
        let unlisted = Victim::identify(&row(child.id(), &[]));
        assert!(matches!(refused, Err(KillError::Another { .. })));
        assert!(matches!(unlisted, Err(KillError::Another { .. })));
        child.kill().expect("it is our child, and lives");
        child.wait().expect("it is our child");
    }
}

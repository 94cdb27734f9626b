//! Starting, finding and ending the processes of this machine through their run files.
//!
//! Whoever starts or ends a process holds the lock of the run directory, so two starters never start the same one twice.

use super::run_file::{Instance, Role, RunFile};
use crate::limits::{POLL_PAUSE, STOP_PATIENCE};
use bulkhead_model::{Az, CellId, NodeId};
use bulkhead_service::env::Clock;
use rustix::process::Signal;
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::Command;

/// What went wrong with a process, or with the files about it.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("{name} cannot be started ({program}): {why}")]
    Start { name: String, program: String, why: io::Error },
    #[error("{name} ended at once; its log is {}", log.display())]
    EndedAtOnce { name: String, log: PathBuf },
    #[error("{name} cannot be signalled: {why}")]
    Signal { name: String, why: io::Error },
    #[error("{name} still runs although it was killed")]
    Immortal { name: String },
    #[error("there is no process {name:?}; `bulkhead node list` shows all: {known}")]
    NoSuch { name: String, known: String },
    #[error("{}: {why}", file.display())]
    File { file: PathBuf, why: io::Error },
    #[error("{} is not a run file: {why}", file.display())]
    Malformed { file: PathBuf, why: serde_json::Error },
}

/// How to start a process.
#[derive(Debug, Clone)]
pub struct Spec {
    pub name: String,
    pub role: Role,
    pub cell: Option<CellId>,
    pub az: Option<Az>,
    pub node: NodeId,
    pub argv: Vec<String>,
    pub addresses: BTreeMap<String, SocketAddr>,
    pub log: PathBuf,
}

/// What to do with a process that an operator stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Leave it stopped.
    Respect,
    /// Start it: the operator says so.
    Lift,
}

/// What became of a request to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    Now,
    Already,
    Held,
}

/// How to end a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// SIGTERM, and SIGKILL when that takes too long.
    Stop,
    /// SIGKILL at once: a fault on purpose.
    Kill,
}

/// The processes that have a run file in one directory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Processes {
    run: PathBuf,
}

impl Processes {
    /// `run` holds the run files; it is created when the first process starts.
    pub fn new(run: PathBuf) -> Self {
        Self { run }
    }

    /// All processes, control plane first, then routers, then cells.
    ///
    /// # Errors
    /// When a run file cannot be read; so for all calls below.
    pub fn list(&self) -> Result<Vec<RunFile>, ProcessError> {
        let entries = match fs::read_dir(&self.run) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(why) => return Err(ProcessError::File { file: self.run.clone(), why }),
        };
        let mut found = Vec::new();
        for entry in entries {
            let file = entry.map_err(|why| ProcessError::File { file: self.run.clone(), why })?.path();
            if file.extension().is_some_and(|extension| extension == "json") {
                found.extend(read(&file)?);
            }
        }
        found.sort_by(|a, b| (a.role, &a.cell, a.node).cmp(&(b.role, &b.cell, b.node)));
        Ok(found)
    }

    /// A process by its name.
    pub fn find(&self, name: &str) -> Result<Option<RunFile>, ProcessError> {
        read(&self.file(name))
    }

    /// A process by its name, which must exist.
    pub fn get(&self, name: &str) -> Result<RunFile, ProcessError> {
        if let Some(run) = self.find(name)? {
            return Ok(run);
        }
        let known = self.list()?.into_iter().map(|run| run.name).collect::<Vec<_>>().join(", ");
        Err(ProcessError::NoSuch { name: name.into(), known })
    }

    /// Starts a process detached: in a process group of its own, with no input, its output appended to its log. Must be called
    /// within a tokio runtime, which reaps it.
    pub fn start(&self, spec: &Spec, hold: Hold) -> Result<Started, ProcessError> {
        let _lock = self.lock()?;
        match self.find(&spec.name)? {
            Some(run) if run.is_alive() => return Ok(Started::Already),
            Some(run) if run.held && hold == Hold::Respect => return Ok(Started::Held),
            Some(_) | None => {}
        }
        let instance = spawn(spec)?;
        self.save(&RunFile {
            name: spec.name.clone(),
            role: spec.role,
            cell: spec.cell.clone(),
            az: spec.az.clone(),
            node: spec.node,
            instance,
            argv: spec.argv.clone(),
            addresses: spec.addresses.clone(),
            log: spec.log.clone(),
            held: false,
        })?;
        Ok(Started::Now)
    }

    /// Starts a process again as it was started before.
    pub fn start_again(&self, run: RunFile) -> Result<Started, ProcessError> {
        let RunFile { name, role, cell, az, node, argv, addresses, log, instance: _, held: _ } = run;
        self.start(&Spec { name, role, cell, az, node, argv, addresses, log }, Hold::Lift)
    }

    /// Ends a process and keeps it from being started by anybody but an operator. Returns once it is gone.
    pub async fn end(&self, name: &str, end: End, clock: &Clock) -> Result<(), ProcessError> {
        let run = {
            let _lock = self.lock()?;
            let run = RunFile { held: true, ..self.get(name)? };
            self.save(&run)?;
            run
        };
        let first = match end {
            End::Stop => Signal::TERM,
            End::Kill => Signal::KILL,
        };
        for signal in [first, Signal::KILL] {
            run.signal(signal)?;
            let deadline = clock.now() + STOP_PATIENCE;
            while run.is_alive() && clock.now() < deadline {
                tokio::time::sleep(POLL_PAUSE).await;
            }
            if !run.is_alive() {
                return Ok(());
            }
        }
        Err(ProcessError::Immortal { name: run.name })
    }

    /// Forgets a process that has ended. One that is not known is forgotten.
    pub fn forget(&self, name: &str) -> Result<(), ProcessError> {
        let _lock = self.lock()?;
        let file = self.file(name);
        match self.find(name)? {
            Some(run) if run.is_alive() => Err(ProcessError::Immortal { name: name.into() }),
            Some(_) => fs::remove_file(&file).map_err(|why| ProcessError::File { file, why }),
            None => Ok(()),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.run.join(format!("{name}.json"))
    }

    fn save(&self, run: &RunFile) -> Result<(), ProcessError> {
        let file = self.file(&run.name);
        let text =
            serde_json::to_string_pretty(run).map_err(|why| ProcessError::Malformed { file: file.clone(), why })?;
        let temporary = file.with_extension("new");
        let written = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, &file));
        written.map_err(|why| ProcessError::File { file, why })
    }

    /// Held until it is dropped.
    fn lock(&self) -> Result<File, ProcessError> {
        let file = self.run.join("lock");
        let locked = || -> io::Result<File> {
            fs::create_dir_all(&self.run)?;
            let lock = OpenOptions::new().create(true).append(true).open(&file)?;
            lock.lock()?;
            Ok(lock)
        };
        locked().map_err(|why| ProcessError::File { file: file.clone(), why })
    }
}

fn read(file: &Path) -> Result<Option<RunFile>, ProcessError> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(ProcessError::File { file: file.to_owned(), why }),
    };
    serde_json::from_str(&text).map(Some).map_err(|why| ProcessError::Malformed { file: file.to_owned(), why })
}

fn spawn(spec: &Spec) -> Result<Instance, ProcessError> {
    let (program, arguments) =
        spec.argv.split_first().map_or(("", &[][..]), |(program, rest)| (program.as_str(), rest));
    let failed = |why| ProcessError::Start { name: spec.name.clone(), program: program.into(), why };
    if let Some(parent) = spec.log.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let log = OpenOptions::new().create(true).append(true).open(&spec.log).map_err(failed)?;
    let errors = log.try_clone().map_err(failed)?;
    let mut command = Command::new(program);
    command.args(arguments).process_group(0).kill_on_drop(false);
    let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().map_err(failed)?;
    let instance = child.id().and_then(Instance::of);
    instance.ok_or_else(|| ProcessError::EndedAtOnce { name: spec.name.clone(), log: spec.log.clone() })
}

#[cfg(test)]
mod tests;

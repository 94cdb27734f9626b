//! Certifications of local cells: `bulkhead-loadtest certify` as a process of its own, detached like a node, found again by its run file.
//!
//! Each attempt has a directory of its own below the cell's, named after when the cell entered `Certifying`: a control plane that
//! was killed meanwhile finds the process, or what it wrote, and never takes an earlier attempt's document for this one's.

use super::{
    Local, ProvisionError, addresses, files,
    process::{End, Hold, ProcessError, Processes, Spec, Started},
    read,
    run_file::Role,
    text,
};
use crate::{limits::CERTIFICATE_BYTES_MAX, store::record::Cell};
use bulkhead_model::{CellId, NodeId, Timestamp, certification::Profile};
use bulkhead_service::env::Clock;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The name of the process among those of its cell.
const NAME: &str = "certification";
/// Lines of its log that say why it failed.
const LOG_LINES: usize = 4;

/// How an attempt is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    NotBegun,
    Running,
    /// It ended and wrote this.
    Document(String),
    /// It ended and wrote nothing: the last it said.
    Failed(String),
}

impl Local {
    fn certification_dir(&self, cell: &CellId) -> PathBuf {
        self.config.dir.join(cell.as_str()).join(NAME)
    }

    fn attempt_dir(&self, cell: &CellId, since: Timestamp) -> PathBuf {
        self.certification_dir(cell).join(since.0.to_string())
    }

    /// How the attempt is that belongs to the cell's present state.
    ///
    /// # Errors
    /// When a file about it cannot be read.
    pub fn certification(&self, id: &CellId, cell: &Cell) -> Result<Attempt, ProvisionError> {
        let dir = self.attempt_dir(id, cell.since);
        let Some(run) = Processes::new(dir.clone()).find(NAME)? else { return Ok(Attempt::NotBegun) };
        if run.is_alive() {
            return Ok(Attempt::Running);
        }
        // Looked at after the process: what it wrote last is there.
        let file = dir.join("certificate.json");
        match fs::metadata(&file) {
            Ok(found) if found.len() > CERTIFICATE_BYTES_MAX as u64 => Ok(Attempt::Failed(format!(
                "{} has {} bytes, allowed are {CERTIFICATE_BYTES_MAX}",
                file.display(),
                found.len()
            ))),
            Ok(_) => Ok(Attempt::Document(read(&file)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Attempt::Failed(last_words(&run.log))),
            Err(why) => Err(ProvisionError::File { file, why }),
        }
    }

    /// Begins the attempt that belongs to the cell's present state, unless it has begun. Earlier attempts are ended and forgotten.
    ///
    /// # Errors
    /// When the load test cannot be started.
    pub async fn begin_certification(
        &self,
        id: &CellId,
        cell: &Cell,
        profile: Profile,
        clock: &Clock,
    ) -> Result<Started, ProvisionError> {
        let dir = self.attempt_dir(id, cell.since);
        self.end_certifications(id, Some(&dir), clock).await?;
        files::private_dir(&dir)?;
        let home = self.config.dir.join(id.as_str());
        let option = |name: &str, value: String| [format!("--{name}"), value];
        let nodes = cell.nodes.iter().flat_map(|node| option("node", format!("{},{}", node.s3, node.admin)));
        let tls = self.surroundings.tls.iter().flat_map(|tls| {
            [("tls-ca", &tls.ca), ("tls-cert", &tls.certificate), ("tls-key", &tls.key)]
                .into_iter()
                .flat_map(|(name, file)| option(name, text(file)))
        });
        let argv = [text(&self.config.binaries.join("bulkhead-loadtest")), "certify".into()]
            .into_iter()
            .chain(option("cell", id.to_string()))
            .chain(nodes)
            .chain(option("admin-token-file", text(&home.join("admin.token"))))
            .chain(option("blueprint", text(&files::blueprint_file(&self.config.dir, id))))
            .chain(option("profile", profile.to_string()))
            .chain(option("signing-key", text(&self.certification_key)))
            .chain(option("out", text(&dir)))
            .chain(tls);
        let spec = Spec {
            name: NAME.into(),
            role: Role::Certification,
            cell: Some(id.clone()),
            az: None,
            node: NodeId(0),
            argv: argv.collect(),
            addresses: addresses([]),
            log: dir.join("log"),
        };
        Ok(Processes::new(dir).start(&spec, Hold::Respect)?)
    }

    /// Ends every attempt at a cell but the one in `but`, with all that it wrote.
    ///
    /// # Errors
    /// When a process does not end, or a file cannot be removed.
    pub async fn end_certifications(
        &self,
        id: &CellId,
        but: Option<&Path>,
        clock: &Clock,
    ) -> Result<(), ProvisionError> {
        for dir in directories(&self.certification_dir(id))? {
            if but == Some(dir.as_path()) {
                continue;
            }
            let processes = Processes::new(dir.clone());
            if processes.find(NAME)?.is_some_and(|run| run.is_alive()) {
                processes.end(NAME, End::Kill, clock).await?;
            }
            fs::remove_dir_all(&dir).map_err(|why| ProvisionError::File { file: dir, why })?;
        }
        Ok(())
    }

    /// Ends every attempt at a cell that still runs. What it wrote stays, for whoever asks why it failed.
    ///
    /// # Errors
    /// When a process does not end.
    pub async fn stop_certifications(&self, id: &CellId, clock: &Clock) -> Result<(), ProvisionError> {
        for dir in directories(&self.certification_dir(id))? {
            let processes = Processes::new(dir);
            if processes.find(NAME)?.is_some_and(|run| run.is_alive()) {
                processes.end(NAME, End::Kill, clock).await?;
            }
        }
        Ok(())
    }

    /// Ends all processes of a cell and removes its files. What is gone already is no error.
    ///
    /// # Errors
    /// When a process does not end, or a file cannot be removed.
    pub async fn dismantle(&self, id: &CellId, clock: &Clock) -> Result<(), ProvisionError> {
        self.end_certifications(id, None, clock).await?;
        // By their run files: also those of nodes that were replaced.
        for run in self.processes.list()?.into_iter().filter(|run| run.cell.as_ref() == Some(id)) {
            if run.is_alive() {
                self.processes.end(&run.name, End::Kill, clock).await?;
            }
            self.processes.forget(&run.name)?;
        }
        let home = self.config.dir.join(id.as_str());
        match fs::remove_dir_all(&home) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(ProvisionError::File { file: home, why }),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Ends every certification below a directory of cells: `dev down` leaves nothing running.
///
/// # Errors
/// When a process does not end.
pub async fn end_all(cells: &Path, clock: &Clock) -> Result<usize, ProcessError> {
    let mut ended = 0;
    let listed = |dir: &Path| {
        directories(dir)
            .map_err(|error| ProcessError::File { file: dir.into(), why: io::Error::other(error.to_string()) })
    };
    for cell in listed(cells)? {
        for attempt in listed(&cell.join(NAME))? {
            let processes = Processes::new(attempt);
            if processes.find(NAME)?.is_some_and(|run| run.is_alive()) {
                processes.end(NAME, End::Kill, clock).await?;
                ended += 1;
            }
        }
    }
    Ok(ended)
}

fn directories(dir: &Path) -> Result<Vec<PathBuf>, ProvisionError> {
    let failed = |why| ProvisionError::File { file: dir.to_owned(), why };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(why) => return Err(failed(why)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    Ok(found)
}

/// The last lines of a log, for whoever asks why.
fn last_words(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(LOG_LINES)..].join(" / ");
    if last.is_empty() { format!("it said nothing; its log is {}", log.display()) } else { last }
}

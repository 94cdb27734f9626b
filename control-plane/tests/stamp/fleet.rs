//! A control plane that is started and killed, and what is left on this machine.

use super::load_test::REFUSES;
use anyhow::Context as _;
use bulkhead_model::api::control_plane::{Cell, CellState, Operation, StampCell, Status};
use bulkhead_service::{
    auth::Token,
    client::{Client, ClientError},
    env::Clock,
};
use http::{Method, StatusCode};
use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

const TOKEN: &str = "admin-admin-admin-admin-admin-admin";
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);
const CALL: Duration = Duration::from_secs(10);

/// How a wait came to its end.
pub enum End {
    Died,
    There,
}

pub struct Fleet {
    dir: TempDir,
    api: SocketAddr,
    client: Client,
    clock: Clock,
    control_plane: Option<Child>,
}

impl Fleet {
    /// Fleets of one process have numbers, so that they do not plan the same ports.
    pub fn new(number: u16) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("bin"))?;
        fs::create_dir_all(at("cells"))?;
        fs::create_dir_all(at("blueprints"))?;
        for program in ["bulkhead-cell", "bulkhead-loadtest"] {
            symlink(std::env::current_exe()?, at("bin").join(program))?;
        }
        fs::write(at("blueprints/dev.toml"), include_str!("../../../blueprints/dev.toml"))?;
        let files = [("admin", TOKEN.to_owned()), ("machine", "m".repeat(40)), ("certification", "7".repeat(64))];
        for (name, text) in files {
            fs::write(at(name), text)?;
        }
        let (api, peer) = (free()?, free()?);
        let path = |name: &str| at(name).display().to_string();
        let config = format!(
            "node = 1\ndata = \"{}\"\napi = \"{api}\"\npeer = \"{peer}\"\ntoken_file = \"{}\"\nmachine_token_file = \"{}\"\n\
             blueprints = \"{}\"\n[certification]\nkey_file = \"{}\"\n[provision.local]\ndir = \"{}\"\nrun = \"{}\"\n\
             binaries = \"{}\"\nport_base = {}\nregion = \"us-east-1\"\n",
            path("control-plane"),
            path("admin"),
            path("machine"),
            path("blueprints"),
            path("certification"),
            path("cells"),
            path("run"),
            path("bin"),
            21_000 + std::process::id() % 8_000 + 500 * u32::from(number),
        );
        fs::write(at("control-plane.toml"), config)?;
        let client = Client::new(Some(&Token::new(TOKEN)?), None);
        Ok(Self { dir, api, client, clock: Clock::system(), control_plane: None })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the control plane, to die at a point if one is said, and waits until it answers and leads.
    pub async fn start(&mut self, fail_point: Option<&str>) -> anyhow::Result<()> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.at("control-plane.log"))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead-control-plane"));
        command.arg("--config").arg(self.at("control-plane.toml"));
        command.env_remove("BULKHEAD_FAIL_POINT");
        if let Some(point) = fail_point {
            command.env("BULKHEAD_FAIL_POINT", point);
        }
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        self.control_plane = Some(child);
        let deadline = self.clock.now() + PATIENCE;
        loop {
            let status: Result<Status, _> = self.ask(Method::GET, "/v1/status").await;
            // One that dies at once has answered all the same, or was not to.
            if status.is_ok_and(|status| status.leader.is_some()) || self.has_died()? {
                return Ok(());
            }
            anyhow::ensure!(self.clock.now() < deadline, "the control plane does not answer: {}", self.log());
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.control_plane.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    fn has_died(&mut self) -> anyhow::Result<bool> {
        match &mut self.control_plane {
            Some(child) => Ok(child.try_wait()?.is_some()),
            None => Ok(true),
        }
    }

    /// Waits until the control plane has died at its point.
    pub async fn died(&mut self) -> anyhow::Result<()> {
        let deadline = self.clock.now() + PATIENCE;
        while !self.has_died()? {
            anyhow::ensure!(self.clock.now() < deadline, "it does not die: {}", self.log());
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn ask<A: serde::de::DeserializeOwned>(&self, method: Method, path: &str) -> Result<A, ClientError> {
        self.client.json(method, self.api, path, None::<&()>, CALL).await
    }

    pub async fn request(&self, cell: &str) -> anyhow::Result<Operation> {
        let wanted = StampCell { name: cell.parse()?, blueprint: "dev".into(), region: None };
        Ok(self.client.json(Method::POST, self.api, "/v1/cells", Some(&wanted), CALL).await?)
    }

    /// A call about a cell that changes it. What is begun may take the control plane along.
    pub async fn call(&self, cell: &str, what: &str) -> anyhow::Result<()> {
        let answer: Result<serde_json::Value, _> = self.ask(Method::POST, &format!("/v1/cells/{cell}/{what}")).await;
        match answer {
            Ok(_) | Err(ClientError::Lost(_)) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("{what} {cell}: {}", self.log())),
        }
    }

    /// Waits until a cell is in a state, or the control plane has died.
    pub async fn end_or(&mut self, cell: &str, is_there: impl Fn(&CellState) -> bool) -> anyhow::Result<End> {
        let deadline = self.clock.now() + PATIENCE;
        loop {
            if self.has_died()? {
                return Ok(End::Died);
            }
            let found: Result<Cell, _> = self.ask(Method::GET, &format!("/v1/cells/{cell}")).await;
            match found {
                Ok(found) if is_there(&found.state) => return Ok(End::There),
                Ok(Cell { state: CellState::Failed { why }, .. }) => anyhow::bail!("{cell} failed: {why}"),
                Ok(_) | Err(_) => {}
            }
            anyhow::ensure!(self.clock.now() < deadline, "{cell} is not there: {}", self.log());
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub async fn wait(&mut self, cell: &str, is_there: impl Fn(&CellState) -> bool) -> anyhow::Result<()> {
        match self.end_or(cell, is_there).await? {
            End::There => Ok(()),
            End::Died => anyhow::bail!("the control plane died by itself: {}", self.log()),
        }
    }

    /// Waits until nobody knows a cell any more.
    pub async fn gone(&mut self, cell: &str) -> anyhow::Result<()> {
        let deadline = self.clock.now() + PATIENCE;
        loop {
            let found: Result<Cell, _> = self.ask(Method::GET, &format!("/v1/cells/{cell}")).await;
            if found.err().and_then(|error| error.status()) == Some(StatusCode::NOT_FOUND) {
                return Ok(());
            }
            anyhow::ensure!(self.clock.now() < deadline, "{cell} is still there: {}", self.log());
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The last operation of a cell, and what was done in it.
    pub async fn operation(&self, cell: &str) -> anyhow::Result<(u64, Vec<String>)> {
        let found: Cell = self.ask(Method::GET, &format!("/v1/cells/{cell}")).await?;
        let number = found.operation.context("a cell has an operation")?;
        let operation: Operation = self.ask(Method::GET, &format!("/v1/operations/{number}")).await?;
        Ok((number, operation.steps.into_iter().map(|step| step.what).collect()))
    }

    pub fn refuse_certificates(&self, refuse: bool) -> anyhow::Result<()> {
        let mark = self.at("cells").join(REFUSES);
        if refuse { fs::write(mark, "") } else { fs::remove_file(mark) }.context("the mark for refusals")
    }

    /// Three processes, each once; one certification, and that once.
    pub fn check_whole(&self, cell: &str) -> anyhow::Result<()> {
        let mut running: Vec<String> = self.processes(cell)?;
        running.sort();
        let expected: Vec<String> = (1..=3)
            .map(|node| self.at("cells").join(format!("{cell}/{node}/config.toml")).display().to_string())
            .collect();
        anyhow::ensure!(running == expected, "of {cell} there run {running:?}, not {expected:?}");
        let attempts = list(&self.at("cells").join(cell).join("certification"))?;
        anyhow::ensure!(attempts.len() == 1, "{cell} was certified in {attempts:?}");
        let runs = list(&attempts[0])?.into_iter().filter(|file| file.to_string_lossy().contains("/run-")).count();
        anyhow::ensure!(runs == 1, "{cell} was certified by {runs} runs");
        Ok(())
    }

    /// Neither processes nor files, nor ports that are taken.
    pub fn check_nothing(&self, cell: &str) -> anyhow::Result<()> {
        let running = self.processes(cell)?;
        anyhow::ensure!(running.is_empty(), "of {cell} there still run {running:?}");
        let home = self.at("cells").join(cell);
        anyhow::ensure!(!home.exists(), "{} is still there", home.display());
        let runs = list(&self.at("run"))?;
        let left: Vec<_> = runs.iter().filter(|file| file.to_string_lossy().contains(&format!("/{cell}-"))).collect();
        anyhow::ensure!(left.is_empty(), "run files are left: {left:?}");
        Ok(())
    }

    /// What runs below a cell's directory: the last argument of each process.
    fn processes(&self, cell: &str) -> anyhow::Result<Vec<String>> {
        let home = format!("{}/", self.at("cells").join(cell).display());
        let mut found = Vec::new();
        for entry in list(Path::new("/proc"))? {
            // One that ended meanwhile runs no more.
            let Ok(line) = fs::read(entry.join("cmdline")) else { continue };
            let line = String::from_utf8_lossy(&line).into_owned();
            let arguments: Vec<&str> = line.split('\0').filter(|argument| !argument.is_empty()).collect();
            if let Some(last) = arguments.last().filter(|last| last.starts_with(&home)) {
                found.push((*last).to_owned());
            }
        }
        Ok(found)
    }

    fn log(&self) -> String {
        let text = fs::read_to_string(self.at("control-plane.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if self.kill().is_err() {
            eprintln!("the control plane could not be killed");
        }
        // Nodes of a round that failed are processes of their own.
        for file in list(&self.at("run")).unwrap_or_default() {
            let run =
                fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
            let pid = run.and_then(|run| run["pid"].as_i64()).and_then(|pid| i32::try_from(pid).ok());
            let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) else { continue };
            // A pid may be another's by now.
            let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
            if String::from_utf8_lossy(&line).contains(&self.dir.path().display().to_string()) {
                // One that has ended meanwhile is no matter.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

fn list(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| dir.display().to_string()),
    };
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

//! The processes of a local cluster, as the `bulkhead` command line tells them.

use crate::{
    clock,
    limits::COMMAND_TIMEOUT,
    tls::{self, Tls, TlsFiles},
};
use anyhow::Context;
use bulkhead_model::{
    AccountId, Az, CellId, NodeId,
    api::control_plane::{Cell, CellStorage},
    headers,
};
use serde::Deserialize;
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, process::Stdio, time::Duration};
use tokio::{io::AsyncReadExt, io::AsyncWriteExt, process::Command, time::timeout};

/// Names the point at which a server aborts, and at which passing.
const FAIL_POINT: &str = "BULKHEAD_FAIL_POINT";

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    ControlPlane,
    Router,
    Cell,
}

/// One row of `bulkhead node list --json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ListedProcess {
    /// What `bulkhead node start` takes.
    pub name: String,
    pub role: Role,
    pub cell: Option<CellId>,
    pub az: Option<Az>,
    pub node: Option<NodeId>,
    pub pid: Option<u32>,
    pub alive: bool,
    /// By listener: `s3`, `admin`, `peer`, `api`.
    pub addresses: BTreeMap<String, SocketAddr>,
    #[serde(default)]
    pub argv: Vec<String>,
}

/// What `bulkhead cell show --json` says.
#[derive(Debug, Clone, Deserialize)]
pub struct ShownCell {
    #[serde(flatten)]
    pub cell: Cell,
    pub storage: CellStorage,
}

/// A local cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    program: PathBuf,
    data: PathBuf,
}

impl ListedProcess {
    /// The address of one of its listeners.
    ///
    /// # Errors
    /// When it has no such listener.
    pub fn address(&self, listener: &str) -> anyhow::Result<SocketAddr> {
        self.addresses.get(listener).copied().with_context(|| format!("{} has no {listener} address", self.name))
    }

    /// Where it keeps its data, as its configuration says.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn data(&self) -> anyhow::Result<PathBuf> {
        let config = self.config()?;
        let data = config.get("data").and_then(toml::Value::as_str);
        data.map(PathBuf::from).with_context(|| format!("{} has no data directory configured", self.name))
    }

    /// How its own listeners are called: over mutual TLS where its configuration says so, with its own identity.
    ///
    /// # Errors
    /// When its configuration or what that names cannot be read.
    pub fn tls(&self) -> anyhow::Result<Option<Tls>> {
        self.tls_files()?.as_ref().map(Tls::open).transpose()
    }

    /// The files of its identity, where it speaks mutual TLS.
    ///
    /// # Errors
    /// When its configuration cannot be read.
    pub fn tls_files(&self) -> anyhow::Result<Option<TlsFiles>> {
        Ok(self.config()?.remove("tls").map(toml::Value::try_into).transpose()?)
    }

    /// One of its listeners, as the fleet calls it.
    ///
    /// # Errors
    /// When it has no such listener, or its configuration cannot be read.
    pub fn listener(&self, name: &str) -> anyhow::Result<Listener> {
        // Tenants are strangers.
        let is_public = self.role == Role::Router && name == "s3";
        let tls = if is_public { None } else { self.tls()? };
        Ok(Listener { address: self.address(name)?, tls })
    }

    fn config(&self) -> anyhow::Result<toml::Table> {
        let file = self.argv.last().with_context(|| format!("{} has no arguments", self.name))?;
        Ok(std::fs::read_to_string(file).with_context(|| format!("reading {file}"))?.parse()?)
    }
}

impl Cluster {
    /// The cluster below `data`, commanded by `program`.
    pub fn new(program: PathBuf, data: PathBuf) -> Self {
        Self { program, data }
    }

    /// Where the cluster keeps its files.
    pub fn data(&self) -> &std::path::Path {
        &self.data
    }

    /// All processes, running or not.
    ///
    /// # Errors
    /// When the command fails or answers something else.
    pub async fn list(&self) -> anyhow::Result<Vec<ListedProcess>> {
        let text = self.command(&["node", "list", "--json"]).await?;
        serde_json::from_str(&text).with_context(|| format!("`bulkhead node list --json` answered {text:?}"))
    }

    /// The nodes of a cell, or all processes of another role.
    ///
    /// # Errors
    /// As [`Cluster::list`].
    pub async fn of(&self, role: Role, cell: Option<&CellId>) -> anyhow::Result<Vec<ListedProcess>> {
        let mut rows = self.list().await?;
        rows.retain(|row| row.role == role && (cell.is_none() || row.cell.as_ref() == cell));
        Ok(rows)
    }

    /// Kills processes at once (`kill -9`); they stay dead until they are started.
    ///
    /// # Errors
    /// When the command fails.
    pub async fn kill(&self, names: &[&str]) -> anyhow::Result<()> {
        self.command(&[&["node", "kill"], names].concat()).await.map(|_| ())
    }

    /// Stops a process after its requests in flight; it stays stopped until it is started.
    ///
    /// # Errors
    /// When the command fails.
    pub async fn stop(&self, name: &str) -> anyhow::Result<()> {
        self.command(&["node", "stop", name]).await.map(|_| ())
    }

    /// Starts a process that is not running.
    ///
    /// # Errors
    /// When the command fails.
    pub async fn start(&self, name: &str) -> anyhow::Result<()> {
        self.start_all(&[name]).await
    }

    /// Starts processes that are not running, all together.
    ///
    /// # Errors
    /// When the command fails.
    pub async fn start_all(&self, names: &[&str]) -> anyhow::Result<()> {
        self.command(&[&["node", "start"], names].concat()).await.map(|_| ())
    }

    /// Starts a process that is not running, and will abort when it passes a point of its code for the `count`th time.
    ///
    /// # Errors
    /// When the command fails.
    pub async fn start_to_fail(&self, name: &str, point: &str, count: u64) -> anyhow::Result<()> {
        let environment = [(FAIL_POINT, format!("{point}:{count}"))];
        self.command_with(&["node", "start", name], &environment).await.map(|_| ())
    }

    /// A cell, its nodes, and how their chunks are.
    ///
    /// # Errors
    /// When the command fails or answers something else.
    pub async fn show(&self, cell: &CellId) -> anyhow::Result<ShownCell> {
        let text = self.command(&["cell", "show", cell.as_str(), "--json"]).await?;
        serde_json::from_str(&text).context("`bulkhead cell show --json` answered something else")
    }

    /// Replaces a node, and waits until its cell is whole.
    ///
    /// # Errors
    /// When the command fails, or the cell is not whole within `patience`.
    pub async fn replace(&self, cell: &CellId, node: NodeId, patience: Duration) -> anyhow::Result<()> {
        let (node, wait) = (node.to_string(), patience.as_secs().to_string());
        let arguments = ["node", "replace", "--cell", cell.as_str(), "--node", &node, "--wait", &wait, "--json"];
        let text = self.command_within(patience + COMMAND_TIMEOUT, &arguments, &[]).await?;
        let cell: Cell =
            serde_json::from_str(&text).context("`bulkhead node replace --json` answered something else")?;
        anyhow::ensure!(cell.replacement.is_none(), "the cell is not whole after {patience:?}: {:?}", cell.replacement);
        Ok(())
    }

    /// Creates an account; answers with its first key.
    ///
    /// # Errors
    /// When the command fails or answers something else.
    pub async fn create_account(
        &self,
        name: &str,
    ) -> anyhow::Result<bulkhead_model::api::control_plane::CreatedAccount> {
        let email = format!("{name}@example.com");
        let text = self.command(&["account", "create", "--name", name, "--email", &email, "--json"]).await?;
        serde_json::from_str(&text).context("`bulkhead account create --json` answered something else")
    }

    /// Changes what an account may ask for: options of `bulkhead account limits`.
    ///
    /// # Errors
    /// When the command fails.
    pub async fn limit_account(&self, account: AccountId, options: &[&str]) -> anyhow::Result<()> {
        let account = account.to_string();
        self.command(&[&["account", "limits", &account], options].concat()).await.map(|_| ())
    }

    /// The node that leads `cell`, if one says so.
    ///
    /// # Errors
    /// As [`Cluster::list`].
    pub async fn leader(&self, cell: &CellId) -> anyhow::Result<Option<ListedProcess>> {
        for row in self.of(Role::Cell, Some(cell)).await?.into_iter().filter(|row| row.alive) {
            if says_it_leads(&row.listener("s3")?).await {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Waits until every process runs and is ready, at most `patience`. Answers what is still missing.
    ///
    /// # Errors
    /// As [`Cluster::list`].
    pub async fn missing_after(&self, patience: Duration) -> anyhow::Result<Vec<String>> {
        let deadline = clock::now() + patience;
        loop {
            let mut missing = Vec::new();
            for row in self.list().await? {
                let health = ["admin", "api"].into_iter().find(|name| row.addresses.contains_key(*name));
                let ready = match health {
                    Some(name) if row.alive => {
                        row.listener(name)?.get("/readyz").await.is_some_and(|text| is_ok(&text))
                    }
                    Some(_) | None => row.alive,
                };
                if !ready {
                    missing.push(row.name);
                }
            }
            if missing.is_empty() || clock::now() >= deadline {
                return Ok(missing);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Any command of `bulkhead` on this cluster; answers what it printed.
    ///
    /// # Errors
    /// When the command fails: what it said is in the error.
    pub async fn command(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.command_with(arguments, &[]).await
    }

    async fn command_with(&self, arguments: &[&str], environment: &[(&str, String)]) -> anyhow::Result<String> {
        self.command_within(COMMAND_TIMEOUT, arguments, environment).await
    }

    async fn command_within(
        &self,
        patience: Duration,
        arguments: &[&str],
        environment: &[(&str, String)],
    ) -> anyhow::Result<String> {
        let what = format!("`bulkhead {}`", arguments.join(" "));
        let child = Command::new(&self.program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .arg("--data")
            .arg(&self.data)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = timeout(patience, child).await.with_context(|| format!("{what} took too long"))??;
        let complaint = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{what} failed with {}: {}", output.status, complaint.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Asks a node without signing anything: whatever it answers, it says whether it leads.
async fn says_it_leads(node: &Listener) -> bool {
    let Some(answer) = node.get("/").await else { return false };
    answer.lines().take_while(|line| !line.is_empty()).any(|line| {
        line.split_once(':').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case(headers::NODE) && value.split_ascii_whitespace().any(|word| word == "leader")
        })
    })
}

fn is_ok(answer: &str) -> bool {
    answer.split_ascii_whitespace().nth(1) == Some("200")
}

/// Where a process is called, and how.
#[derive(Debug, Clone)]
pub struct Listener {
    pub address: SocketAddr,
    pub tls: Option<Tls>,
}

impl Listener {
    /// One GET on a connection of its own; the whole answer, head included. `None` when it did not come within 2 s.
    pub async fn get(&self, path: &str) -> Option<String> {
        let exchange = async {
            let mut stream = tls::connect(self.address, self.tls.as_ref()).await?;
            let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.take(crate::limits::ANSWER_BYTES_MAX as u64).read_to_end(&mut answer).await?;
            std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        timeout(Duration::from_secs(2), exchange).await.ok()?.ok()
    }
}

//! A cluster for one run alone: started on free loopback ports, stopped and removed at the end.

use super::{
    cluster::Cluster,
    disks::Disks,
    network::{self, Network},
    power::Power,
};
use crate::{
    limits::{
        BRISK_CENSUS_SECONDS, BRISK_GRACE_SECONDS, BRISK_SCRUB_SECONDS, CLUSTER_FREE_BYTES, CLUSTER_PORTS, PORT_TRIES,
        SMALL_CHECKPOINT_LOG_BYTES, SMALL_CLUSTER_FREE_BYTES, SMALL_EXTENT_BYTES, UP_PATIENCE,
    },
    machine,
};
use anyhow::Context;
use bulkhead_model::Blueprint;
use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// Ports below the range from which the kernel takes ports for outgoing connections.
const PORTS_FROM: u16 = 20_000;
const PORTS_TO: u16 = 32_000;

/// What a private cluster stands on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ground {
    /// Every process keeps its data on a volume whose power can be cut; this seeds what cuts leave.
    pub power: Option<u64>,
    /// Checkpoints, purges and new extents come after a few MiB instead of many.
    pub small: bool,
    /// Cells do not keep tenants apart.
    pub without_isolation: bool,
    /// Nodes run in network namespaces of their own.
    pub network: Option<Network>,
    /// Damage is found, and garbage is freed, as soon as a blueprint may ask for.
    pub brisk: bool,
    /// What a cell takes at most, instead of what its blueprint says.
    pub capacity: Option<Maxima>,
    /// Every node has a disk of its own of so many bytes, mounted by root.
    pub disk_bytes: Option<u64>,
    /// The next cell is stamped when so many hundredths of a cell are left.
    pub floor_percent: u64,
    /// Processes speak mutual TLS with each other.
    pub mutual_tls: bool,
}

/// What a cell takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maxima {
    pub bytes: u64,
    pub objects: u64,
}

impl Ground {
    /// The blueprint as this ground has it.
    fn shape(&self, mut blueprint: Blueprint) -> Blueprint {
        if self.small {
            blueprint.sizes.checkpoint_log_bytes = SMALL_CHECKPOINT_LOG_BYTES;
            blueprint.sizes.extent_bytes = SMALL_EXTENT_BYTES;
        }
        if self.brisk {
            blueprint.background.grace_seconds = BRISK_GRACE_SECONDS;
            blueprint.background.scrub_seconds = BRISK_SCRUB_SECONDS;
            blueprint.background.census_seconds = BRISK_CENSUS_SECONDS;
        }
        if let Some(Maxima { bytes, objects }) = self.capacity {
            blueprint.capacity.bytes = bytes;
            blueprint.capacity.objects = objects;
        }
        blueprint.isolation.enabled = !self.without_isolation;
        blueprint
    }
}

/// A running cluster. Dropping it stops its processes and removes its data.
#[derive(Debug)]
pub struct PrivateCluster {
    cluster: Cluster,
    program: PathBuf,
    /// Unmounted before the directory is removed.
    power: Option<Power>,
    /// Likewise.
    _disks: Option<Disks>,
    directory: TempDir,
}

impl PrivateCluster {
    /// Starts a cluster with the programs in `binaries`. Its data is beside them, on the same disk: a memory file system
    /// would make every fsync free.
    ///
    /// # Errors
    /// When a program is missing or the cluster does not come up; what it said is in the error.
    pub async fn up(binaries: &Path) -> anyhow::Result<Self> {
        Self::up_on(binaries, Ground::default()).await
    }

    /// As [`Self::up`], on a ground of one's choice.
    ///
    /// # Errors
    /// As [`Self::up`], and when the ground cannot be made.
    pub async fn up_on(binaries: &Path, ground: Ground) -> anyhow::Result<Self> {
        for name in ["bulkhead", "bulkhead-control-plane", "bulkhead-router", "bulkhead-cell"] {
            let file = binaries.join(name);
            anyhow::ensure!(file.exists(), "{} is missing: `cargo build --workspace --bins`", file.display());
        }
        let beside = binaries.parent().unwrap_or(binaries).join("tmp");
        std::fs::create_dir_all(&beside).with_context(|| format!("creating {}", beside.display()))?;
        has_room(&beside, &ground)?;
        let directory = tempfile::Builder::new().prefix("cluster-").tempdir_in(&beside)?;
        let binaries = match ground.network {
            Some(network) => network::wrap(network, binaries, directory.path().join("bin"))?,
            None => binaries.to_owned(),
        };
        let program = binaries.join("bulkhead");
        let cluster = Cluster::new(program.clone(), directory.path().to_owned());
        let power = ground.power.map(|seed| Power::install(directory.path(), seed)).transpose()?;
        let disks = ground.disk_bytes.map(|bytes| Disks::install(directory.path(), bytes)).transpose()?;
        // Made before the start, so that a start that fails half-way is undone too.
        let private = Self { cluster, program, power, _disks: disks, directory };
        let blueprints = private.blueprints(&ground)?;
        let port = free_ports()?.to_string();
        let up = tokio::process::Command::new(&private.program)
            .args([
                "dev",
                "up",
                "--uncertified",
                "--floor",
                &ground.floor_percent.to_string(),
                "--port",
                &port,
                "--data",
            ])
            .arg(private.data())
            .arg("--blueprints")
            .arg(blueprints)
            .args(ground.mutual_tls.then_some("--mutual-tls"))
            .args(ground.network.map(hosts).into_iter().flatten())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(UP_PATIENCE, up).await.context("`bulkhead dev up` took too long")??;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "`bulkhead dev up` failed: {}\n{}", said.trim(), private.logs());
        private.check_power().await?;
        Ok(private)
    }

    /// The power of its processes; `None` when it stands on ordinary ground.
    pub fn power(&mut self) -> Option<&mut Power> {
        self.power.as_mut()
    }

    /// Keeps a copy of all files, for whoever looks into a failure. Answers where.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn keep(&self) -> anyhow::Result<PathBuf> {
        let copy = self.data().with_extension("failed");
        std::fs::create_dir_all(&copy)?;
        // Volumes are seen where they are mounted.
        let whole = std::fs::read_dir(self.data())?.collect::<std::io::Result<Vec<_>>>()?;
        let apart = |path: &PathBuf| path.ends_with("volumes") || path.ends_with("disks");
        let kept = whole.iter().map(std::fs::DirEntry::path).filter(|path| !apart(path));
        let copied = Command::new("cp").args(["-a", "--sparse=always"]).args(kept).arg(&copy).status()?;
        anyhow::ensure!(copied.success(), "cp ended with {copied}");
        Ok(copy)
    }

    async fn check_power(&self) -> anyhow::Result<()> {
        let Some(power) = &self.power else { return Ok(()) };
        for row in self.cluster.list().await? {
            power.covers(&row.name, &row.data()?)?;
        }
        Ok(())
    }

    /// Where the blueprints are that this ground asks for.
    fn blueprints(&self, ground: &Ground) -> anyhow::Result<PathBuf> {
        if !ground.small && !ground.brisk && ground.capacity.is_none() && !ground.without_isolation {
            return Ok(blueprints());
        }
        let dev = Blueprint::parse(&std::fs::read_to_string(blueprints().join("dev.toml"))?)?;
        let directory = self.data().join("blueprints");
        std::fs::create_dir_all(&directory)?;
        std::fs::write(directory.join("dev.toml"), toml::to_string(&ground.shape(dev))?)?;
        Ok(directory)
    }

    /// Its processes.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Its directory, with `dev.env` in it.
    pub fn data(&self) -> &Path {
        self.directory.path()
    }

    /// The last lines of every log, for the report of a failure.
    pub fn logs(&self) -> String {
        const LINES: usize = 15;
        let mut text = String::new();
        for file in log_files(self.data(), 4) {
            let log = std::fs::read_to_string(&file).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
            text.push_str(&format!("--- {}\n{last}\n", file.display()));
        }
        text
    }
}

impl Drop for PrivateCluster {
    fn drop(&mut self) {
        let down = Command::new(&self.program)
            .args(["dev", "down", "--data"])
            .arg(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        if !down.is_ok_and(|status| status.success()) {
            eprintln!("the cluster in {} could not be stopped", self.directory.path().display());
        }
    }
}

/// Where the programs are: `BULKHEAD_BIN_DIR`, or beside this one, or above it when this is a test.
///
/// # Errors
/// When this program's own place is not known.
pub fn binaries() -> anyhow::Result<PathBuf> {
    if let Some(directory) = std::env::var_os("BULKHEAD_BIN_DIR") {
        return Ok(directory.into());
    }
    let own = std::env::current_exe()?;
    let beside = own.parent().context("this program is in no directory")?;
    let is_test = beside.file_name().is_some_and(|name| name == "deps");
    Ok(if is_test { beside.parent().unwrap_or(beside).to_owned() } else { beside.to_owned() })
}

/// Nodes whose disk is short take no bytes, which would look like a fault of theirs.
fn has_room(directory: &Path, ground: &Ground) -> anyhow::Result<()> {
    let needed = if ground.small { SMALL_CLUSTER_FREE_BYTES } else { CLUSTER_FREE_BYTES };
    let free = machine::free_bytes(directory).unwrap_or(needed);
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    anyhow::ensure!(
        free >= needed,
        "{} has {:.1} GiB free, and a private cluster needs {:.1} GiB: free some, or set BULKHEAD_BIN_DIR to where there is more",
        directory.display(),
        gib(free),
        gib(needed)
    );
    Ok(())
}

fn hosts(network: Network) -> [String; 2] {
    let hosts: Vec<String> = network.hosts().iter().map(ToString::to_string).collect();
    ["--hosts".to_owned(), hosts.join(",")]
}

/// In the root of the tree, or beside the package in whose directory cargo runs its tests. Not where this was compiled: clones
/// share what is built.
fn blueprints() -> PathBuf {
    let here = PathBuf::from("blueprints");
    if here.exists() { here } else { PathBuf::from("../blueprints") }
}

fn log_files(directory: &Path, depth: usize) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() && depth > 0 {
            files.extend(log_files(&path, depth - 1));
        } else if path.extension().is_some_and(|extension| extension == "log") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The first port of a range that nobody uses now. Runs at the same time begin their search at different places.
fn free_ports() -> anyhow::Result<u16> {
    let ranges = (PORTS_TO - PORTS_FROM) / CLUSTER_PORTS;
    let first = u16::try_from(std::process::id() % u32::from(ranges)).unwrap_or(0);
    for attempt in 0..PORT_TRIES.min(ranges) {
        let port = PORTS_FROM + (first + attempt) % ranges * CLUSTER_PORTS;
        let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if (port..port + CLUSTER_PORTS).all(free) {
            return Ok(port);
        }
    }
    anyhow::bail!("no {CLUSTER_PORTS} free ports in a row between {PORTS_FROM} and {PORTS_TO}")
}

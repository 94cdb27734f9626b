//! A network for one cluster: every node in a network namespace of its own, joined by a switch that can drop.
//!
//! ```text
//!  clients, router, control plane          10.77.0.2 ─┐
//!  node 1 of each cell (namespace node1)   10.77.1.2 ─┤ switch: forwards, or drops what goes from one to another
//!  node 2 of each cell (namespace node2)   10.77.2.2 ─┤
//!  node 3 of each cell (namespace node3)   10.77.3.2 ─┘
//! ```
//! Links are veth pairs. A cut is a rule in the switch by which packets from one address to another vanish without a word, so
//! both ends must find out by themselves; cutting one direction leaves the other. Everything lives in a network and a mount
//! namespace of this process's own, and goes with it.

use anyhow::Context;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
};

/// Says to a program that it is inside.
const INSIDE: &str = "BULKHEAD_LOADTEST_NAMESPACE";
const SWITCH: &str = "switch";
const NODES: u8 = 3;
/// Rules of cuts; all rules of this priority are ours.
const CUT_PRIORITY: &str = "77";

/// An end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The clients, the router and the control plane.
    Clients,
    /// The nodes of this number, of all cells.
    Node(u8),
}

/// The network of this process.
#[derive(Debug, Clone, Copy)]
pub struct Network(());

impl End {
    /// All nodes.
    pub fn nodes() -> impl Iterator<Item = Self> {
        (1..=NODES).map(Self::Node)
    }

    fn number(self) -> u8 {
        match self {
            Self::Clients => 0,
            Self::Node(number) => number,
        }
    }

    fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.number(), 2)
    }

    fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.number(), 1)
    }

    fn namespace(self) -> String {
        format!("node{}", self.number())
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clients => f.write_str("clients"),
            Self::Node(number) => write!(f, "node {number}"),
        }
    }
}

impl Network {
    /// Runs this program again with the same arguments in namespaces of its own, unless this is it. Answers how it ended there.
    ///
    /// # Errors
    /// When the kernel refuses namespaces: they need root.
    pub fn enter() -> anyhow::Result<Option<ExitStatus>> {
        if std::env::var_os(INSIDE).is_some() {
            return Ok(None);
        }
        let unshare = |program: &std::ffi::OsStr| {
            let mut command = Command::new("unshare");
            command.args(["--net", "--mount", "--propagation", "private", "--"]).arg(program);
            command
        };
        let allowed = unshare("true".as_ref()).stderr(Stdio::null()).status().context("there is no `unshare`")?;
        anyhow::ensure!(allowed.success(), "network namespaces need root");
        let own = std::env::current_exe()?;
        let status = unshare(own.as_os_str()).args(std::env::args_os().skip(1)).env(INSIDE, "1").status()?;
        Ok(Some(status))
    }

    /// Lays the links. Called once, inside.
    ///
    /// # Errors
    /// When a tool is missing or refuses.
    pub fn lay() -> anyhow::Result<Self> {
        // Named namespaces are files; on a file system of its own they go with this process.
        std::fs::create_dir_all("/run/netns")?;
        run("mount", "-t tmpfs tmpfs /run/netns")?;
        ip("link set lo up")?;
        ip(&format!("netns add {SWITCH}"))?;
        ip(&format!("-n {SWITCH} link set lo up"))?;
        let forward = ["--net=/run/netns/switch", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"];
        anyhow::ensure!(Command::new("nsenter").args(forward).status()?.success(), "the switch cannot forward");
        link(End::Clients, "")?;
        for node in End::nodes() {
            let namespace = node.namespace();
            ip(&format!("netns add {namespace}"))?;
            link(node, &format!("-n {namespace} "))?;
            ip(&format!("-n {namespace} link set lo up"))?;
        }
        Ok(Self(()))
    }

    /// Where the router and the control plane listen, and then each node.
    pub fn hosts(self) -> Vec<IpAddr> {
        [End::Clients].into_iter().chain(End::nodes()).map(|end| end.address().into()).collect()
    }

    /// A shell script that runs a node's program in the namespace of its number, which is the directory of its configuration.
    pub fn wrapper(self, program: &std::path::Path) -> String {
        let program = program.display();
        format!(
            "#!/bin/sh\n# --config .../CELL/NODE/config.toml\nnode=$(basename \"$(dirname \"$2\")\")\n\
             exec nsenter --net=/run/netns/node\"$node\" '{program}' \"$@\"\n"
        )
    }

    /// Drops everything that goes from one end to the other.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn cut_one_way(self, from: End, to: End) -> anyhow::Result<()> {
        let (from, to) = (from.address(), to.address());
        ip(&format!("-n {SWITCH} rule add from {from} to {to} blackhole priority {CUT_PRIORITY}"))
    }

    /// Drops everything between two ends.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn cut(self, one: End, other: End) -> anyhow::Result<()> {
        self.cut_one_way(one, other)?;
        self.cut_one_way(other, one)
    }

    /// Drops nothing any more.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn heal(self) -> anyhow::Result<()> {
        while rules()?.lines().any(|line| line.starts_with(&format!("{CUT_PRIORITY}:"))) {
            ip(&format!("-n {SWITCH} rule del priority {CUT_PRIORITY}"))?;
        }
        Ok(())
    }
}

fn rules() -> anyhow::Result<String> {
    let output = Command::new("ip").args(["-n", SWITCH, "rule", "list"]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Joins an end to the switch. `inside` is how `ip` is told where the end is.
fn link(end: End, inside: &str) -> anyhow::Result<()> {
    let number = end.number();
    let (near, far) = (format!("near{number}"), format!("far{number}"));
    ip(&format!("link add {near} type veth peer name {far}"))?;
    ip(&format!("link set {far} netns {SWITCH}"))?;
    if end != End::Clients {
        ip(&format!("link set {near} netns {}", end.namespace()))?;
    }
    ip(&format!("{inside}addr add {}/24 dev {near}", end.address()))?;
    ip(&format!("{inside}link set {near} up"))?;
    ip(&format!("-n {SWITCH} addr add {}/24 dev {far}", end.gateway()))?;
    ip(&format!("-n {SWITCH} link set {far} up"))?;
    ip(&format!("{inside}route add default via {}", end.gateway()))
}

fn ip(arguments: &str) -> anyhow::Result<()> {
    run("ip", arguments)
}

fn run(program: &str, arguments: &str) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    let output =
        command.args(arguments.split_ascii_whitespace()).output().with_context(|| format!("running {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "`{program} {arguments}`: {}", said.trim());
    Ok(())
}

/// Makes a directory of programs in which nodes start in their namespaces. Hard links, because a program looks for the others
/// beside itself.
pub(super) fn wrap(network: Network, binaries: &std::path::Path, directory: PathBuf) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(&directory)?;
    for name in ["bulkhead", "bulkhead-control-plane", "bulkhead-router"] {
        std::fs::hard_link(binaries.join(name), directory.join(name)).with_context(|| format!("linking {name}"))?;
    }
    let script = directory.join("bulkhead-cell");
    let program = std::path::absolute(binaries.join("bulkhead-cell"))?;
    std::fs::write(&script, network.wrapper(&program))?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
    Ok(directory)
}

//! A share of this machine's CPU for some processes together, by a control group of their own: they run as on a smaller machine than their
//! clients do. Linux, as root; the processes go back to where they were when it is dropped.

use anyhow::Context as _;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// In each such time they may use their share; once it is used, they wait for the next. Short, so that nobody waits long.
const PERIOD: Duration = Duration::from_millis(10);

/// Where control groups are, by version.
const V1: &str = "/sys/fs/cgroup/cpu";
const V2: &str = "/sys/fs/cgroup";

/// A control group that processes are in.
#[derive(Debug)]
pub struct CpuShare {
    group: PathBuf,
    /// Of each process, the group it was in.
    before: Vec<(u32, PathBuf)>,
}

impl CpuShare {
    /// Processes `pids` may use `percent` of one core together, from now on.
    ///
    /// # Errors
    /// When this program may not make control groups, or one of the processes is gone.
    pub fn of(pids: &[u32], percent: u32) -> anyhow::Result<Self> {
        let group = format!("bulkhead-loadtest-{}", std::process::id());
        let quota = PERIOD.as_micros() * u128::from(percent) / 100;
        let is_v1 = Path::new(V1).join("cpu.cfs_quota_us").exists();
        let root = Path::new(if is_v1 { V1 } else { V2 });
        let group = root.join(group);
        let files = if is_v1 {
            vec![
                (group.join("cpu.cfs_period_us"), PERIOD.as_micros().to_string()),
                (group.join("cpu.cfs_quota_us"), quota.to_string()),
            ]
        } else {
            write(&root.join("cgroup.subtree_control"), "+cpu")?;
            vec![(group.join("cpu.max"), format!("{quota} {}", PERIOD.as_micros()))]
        };
        fs::create_dir(&group).with_context(|| format!("a control group in {} needs root", root.display()))?;
        let mut share = Self { group, before: Vec::new() };
        for (file, text) in files {
            write(&file, &text)?;
        }
        for pid in pids {
            let before = root.join(group_of(*pid, is_v1)?.trim_start_matches('/'));
            write(&share.group.join("cgroup.procs"), &pid.to_string())?;
            share.before.push((*pid, before));
        }
        Ok(share)
    }
}

impl Drop for CpuShare {
    fn drop(&mut self) {
        for (pid, before) in &self.before {
            // It has ended meanwhile, and is in no group.
            let _gone_or_not = fs::write(before.join("cgroup.procs"), pid.to_string());
        }
        if let Err(error) = fs::remove_dir(&self.group) {
            eprintln!("the control group {} is left behind: {error}", self.group.display());
        }
    }
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(file, text).with_context(|| format!("writing {text:?} to {}", file.display()))
}

/// The control group that a process is in, below the root of its kind.
fn group_of(pid: u32, is_v1: bool) -> anyhow::Result<String> {
    let file = format!("/proc/{pid}/cgroup");
    let text = fs::read_to_string(&file).with_context(|| format!("reading {file}"))?;
    let of_line = |line: &str| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
        let is_it = if is_v1 { controllers.split(',').any(|one| one == "cpu") } else { controllers.is_empty() };
        is_it.then(|| group.to_owned())
    };
    text.lines().find_map(of_line).with_context(|| format!("{file} names no group for CPU"))
}

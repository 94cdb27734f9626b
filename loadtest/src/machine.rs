//! What this machine's kernel says of processes and disks: CPU time, memory, device flushes. Linux only; elsewhere, and
//! for processes of other machines, every answer is `None`.

use rustix::{
    process::{Pid, Resource, Rlimit, getrlimit, setpriority_process, setrlimit},
    thread::{CpuSet, gettid, sched_setaffinity},
};
use std::{fs, io, ops::Range, os::unix::fs::MetadataExt as _, path::Path};

/// What a process is and has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// When it was started, in clock ticks since boot: with the pid, its identity.
    pub started: u64,
    /// User and system time of all its threads, milliseconds.
    pub cpu_millis: u64,
}

/// Looks at process `pid`; `None` when there is none, or only its remains.
pub fn process(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything; the fields after it are counted from the state, field 3.
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 2..)?.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<u64>().ok());
    if matches!(fields.first(), Some(&"Z" | &"X")) {
        return None;
    }
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    Some(Process { started: number(22)?, cpu_millis: (number(14)? + number(15)?) * 1000 / ticks_per_second })
}

/// The process's command line.
pub fn command_line(pid: u32) -> Option<Vec<String>> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(
        bytes
            .split(|byte| *byte == 0)
            .filter(|arg| !arg.is_empty())
            .map(|arg| String::from_utf8_lossy(arg).into_owned())
            .collect(),
    )
}

/// Resident memory of process `pid`, bytes.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// What the first processor calls itself.
pub fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_owned())
}

/// All of the machine's memory, bytes.
pub fn memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// The kernel's release.
pub fn kernel() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned())
}

/// CPU cores.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Lets all threads of process `pid`, and those that they start, run on these cores only.
///
/// # Errors
/// When there is no such process, or it may not be told.
pub fn run_on(pid: u32, cores: Range<usize>) -> io::Result<()> {
    let mut set = CpuSet::new();
    cores.for_each(|core| set.set(core));
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?.file_name().to_string_lossy().parse().ok().and_then(Pid::from_raw);
        match sched_setaffinity(thread, &set) {
            // It has ended meanwhile.
            Err(rustix::io::Errno::SRCH) => {}
            told => told?,
        }
    }
    Ok(())
}

/// Lets this thread run only when nobody else wants to, or nearly so.
///
/// # Errors
/// When it may not say so.
pub fn give_way() -> io::Result<()> {
    const NICEST: i32 = 19;
    Ok(setpriority_process(Some(gettid()), NICEST)?)
}

/// While it lives, this thread goes before others on the machine, where the system allows that.
pub struct First;

impl First {
    /// From now on. Without the right to it nothing changes: whoever measures says how late it was.
    pub fn now() -> Self {
        const KEENEST: i32 = -15;
        let _allowed_or_not = setpriority_process(Some(gettid()), KEENEST);
        Self
    }
}

impl Drop for First {
    fn drop(&mut self) {
        let _allowed_or_not = setpriority_process(Some(gettid()), 0);
    }
}

/// Lets this process have as many open files as the system allows it.
///
/// # Errors
/// When fewer than `needed` are allowed.
pub fn raise_open_files(needed: usize) -> anyhow::Result<()> {
    let found = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: found.maximum, maximum: found.maximum })?;
    let allowed = found.maximum.unwrap_or(u64::MAX);
    anyhow::ensure!(allowed >= needed as u64, "{needed} files must be open at a time, and {allowed} may be");
    Ok(())
}

/// Bytes that may still be written to the file system that holds `path`.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes of disk that the files below `path` take, as `du` counts them. What vanishes meanwhile does not count.
pub fn disk_bytes(path: &Path) -> u64 {
    let Ok(found) = fs::symlink_metadata(path) else { return 0 };
    let own = found.blocks() * 512;
    let Ok(entries) = fs::read_dir(path) else { return own };
    own + entries.flatten().map(|entry| disk_bytes(&entry.path())).sum::<u64>()
}

/// What the device below `path` has done since boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Device {
    pub flushes: u64,
    pub bytes_written: u64,
}

/// Looks at the block device that holds `path`.
pub fn device(path: &Path) -> Option<Device> {
    let number = rustix::fs::stat(path).ok()?.st_dev;
    let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
    let link = format!("/sys/dev/block/{major}:{minor}");
    // Flushes are counted on the whole disk only.
    let stat = if Path::new(&format!("{link}/partition")).exists() {
        format!("{link}/../stat")
    } else {
        format!("{link}/stat")
    };
    parse_device(&fs::read_to_string(stat).ok()?)
}

fn parse_device(stat: &str) -> Option<Device> {
    const SECTOR: u64 = 512;
    let fields: Vec<u64> = stat.split_ascii_whitespace().filter_map(|text| text.parse().ok()).collect();
    Some(Device { flushes: *fields.get(15)?, bytes_written: fields.get(6)? * SECTOR })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_has_used_memory() {
        let me = std::process::id();
        assert!(process(me).is_some());
        assert!(resident_bytes(me).is_some_and(|bytes| bytes > 1 << 20));
        assert!(command_line(me).is_some_and(|line| !line.is_empty()));
    }

    #[test]
    fn what_files_take_is_counted_and_a_hole_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let before = disk_bytes(directory.path());
        fs::create_dir(directory.path().join("below")).expect("made");
        fs::write(directory.path().join("below/full"), vec![1; 1 << 20]).expect("written");
        let hole = fs::File::create(directory.path().join("hole")).expect("made");
        hole.set_len(1 << 30).expect("a hole");
        let taken = disk_bytes(directory.path()) - before;
        assert!((1 << 20..2 << 20).contains(&taken), "{taken}");
        assert!(free_bytes(directory.path()).is_some());
    }

    #[test]
    fn a_pid_that_nobody_has_is_none() {
        assert_eq!(process(u32::MAX >> 1), None);
    }

    #[test]
    fn a_disk_line_gives_flushes_and_bytes() {
        let line = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17";
        assert_eq!(parse_device(line), Some(Device { flushes: 16, bytes_written: 7 * 512 }));
        assert_eq!(parse_device("1 2 3"), None);
    }
}

//! The faults that the operating system does for us. Called on a marked node only.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rustix::process::{Signal, getpid, kill_process};
use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// The longest a process is made to stand still.
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// Bits that are turned over at a time.
const BITS_MAX: u64 = 100_000;

/// Ends this process as `kill -9` does.
pub(super) fn kill() -> io::Result<()> {
    Ok(kill_process(getpid(), Signal::KILL)?)
}

/// Stops this process where it is. A shell of its own lets it go on: it cannot itself.
pub(super) fn pause(lasts: Duration) -> io::Result<()> {
    let own = getpid().as_raw_nonzero();
    let seconds = lasts.min(PAUSE_MAX).as_secs_f64();
    let script = format!("kill -STOP {own}; sleep {seconds:.3}; kill -CONT {own}");
    let mut shell = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    // Waited for, so that nothing of it is left; the thread stands still with the process and goes on with it.
    std::thread::Builder::new().name("drill-pause".into()).spawn(move || drop(shell.wait()))?;
    Ok(())
}

/// Turns bits over in the files below `directory`.
pub(super) fn corrupt(directory: &Path, bits: u64, seed: u64) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let found = entry.metadata()?;
        if found.is_file() && found.len() > 0 {
            files.push((entry.path(), found.len()));
        }
    }
    files.sort();
    let mut dice = StdRng::seed_from_u64(seed);
    for _ in 0..bits.min(BITS_MAX) {
        if files.is_empty() {
            return Err(io::Error::other("there is no chunk to damage"));
        }
        let (path, len) = &files[dice.random_range(0..files.len())];
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let (at, mut byte) = (dice.random_range(0..*len), [0]);
        file.read_exact_at(&mut byte, at)?;
        byte[0] ^= 1 << dice.random_range(0..8_u32);
        file.write_all_at(&byte, at)?;
    }
    Ok(())
}

/// Takes disk space until no more than `leave` bytes are free, by the length of one file.
pub(super) fn fill(file: &Path, leave: u64) -> io::Result<()> {
    let filler = OpenOptions::new().create(true).truncate(false).write(true).open(file)?;
    let held = filler.metadata()?.len();
    let stat = rustix::fs::fstatvfs(&filler)?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize).saturating_add(held);
    let wanted = free.saturating_sub(leave);
    if wanted <= held {
        return filler.set_len(wanted);
    }
    Ok(rustix::fs::fallocate(&filler, rustix::fs::FallocateFlags::empty(), 0, wanted)?)
}

/// Writes a small file so that it is there, whole, after a crash.
pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

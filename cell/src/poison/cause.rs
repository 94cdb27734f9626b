//! Whether the last process ended by its own doing. A node that was killed from outside blames nobody.
//!
//! Two signs outlive a process: a byte that is written when it aborts (a failed allocation, an overflown stack and a C++
//! exception end in an abort), and the machine's count of processes that were killed because memory ran out.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

/// The file that holds the last known count.
const KILLS: &str = "memory-kills";

/// The count of the machine's out-of-memory kills, and which run of the machine it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kills {
    boot: String,
    count: u64,
}

/// Looks at what the last process left in `dir`, and arms the signs of this one. Answers whether the last one ended itself.
///
/// # Errors
/// When a file cannot be read or written, or the signal is not to be had.
pub fn arm(dir: &Path) -> io::Result<bool> {
    let (aborted, kills) = (dir.join("aborted"), dir.join(KILLS));
    let ended_itself = std::fs::metadata(&aborted).is_ok_and(|file| file.len() > 0);
    let (before, now) = (Kills::saved(&kills), Kills::now());
    let out_of_memory = match (&before, &now) {
        (Some(before), Some(now)) => before.boot == now.boot && before.count < now.count,
        (None, _) | (_, None) => false,
    };
    if let Some(now) = now {
        now.save(&kills)?;
    }
    let mark: File = OpenOptions::new().create(true).write(true).truncate(true).open(&aborted)?;
    mark_aborts(mark)?;
    Ok(ended_itself || out_of_memory)
}

/// Remembers how often the machine has killed for want of memory so far: while this process lives, it was others that were killed, and
/// a later end of this one from outside is not to be taken for theirs.
///
/// # Errors
/// When the file cannot be written.
pub fn remember(dir: &Path) -> io::Result<()> {
    let kills = dir.join(KILLS);
    match Kills::now() {
        Some(now) if Kills::saved(&kills).as_ref() != Some(&now) => now.save(&kills),
        Some(_) | None => Ok(()),
    }
}

/// Has one byte written into `mark` when the process aborts.
fn mark_aborts(mark: File) -> io::Result<()> {
    // Kept open for the life of the process: it is written when nothing else works any more.
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGABRT, mark).map(|_| ())
}

impl Kills {
    fn now() -> Option<Self> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        let counts = std::fs::read_to_string("/proc/vmstat").ok()?;
        let count = counts.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()?;
        Some(Self { boot, count })
    }

    fn saved(file: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(file).ok()?;
        let (boot, count) = text.split_once(' ')?;
        Some(Self { boot: boot.to_owned(), count: count.trim().parse().ok()? })
    }

    fn save(&self, file: &Path) -> io::Result<()> {
        std::fs::write(file, format!("{} {}", self.boot, self.count))
    }
}

//! A file system for tests that loses what was not synced: the power of its machine can be cut.
//!
//! The model, as strict as POSIX allows and no stricter than a journaling file system is:
//! - what a file holds is durable after `fsync` or `fdatasync` of that file, its length included;
//! - a name (created, linked, renamed, removed) is durable after `fsync` of its directory, and only then: syncing a file
//!   does not save its name. ext4 and XFS do save the name of a new file so; a store that counts on it loses nothing there,
//!   but is found here;
//! - a rename is one step, also between directories: never both names, never neither;
//! - the changes of one directory take effect in their order; directories and files are independent of each other;
//! - of unsynced changes a cut leaves, by the seed and for each file and directory alone: none, all, a first part with the
//!   last write torn, or any sectors of 512 bytes, each as it was at some moment; a length that grew without its bytes reads as zeros.
//!
//! A cut happens while nobody has the volume mounted: processes are killed, the volume is unmounted, cut, and mounted again.
//! Locks, `O_DIRECT`, holes, hard links and files that are open but have no name work as anywhere; shared memory maps, which
//! nothing here uses, do not. Knows nothing of clusters.

mod image;
mod mount;
mod names;
#[cfg(test)]
mod tests;
mod volume;

pub use mount::{Mount, works_here};
pub use volume::Volume;

/// The root directory of a volume, as FUSE numbers it.
pub const ROOT: Ino = 1;

/// Names a file or directory for as long as the volume exists; never reused.
pub type Ino = u64;

/// What a cut left behind and took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Files with unsynced changes.
    pub dirty_files: u64,
    /// Bytes written and not synced, before the cut.
    pub unsynced_bytes: u64,
    /// Of those, bytes that are gone.
    pub lost_bytes: u64,
    /// Names created, changed or removed and not synced, before the cut.
    pub unsynced_names: u64,
    /// Of those, changes that never happened.
    pub lost_names: u64,
}

impl std::ops::AddAssign for Losses {
    fn add_assign(&mut self, other: Self) {
        self.dirty_files += other.dirty_files;
        self.unsynced_bytes += other.unsynced_bytes;
        self.lost_bytes += other.lost_bytes;
        self.unsynced_names += other.unsynced_names;
        self.lost_names += other.lost_names;
    }
}

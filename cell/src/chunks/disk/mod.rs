//! Everything the chunk store asks of a disk. Knows files and bytes, no extents.
//!
//! Two implementations: [`RealDisk`], and [`FaultyDisk`], which loses, tears, flips and refuses as a seed tells it.

mod direct;
mod faulty;
mod real;

pub use faulty::{Fault, FaultyDisk};
pub use real::RealDisk;

use std::{
    io::{self, IoSlice},
    ops::Range,
    sync::Arc,
};

/// A directory of files on one disk.
pub trait Disk: Send + Sync {
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Creates a file of `len` bytes that reads as zeros and whose space is allocated.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] when there is no room for it, [`io::ErrorKind::AlreadyExists`] when the name is taken.
    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens an existing file.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file. Durable on return.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Not durable on return: after a crash it may be back.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Bytes that may still be allocated.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// One file. Positions are bytes from its start.
pub trait DiskFile: Send + Sync {
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Writes all of `buffers`, one after the other, from `offset` on. On an error any part may have been written. Not durable on return.
    fn write_at(&self, buffers: &mut [IoSlice<'_>], offset: u64) -> io::Result<()>;

    /// Appends exactly `len` bytes from `offset` on to `buffer`.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the file ends before.
    fn read_at(&self, buffer: &mut Vec<u8>, len: usize, offset: u64) -> io::Result<()>;

    /// Makes everything written durable. After an error nothing is known of any write since the last success, and a later success says
    /// nothing of them either: never retry.
    fn sync(&self) -> io::Result<()>;

    /// Makes later reads of bytes `range` come from the medium and not from memory: after a failed [`DiskFile::sync`], memory may hold what the
    /// medium does not, and what the medium has lost memory may still have. What is not written yet stays in memory.
    fn forget_cached(&self, range: Range<u64>) -> io::Result<()>;

    /// Cuts the file behind `len` bytes, or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

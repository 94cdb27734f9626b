//! A directory of a real file system.

use super::{
    Disk, DiskFile,
    direct::{Direct, Staging},
};
use bulkhead_service::directory;
use parking_lot::Mutex;
use rustix::fs::{Advice, FallocateFlags, FlockOperation};
use std::{
    fs::{File, OpenOptions},
    io::{self, IoSlice},
    num::NonZeroU64,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Held for as long as the directory is in use.
const LOCK: &str = "lock";
/// What one `pwritev` takes at most on Linux.
const BUFFERS_PER_WRITE_MAX: usize = 1024;

/// A directory, locked against other processes.
pub struct RealDisk {
    dir: PathBuf,
    /// Open for `fsync` of its entries.
    entries: Mutex<File>,
    staging: Arc<Mutex<Staging>>,
    _lock: File,
}

impl RealDisk {
    /// Creates `dir` when it is absent, and locks it.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when another process has it.
    pub fn open(dir: &Path) -> io::Result<Self> {
        directory::make(dir)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(dir.join(LOCK))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { dir: dir.to_owned(), entries: Mutex::new(File::open(dir)?), staging: Staging::shared(), _lock: lock })
    }
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_file() && name != LOCK {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.dir.join(name);
        let file = OpenOptions::new().create_new(true).read(true).write(true).open(&path)?;
        let prepared = rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, len)
            .map_err(io::Error::from)
            .and_then(|()| Direct::open(&path, &self.staging));
        match prepared {
            Ok(direct) => Ok(Arc::new(RealFile { file, direct })),
            Err(error) => {
                // A part may have been allocated. Should this fail as well, it is the next open that removes what was not finished.
                drop(std::fs::remove_file(path));
                Err(error)
            }
        }
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.dir.join(name))?;
        // It is written to once more at most: a footer.
        Ok(Arc::new(RealFile { file, direct: None }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.dir.join(from), self.dir.join(to))?;
        self.entries.lock().sync_all()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.dir.join(name))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

struct RealFile {
    file: File,
    direct: Option<Direct>,
}

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn write_at(&self, buffers: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        if let Some(direct) = &self.direct
            && direct.write_at(buffers, offset)?
        {
            return Ok(());
        }
        let (mut rest, mut offset) = (buffers, offset);
        while rest.iter().any(|buffer| !buffer.is_empty()) {
            let count = rest.len().min(BUFFERS_PER_WRITE_MAX);
            match rustix::io::pwritev(&self.file, &rest[..count], offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    IoSlice::advance_slices(&mut rest, written);
                    offset += written as u64;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut Vec<u8>, len: usize, offset: u64) -> io::Result<()> {
        let end = buffer.len() + len;
        let begin = buffer.len();
        buffer.reserve_exact(len);
        while buffer.len() < end {
            let at = offset + (buffer.len() - begin) as u64;
            match rustix::io::pread(&self.file, rustix::buffer::spare_capacity(buffer), at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        buffer.truncate(end);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        bulkhead_service::drill::faults().flushing();
        Ok(rustix::fs::fdatasync(&self.file)?)
    }

    fn forget_cached(&self, range: Range<u64>) -> io::Result<()> {
        // A length of zero would mean everything behind.
        let Some(len) = NonZeroU64::new(range.end.saturating_sub(range.start)) else { return Ok(()) };
        Ok(rustix::fs::fadvise(&self.file, range.start, Some(len), Advice::DontNeed)?)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_use_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let _held = RealDisk::open(dir.path()).expect("free");
        let refused = RealDisk::open(dir.path()).err().expect("in use");
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn many_buffers_are_written_in_order_and_read_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = RealDisk::open(dir.path()).expect("free");
        let file = disk.create("a", 1 << 20).expect("created");
        let pieces: Vec<Vec<u8>> =
            (0..3_000_usize).map(|i| vec![u8::try_from(i % 251).expect("below 251"); i % 7]).collect();
        let mut buffers: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        file.write_at(&mut buffers, 17).expect("written");
        let whole = pieces.concat();
        let mut read = b"before".to_vec();
        disk.open("a").expect("there").read_at(&mut read, whole.len(), 17).expect("read");
        assert_eq!(&read[6..], whole);
        let mut behind = Vec::new();
        let error = file.read_at(&mut behind, 2, (1 << 20) - 1).expect_err("one byte is there");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    /// A chunk's pages go past the page cache, a footer's bytes through it, and both are read through it.
    #[test]
    fn whole_pages_and_other_bytes_are_written_beside_each_other() {
        const PAGE: usize = 4096;
        let dir = tempfile::tempdir().expect("a directory");
        let disk = RealDisk::open(dir.path()).expect("free");
        let file = disk.create("a", 32 << 20).expect("created");
        let read = |len, offset| {
            let mut bytes = Vec::new();
            file.read_at(&mut bytes, len, offset).expect("read");
            bytes
        };
        let large: Vec<u8> = (0..crate::limits::DIRECT_WRITE_BYTES + 3 * PAGE).map(|at| (at / 7 % 251) as u8).collect();
        assert_eq!(read(PAGE, PAGE as u64), [0; PAGE], "what is read ahead is not there afterwards");
        let (head, rest) = large.split_at(17);
        file.write_at(&mut [IoSlice::new(head), IoSlice::new(rest)], PAGE as u64).expect("whole pages");
        let end = (PAGE + large.len()) as u64;
        file.write_at(&mut [IoSlice::new(b"a footer")], end).expect("some bytes");
        file.write_at(&mut [IoSlice::new(&[9; PAGE])], 0).expect("a page before them");
        file.sync().expect("synced");
        assert!(read(large.len(), PAGE as u64) == large);
        assert_eq!((read(8, end), read(PAGE, 0)), (b"a footer".to_vec(), vec![9; PAGE]));
    }
}

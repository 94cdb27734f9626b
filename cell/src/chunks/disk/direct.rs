//! Writes past the page cache (`O_DIRECT`): see [ADR 16](../../../../docs/adr/0016-chunks-past-the-page-cache.md).
//!
//! Whole pages only, gathered in aligned memory that a disk's files share. Says nothing of durability: a sync follows, as after any write.

use crate::{chunks::format::PAGE_BYTES, limits::DIRECT_WRITE_BYTES};
use parking_lot::Mutex;
use rustix::{fs::OFlags, io::Errno};
use std::{
    fs::{File, OpenOptions},
    io::{self, IoSlice},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// What addresses, lengths and positions are multiples of: at least the logical block of any disk.
const ALIGNMENT: usize = PAGE_BYTES as usize;
const _: () = assert!(DIRECT_WRITE_BYTES.is_multiple_of(ALIGNMENT));

/// Aligned memory of [`DIRECT_WRITE_BYTES`].
pub struct Staging {
    bytes: Vec<u8>,
    start: usize,
}

impl Staging {
    /// To be shared by the files of one disk, which has one writer.
    pub fn shared() -> Arc<Mutex<Self>> {
        let bytes = vec![0; DIRECT_WRITE_BYTES + ALIGNMENT];
        let start = bytes.as_ptr().align_offset(ALIGNMENT);
        Arc::new(Mutex::new(Self { bytes, start }))
    }

    fn area(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..][..DIRECT_WRITE_BYTES]
    }
}

/// A file's second descriptor, for writes of whole pages.
pub struct Direct {
    file: File,
    staging: Arc<Mutex<Staging>>,
    /// The file system takes no such writes after all.
    refused: AtomicBool,
}

impl Direct {
    /// Of an existing file; `None` when its file system knows no such writes.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path, staging: &Arc<Mutex<Staging>>) -> io::Result<Option<Self>> {
        let flags = i32::try_from(OFlags::DIRECT.bits()).expect("a flag of open(2) fits its argument");
        match OpenOptions::new().write(true).custom_flags(flags).open(path) {
            Ok(file) => Ok(Some(Self { file, staging: Arc::clone(staging), refused: AtomicBool::new(false) })),
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes `buffers` from `offset` on, if they are whole pages and the file system takes them; `false` when nothing was written and they
    /// have to be written in another way.
    ///
    /// # Errors
    /// Any part may have been written.
    pub fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<bool> {
        let bytes: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        let is_whole = offset.is_multiple_of(ALIGNMENT as u64) && bytes.is_multiple_of(ALIGNMENT);
        if !is_whole || self.refused.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let mut staging = self.staging.lock();
        let area = staging.area();
        let (mut filled, mut at) = (0, offset);
        for buffer in buffers {
            let mut rest: &[u8] = buffer;
            while !rest.is_empty() {
                let (taken, left) = rest.split_at(rest.len().min(area.len() - filled));
                area[filled..][..taken.len()].copy_from_slice(taken);
                (filled, rest) = (filled + taken.len(), left);
                if filled == area.len() {
                    if !self.write(area, at, at == offset)? {
                        return Ok(false);
                    }
                    (filled, at) = (0, at + filled as u64);
                }
            }
        }
        self.write(&area[..filled], at, at == offset)
    }

    /// `false` when it is the first of a write and the file system does not take it.
    fn write(&self, bytes: &[u8], at: u64, is_first: bool) -> io::Result<bool> {
        let mut written = 0;
        while written < bytes.len() {
            match rustix::io::pwrite(&self.file, &bytes[written..], at + written as u64) {
                // Cut short within a page, the rest could not be written in this way, nor be told from a failure.
                Ok(some) if some == 0 || !some.is_multiple_of(ALIGNMENT) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(some) => written += some,
                Err(Errno::INTR) => {}
                Err(Errno::INVAL) if is_first && written == 0 => {
                    tracing::warn!("the file system takes no direct writes: chunks go through the page cache");
                    self.refused.store(true, Ordering::Relaxed);
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

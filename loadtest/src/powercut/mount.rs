//! A volume under a mount point, by FUSE: system calls in, answers out. Decides nothing.

use super::{Ino, Losses, Volume, volume::Status};
use crate::{clock, limits::UNMOUNT_PATIENCE};
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use parking_lot::Mutex;
use rustix::mount::UnmountFlags;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

/// The kernel is the only one that changes anything, so what it knows stays true.
const KNOWN_FOR: Duration = Duration::from_secs(3600);
const BLOCK: u32 = 4096;

/// A mounted volume. Dropping it unmounts.
#[derive(Debug)]
pub struct Mount {
    point: PathBuf,
    volume: Arc<Mutex<Volume>>,
    /// `None` only while the power is gone.
    session: Option<BackgroundSession>,
}

impl Mount {
    /// Mounts `volume` at the directory `point`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new(volume: Volume, point: &Path) -> io::Result<Self> {
        let mut mount = Self { point: point.to_owned(), volume: Arc::new(Mutex::new(volume)), session: None };
        mount.attach()?;
        Ok(mount)
    }

    /// Where it is mounted.
    pub fn point(&self) -> &Path {
        &self.point
    }

    /// The power goes and comes back: unmounts, loses what was not synced, mounts again. No process may use it.
    ///
    /// # Errors
    /// When something still uses it, or the kernel refuses.
    pub async fn power_cut(&mut self) -> io::Result<Losses> {
        let mut last = Ok(());
        // The last threads of a killed process may still be closing their files.
        let unmounted = clock::wait_until(UNMOUNT_PATIENCE, async || {
            last = rustix::mount::unmount(&self.point, UnmountFlags::empty());
            last != Err(rustix::io::Errno::BUSY)
        });
        unmounted.await;
        last?;
        if let Some(session) = self.session.take() {
            session.join()?;
        }
        let losses = self.volume.lock().cut()?;
        self.attach()?;
        Ok(losses)
    }

    fn attach(&mut self) -> io::Result<()> {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("powercut".into())];
        let served = Served { volume: self.volume.clone(), listings: Mutex::default() };
        self.session = Some(fuser::spawn_mount(served, &self.point, &config)?);
        Ok(())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Whoever still has a file open keeps it; the name goes at once.
        if let Err(error) = rustix::mount::unmount(&self.point, UnmountFlags::DETACH) {
            eprintln!("{} stays mounted: {error}", self.point.display());
        }
    }
}

/// Whether file systems can be mounted here; else why not.
///
/// # Errors
/// What the kernel said.
pub fn works_here() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let (store, point) = (directory.path().join("store"), directory.path().join("point"));
    std::fs::create_dir(&store)?;
    std::fs::create_dir(&point)?;
    Mount::new(Volume::new(&store, 0), &point)?;
    Ok(())
}

/// What the kernel asks. Files are opened past its page cache: with it, `stat` can tell a length that a read at the same moment
/// does not see yet, which no other file system does.
struct Served {
    volume: Arc<Mutex<Volume>>,
    /// Open directories, as they were when they were opened: removing while listing must not skip entries.
    listings: Mutex<Listings>,
}

#[derive(Default)]
struct Listings {
    last: u64,
    open: BTreeMap<u64, Vec<(Ino, FileType, String)>>,
}

fn refusal(error: rustix::io::Errno) -> Errno {
    Errno::from_i32(error.raw_os_error())
}

fn text(name: &OsStr) -> Result<&str, rustix::io::Errno> {
    name.to_str().ok_or(rustix::io::Errno::ILSEQ)
}

fn attributes(status: &Status) -> FileAttr {
    FileAttr {
        ino: INodeNo(status.ino),
        size: status.len,
        blocks: status.len.div_ceil(512),
        atime: status.changed,
        mtime: status.changed,
        ctime: status.changed,
        crtime: status.changed,
        kind: kind(status.directory),
        perm: status.mode,
        nlink: status.links,
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    }
}

fn kind(directory: bool) -> FileType {
    if directory { FileType::Directory } else { FileType::RegularFile }
}

fn answer_entry(reply: ReplyEntry, result: Result<Status, rustix::io::Errno>) {
    match result {
        Ok(status) => reply.entry(&KNOWN_FOR, &attributes(&status), Generation(0)),
        Err(error) => reply.error(refusal(error)),
    }
}

fn answer(reply: ReplyEmpty, result: Result<(), rustix::io::Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(refusal(error)),
    }
}

fn answer_attributes(reply: ReplyAttr, result: Result<Status, rustix::io::Errno>) {
    match result {
        Ok(status) => reply.attr(&KNOWN_FOR, &attributes(&status)),
        Err(error) => reply.error(refusal(error)),
    }
}

fn permissions(mode: u32, umask: u32) -> u16 {
    (mode & !umask & 0o7777) as u16
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let volume = self.volume.lock();
        answer_entry(reply, text(name).and_then(|name| volume.lookup(parent.0, name)));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer_attributes(reply, self.volume.lock().status(ino.0));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut volume = self.volume.lock();
        if let Some(mode) = mode {
            volume.set_mode(ino.0, permissions(mode, 0));
        }
        let set = size.map_or(Ok(()), |size| volume.set_len(ino.0, size));
        answer_attributes(reply, set.and_then(|()| volume.status(ino.0)));
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let mut volume = self.volume.lock();
        answer_entry(reply, text(name).and_then(|name| volume.mkdir(parent.0, name, permissions(mode, umask))));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let mut volume = self.volume.lock();
        answer(reply, text(name).and_then(|name| volume.unlink(parent.0, name)));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let mut volume = self.volume.lock();
        answer(reply, text(name).and_then(|name| volume.rmdir(parent.0, name)));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let replace = flags.is_empty();
        if !replace && flags != RenameFlags::RENAME_NOREPLACE {
            return reply.error(Errno::EINVAL);
        }
        let mut volume = self.volume.lock();
        let names = text(name).and_then(|from| Ok((from, text(newname)?)));
        answer(reply, names.and_then(|(from, to)| volume.rename((parent.0, from), (newparent.0, to), replace)));
    }

    fn link(&self, _: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        let mut volume = self.volume.lock();
        answer_entry(reply, text(newname).and_then(|name| volume.link(ino.0, newparent.0, name)));
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.volume.lock().open(ino.0) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(error) => reply.error(refusal(error)),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let mut volume = self.volume.lock();
        let created = text(name).and_then(|name| volume.create(parent.0, name, permissions(mode, umask)));
        match created.and_then(|status| volume.open(status.ino).map(|()| status)) {
            Ok(status) => {
                let attributes = attributes(&status);
                reply.created(&KNOWN_FOR, &attributes, Generation(0), FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
            }
            Err(error) => reply.error(refusal(error)),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.volume.lock().read(ino.0, offset, size as usize) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(refusal(error)),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.volume.lock().write(ino.0, offset, data) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(refusal(error)),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // `close` makes nothing durable.
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.volume.lock().close(ino.0);
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        // Before the answer, and under the lock: whoever is told that it is durable can rely on it.
        answer(reply, self.volume.lock().fsync(ino.0));
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        answer(reply, self.volume.lock().fsync(ino.0));
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let volume = self.volume.lock();
        let entries = match volume.entries(ino.0) {
            Ok(entries) => entries,
            Err(error) => return reply.error(refusal(error)),
        };
        let own = [".", ".."].map(|name| (ino.0, FileType::Directory, name.to_owned()));
        let named = entries.iter().map(|(name, named)| {
            let directory = volume.entries(*named).is_ok();
            (*named, kind(directory), name.clone())
        });
        let mut listings = self.listings.lock();
        listings.last += 1;
        let handle = listings.last;
        listings.open.insert(handle, own.into_iter().chain(named).collect());
        reply.opened(FileHandle(handle), FopenFlags::empty());
    }

    fn readdir(&self, _: &Request, _: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listings = self.listings.lock();
        let entries = listings.open.get(&fh.0).map(Vec::as_slice).unwrap_or_default();
        for ((ino, kind, name), next) in entries.iter().zip(1..).skip(offset as usize) {
            if reply.add(INodeNo(*ino), next, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, fh: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.listings.lock().open.remove(&fh.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        // What is free is free below.
        match rustix::fs::statvfs(self.volume.lock().store()) {
            Ok(below) => reply.statfs(
                below.f_blocks,
                below.f_bfree,
                below.f_bavail,
                below.f_files,
                below.f_ffree,
                below.f_bsize as u32,
                255,
                below.f_frsize as u32,
            ),
            Err(error) => reply.error(refusal(error)),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        const KEEP: i32 = 1;
        const PUNCH: i32 = 2;
        const ZERO: i32 = 16;
        let mut volume = self.volume.lock();
        let result = match mode {
            0 | KEEP => volume.allocate(ino.0, offset, length, mode == KEEP),
            mode if mode == PUNCH | KEEP || mode == ZERO | KEEP => volume.zero(ino.0, offset, length),
            _ => Err(rustix::io::Errno::OPNOTSUPP),
        };
        answer(reply, result);
    }
}

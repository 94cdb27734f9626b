//! A volume: names and files, as processes see them and as a cut leaves them.

use super::{
    Ino, Losses, ROOT,
    image::Image,
    names::{Entries, Names},
};
use crate::clock;
use rand::{SeedableRng as _, rngs::StdRng};
use rustix::io::Errno;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A file or directory, as `stat` tells it.
#[derive(Debug, Clone, Copy)]
pub struct Status {
    pub ino: Ino,
    pub directory: bool,
    pub len: u64,
    pub links: u32,
    pub mode: u16,
    pub changed: SystemTime,
}

/// Everything of one mount point.
#[derive(Debug)]
pub struct Volume {
    store: PathBuf,
    names: Names,
    files: BTreeMap<Ino, Image>,
    modes: BTreeMap<Ino, u16>,
    changed: BTreeMap<Ino, SystemTime>,
    open: BTreeMap<Ino, u64>,
    last: Ino,
    dice: StdRng,
}

/// Like the system calls of the same names; what they refuse is refused with the same errors.
impl Volume {
    /// An empty volume that keeps durable bytes in the directory `store`, which must be empty.
    pub fn new(store: &Path, seed: u64) -> Self {
        Self {
            store: store.to_owned(),
            names: Names::new(),
            files: BTreeMap::new(),
            modes: BTreeMap::from([(ROOT, 0o700)]),
            changed: BTreeMap::new(),
            open: BTreeMap::new(),
            last: ROOT,
            dice: StdRng::seed_from_u64(seed),
        }
    }

    /// The power goes. Nobody may have the volume mounted.
    ///
    /// # Errors
    /// When the durable bytes cannot be written.
    pub fn cut(&mut self) -> std::io::Result<Losses> {
        self.open.clear();
        let mut losses = self.names.cut(&mut self.dice);
        self.forget_unneeded();
        for image in self.files.values_mut() {
            losses += image.cut(&mut self.dice)?;
        }
        Ok(losses)
    }

    /// Where the durable bytes are.
    pub fn store(&self) -> &Path {
        &self.store
    }

    pub fn lookup(&self, dir: Ino, name: &str) -> Result<Status, Errno> {
        self.status(self.find(dir, name)?)
    }

    pub fn status(&self, ino: Ino) -> Result<Status, Errno> {
        let directory = self.names.is_directory(ino);
        let len = match self.files.get(&ino) {
            Some(image) => image.len(),
            None if directory => 4096,
            None => return Err(Errno::NOENT),
        };
        let links = if directory { 2 } else { self.names.links(ino) as u32 };
        let mode = self.modes.get(&ino).copied().unwrap_or(0o600);
        let changed = self.changed.get(&ino).copied().unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(Status { ino, directory, len, links, mode, changed })
    }

    pub fn entries(&self, dir: Ino) -> Result<&Entries, Errno> {
        self.names.entries(dir).ok_or(Errno::NOTDIR)
    }

    pub fn create(&mut self, dir: Ino, name: &str, mode: u16) -> Result<Status, Errno> {
        let ino = self.new_name(dir, name)?;
        let image = Image::create(&self.file(ino)).map_err(errno)?;
        self.files.insert(ino, image);
        self.begin(dir, name, ino, mode)
    }

    pub fn mkdir(&mut self, dir: Ino, name: &str, mode: u16) -> Result<Status, Errno> {
        let ino = self.new_name(dir, name)?;
        self.names.make_directory(ino);
        self.begin(dir, name, ino, mode)
    }

    pub fn link(&mut self, ino: Ino, dir: Ino, name: &str) -> Result<Status, Errno> {
        if self.names.is_directory(ino) {
            return Err(Errno::PERM);
        }
        self.absent(dir, name)?;
        self.names.add(dir, name, ino);
        self.status(ino)
    }

    pub fn unlink(&mut self, dir: Ino, name: &str) -> Result<(), Errno> {
        if self.names.is_directory(self.find(dir, name)?) {
            return Err(Errno::ISDIR);
        }
        self.names.remove(dir, name);
        Ok(())
    }

    pub fn rmdir(&mut self, dir: Ino, name: &str) -> Result<(), Errno> {
        let ino = self.find(dir, name)?;
        if !self.entries(ino)?.is_empty() {
            return Err(Errno::NOTEMPTY);
        }
        self.names.remove(dir, name);
        Ok(())
    }

    pub fn rename(&mut self, from: (Ino, &str), to: (Ino, &str), replace: bool) -> Result<(), Errno> {
        let ino = self.find(from.0, from.1)?;
        match self.find(to.0, to.1) {
            Ok(_) if !replace => return Err(Errno::EXIST),
            Ok(there) if there == ino => return Ok(()),
            Ok(there) => match (self.names.is_directory(ino), self.names.is_directory(there)) {
                (true, false) => return Err(Errno::NOTDIR),
                (false, true) => return Err(Errno::ISDIR),
                (true, true) if !self.entries(there)?.is_empty() => return Err(Errno::NOTEMPTY),
                (true, true) | (false, false) => {}
            },
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
        self.names.rename(from, to, ino);
        Ok(())
    }

    pub fn open(&mut self, ino: Ino) -> Result<(), Errno> {
        self.status(ino)?;
        *self.open.entry(ino).or_default() += 1;
        Ok(())
    }

    pub fn close(&mut self, ino: Ino) {
        let Some(count) = self.open.get_mut(&ino) else { return };
        *count -= 1;
        if *count == 0 {
            self.open.remove(&ino);
            if self.names.links(ino) == 0 {
                self.forget_unneeded();
            }
        }
    }

    pub fn read(&self, ino: Ino, at: u64, size: usize) -> Result<Vec<u8>, Errno> {
        self.files.get(&ino).ok_or(Errno::NOENT)?.read(at, size).map_err(errno)
    }

    pub fn write(&mut self, ino: Ino, at: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.image(ino)?.write(at, bytes).map_err(errno)
    }

    pub fn set_len(&mut self, ino: Ino, len: u64) -> Result<(), Errno> {
        self.image(ino)?.set_len(len).map_err(errno)
    }

    pub fn set_mode(&mut self, ino: Ino, mode: u16) {
        self.modes.insert(ino, mode);
    }

    /// Space is never short here; what is left of `fallocate` is the length, and holes.
    pub fn allocate(&mut self, ino: Ino, at: u64, len: u64, keep_length: bool) -> Result<(), Errno> {
        let image = self.image(ino)?;
        let end = at.checked_add(len).ok_or(Errno::FBIG)?;
        if keep_length || end <= image.len() { Ok(()) } else { image.set_len(end).map_err(errno) }
    }

    pub fn zero(&mut self, ino: Ino, at: u64, len: u64) -> Result<(), Errno> {
        self.image(ino)?.zero(at, len).map_err(errno)
    }

    pub fn fsync(&mut self, ino: Ino) -> Result<(), Errno> {
        if self.names.is_directory(ino) {
            self.names.sync(ino);
            self.forget_unneeded();
            return Ok(());
        }
        self.files.get_mut(&ino).ok_or(Errno::NOENT)?.sync().map_err(errno)
    }

    fn find(&self, dir: Ino, name: &str) -> Result<Ino, Errno> {
        self.entries(dir)?.get(name).copied().ok_or(Errno::NOENT)
    }

    fn absent(&self, dir: Ino, name: &str) -> Result<(), Errno> {
        match self.find(dir, name) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn new_name(&mut self, dir: Ino, name: &str) -> Result<Ino, Errno> {
        self.absent(dir, name)?;
        self.last += 1;
        Ok(self.last)
    }

    fn begin(&mut self, dir: Ino, name: &str, ino: Ino, mode: u16) -> Result<Status, Errno> {
        self.modes.insert(ino, mode);
        self.changed.insert(ino, clock::wall().into());
        self.names.add(dir, name, ino);
        self.status(ino)
    }

    /// A file that is about to change.
    fn image(&mut self, ino: Ino) -> Result<&mut Image, Errno> {
        self.changed.insert(ino, clock::wall().into());
        self.files.get_mut(&ino).ok_or(Errno::NOENT)
    }

    /// Deletes files that nobody can reach, not even after a cut.
    fn forget_unneeded(&mut self) {
        let needed = self.names.needed();
        let unneeded: Vec<Ino> =
            self.files.keys().filter(|ino| !needed.contains(ino) && !self.open.contains_key(ino)).copied().collect();
        for ino in unneeded {
            self.files.remove(&ino);
            self.modes.remove(&ino);
            self.changed.remove(&ino);
            if let Err(error) = std::fs::remove_file(self.file(ino)) {
                eprintln!("{} stays: {error}", self.file(ino).display());
            }
        }
    }

    fn file(&self, ino: Ino) -> PathBuf {
        self.store.join(ino.to_string())
    }
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

//! Directories that are whole or absent: synced copies, renames and replacements.
//!
//! Nothing here is visible under its final name before its bytes are on stable storage.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// What lies in a directory, by path.
pub fn children(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    found.sort();
    Ok(found)
}

/// Syncs a file, or the names in a directory.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Syncs every file and directory below `dir`, and `dir`.
pub fn sync_tree(dir: &Path) -> io::Result<()> {
    for path in children(dir)? {
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            sync(&path)?;
        }
    }
    sync(dir)
}

/// Gives a whole, synced directory or file its final name.
pub fn publish(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync(parent(to)?)
}

/// Replaces a small file: the old bytes or the new ones, never neither.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("tmp");
    fs::write(&new, bytes)?;
    sync(&new)?;
    publish(&new, path)
}

/// Makes `to` the same database as `from`: immutable files are linked, the others copied, everything synced.
pub fn link(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for path in children(from)? {
        let Some(name) = path.file_name() else { continue };
        let target = to.join(name);
        let immutable = path.extension().is_some_and(|extension| extension == "sst" || extension == "blob");
        if immutable {
            fs::hard_link(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    sync_tree(to)?;
    sync(parent(to)?)
}

/// Deletes everything in a directory.
pub fn empty(dir: &Path) -> io::Result<()> {
    for path in children(dir)? {
        if path.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
    }
    Ok(())
}

fn parent(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::Error::other(format!("{} has no parent", path.display())))
}

/// A directory that goes with its last user, once it has been doomed.
#[derive(Debug)]
pub struct Doomed {
    pub dir: PathBuf,
    doomed: std::sync::atomic::AtomicBool,
}

impl Doomed {
    /// A directory that stays, until it is doomed.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, doomed: std::sync::atomic::AtomicBool::new(false) }
    }

    /// To be deleted when its last user is gone.
    pub fn doom(&self) {
        self.doomed.store(true, std::sync::atomic::Ordering::Release);
    }

    /// To stay after all.
    pub fn spare(&self) {
        self.doomed.store(false, std::sync::atomic::Ordering::Release);
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        if !*self.doomed.get_mut() {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            // Found and deleted at the next start.
            tracing::warn!(dir = %self.dir.display(), %error, "a directory that is no longer needed stays");
        }
    }
}

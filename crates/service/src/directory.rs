//! Directories whose names survive a power failure.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Makes a directory, with those it lies in, and puts its name and theirs on stable storage. One that is there already may have
/// been made by a process that ended before its name was: all names are synced in any case.
///
/// # Errors
/// When a directory cannot be made or synced.
pub fn make(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let whole: PathBuf = std::path::absolute(dir)?;
    for above in whole.ancestors().skip(1) {
        match File::open(above) {
            Ok(names) => names.sync_all()?,
            // What this process may not even read was not made by it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_made_with_all_above_it_and_may_be_there() {
        let root = tempfile::tempdir().expect("a directory");
        let dir = root.path().join("a/b/c");
        make(&dir).expect("made");
        make(&dir).expect("there already");
        assert!(dir.is_dir());
        fs::write(dir.join("file"), "").expect("written");
        assert!(make(&dir.join("file")).is_err(), "a file is no directory");
    }
}

//! The table on disk, so that a router starts and serves while the control plane is away.
//!
//! A file is either whole or the one before it: written aside, synced, renamed over, and the directory synced. Format 2 is the table's
//! [`binary`] form, written and read piece by piece. Format 1 was JSON, and is read where there is no other.

use bulkhead_model::{
    RoutingTable,
    routing::{Malformed, binary},
};
use serde::Deserialize;
use std::{
    fs::{self, File},
    io::{self, BufWriter, Read as _, Write as _},
    path::{Path, PathBuf},
};

/// Format 2.
const NAME: &str = "routing.table";
/// Format 1.
const NAME_1: &str = "routing.json";
/// Read at a time.
const PIECE_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
struct Saved1 {
    format: u32,
    table: RoutingTable,
}

/// Why the saved table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    #[error("{} cannot be used: {why}", file.display())]
    Io { file: PathBuf, why: io::Error },
    #[error("{} is not a routing table: {why}", file.display())]
    Malformed { file: PathBuf, why: String },
    #[error("{} has format {found}; a file of this name has format 1", file.display())]
    Format { file: PathBuf, found: u32 },
}

/// The table saved below `dir`; `None` when there is none.
///
/// # Errors
/// When there is one that cannot be read.
pub fn load(dir: &Path) -> Result<Option<RoutingTable>, SavedError> {
    let file = dir.join(NAME);
    match File::open(&file) {
        Ok(opened) => read(&file, opened).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => load_1(dir),
        Err(why) => Err(SavedError::Io { file, why }),
    }
}

fn read(file: &Path, mut opened: File) -> Result<RoutingTable, SavedError> {
    let malformed = |why: Malformed| SavedError::Malformed { file: file.to_owned(), why: why.to_string() };
    let mut decoder = binary::Decoder::new(&RoutingTable::default());
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = opened.read(&mut piece).map_err(|why| SavedError::Io { file: file.to_owned(), why })?;
        if read == 0 {
            return decoder.finish().map_err(malformed);
        }
        decoder.push(&piece[..read]).map_err(malformed)?;
    }
}

fn load_1(dir: &Path) -> Result<Option<RoutingTable>, SavedError> {
    let file = dir.join(NAME_1);
    let bytes = match fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(SavedError::Io { file, why }),
    };
    match serde_json::from_slice::<Saved1>(&bytes) {
        Ok(saved) if saved.format == 1 => Ok(Some(saved.table)),
        Ok(saved) => Err(SavedError::Format { file, found: saved.format }),
        Err(why) => Err(SavedError::Malformed { file, why: why.to_string() }),
    }
}

/// Saves the table below `dir`, which is made when it is not there. When this returns, the file survives a crash.
///
/// # Errors
/// When the file cannot be written; the one before it is still there.
pub fn save(dir: &Path, table: &RoutingTable) -> Result<(), SavedError> {
    let file = dir.join(NAME);
    write(dir, &file, table).map_err(|why| SavedError::Io { file, why })
}

fn write(dir: &Path, file: &Path, table: &RoutingTable) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let aside = dir.join(format!("{NAME}.tmp"));
    let mut written = BufWriter::new(File::create(&aside)?);
    for piece in binary::pieces(table) {
        written.write_all(&piece)?;
    }
    written.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&aside, file)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::AccountId;

    fn table() -> RoutingTable {
        let mut table = RoutingTable { version: 7, ..RoutingTable::default() };
        table.buckets.insert("b".into(), AccountId::new(AccountId::FIRST).expect("in range"));
        table
    }

    #[test]
    fn a_saved_table_is_read_back() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let below = dir.path().join("not/there/yet");
        assert!(load(&below).expect("no table").is_none());
        save(&below, &RoutingTable::default()).expect("writable");
        save(&below, &table()).expect("writable");
        assert_eq!(load(&below).expect("a table"), Some(table()));
    }

    #[test]
    fn format_1_stays_readable() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let golden =
            r#"{"format":1,"table":{"version":7,"cells":{},"accounts":{},"buckets":{"b":"100000000000"},"keys":{}}}"#;
        fs::write(dir.path().join(NAME_1), golden).expect("writable");
        assert_eq!(load(dir.path()).expect("a table"), Some(table()));
        let newer = RoutingTable { version: 8, ..table() };
        save(dir.path(), &newer).expect("writable");
        assert_eq!(load(dir.path()).expect("a table"), Some(newer), "what is saved now counts");
    }

    #[test]
    fn a_torn_write_leaves_the_table_before_it() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        save(dir.path(), &table()).expect("writable");
        fs::write(dir.path().join(format!("{NAME}.tmp")), "BHRT").expect("writable");
        assert_eq!(load(dir.path()).expect("a table"), Some(table()));
    }

    #[test]
    fn a_file_that_is_no_table_is_named_not_ignored() {
        for (name, content) in [
            (NAME, "BHRT"),
            (NAME, ""),
            (NAME_1, "{"),
            (NAME_1, r#"{"format":2,"table":{"version":7,"cells":{},"accounts":{},"buckets":{},"keys":{}}}"#),
        ] {
            let dir = tempfile::tempdir().expect("a temporary directory");
            fs::write(dir.path().join(name), content).expect("writable");
            let error = load(dir.path()).expect_err("not usable").to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}

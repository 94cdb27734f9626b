//! The table on disk, so that a router starts and serves while the control plane is away.
//!
//! A file is either whole or the one before it: written aside, synced, renamed over, and the directory synced. Format 1 is
//! JSON with the format's number beside the table.

use bulkhead_model::RoutingTable;
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

const FORMAT: u32 = 1;
const NAME: &str = "routing.json";

#[derive(Serialize, Deserialize)]
struct Saved<'a> {
    format: u32,
    table: Cow<'a, RoutingTable>,
}

/// Why the saved table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    #[error("{} cannot be used: {why}", file.display())]
    Io { file: PathBuf, why: io::Error },
    #[error("{} is not a routing table: {why}", file.display())]
    Malformed { file: PathBuf, why: serde_json::Error },
    #[error("{} has format {found}; this router reads format {FORMAT}", file.display())]
    Format { file: PathBuf, found: u32 },
}

/// The table saved below `dir`; `None` when there is none.
///
/// # Errors
/// When there is one that cannot be read.
pub fn load(dir: &Path) -> Result<Option<RoutingTable>, SavedError> {
    let file = dir.join(NAME);
    let bytes = match fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(SavedError::Io { file, why }),
    };
    match serde_json::from_slice::<Saved<'_>>(&bytes) {
        Ok(saved) if saved.format == FORMAT => Ok(Some(saved.table.into_owned())),
        Ok(saved) => Err(SavedError::Format { file, found: saved.format }),
        Err(why) => Err(SavedError::Malformed { file, why }),
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
    let mut written = File::create(&aside)?;
    written.write_all(&serde_json::to_vec(&Saved { format: FORMAT, table: Cow::Borrowed(table) })?)?;
    written.sync_all()?;
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
        fs::write(dir.path().join(NAME), golden).expect("writable");
        assert_eq!(load(dir.path()).expect("a table"), Some(table()));
    }

    #[test]
    fn a_torn_write_leaves_the_table_before_it() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        save(dir.path(), &table()).expect("writable");
        fs::write(dir.path().join(format!("{NAME}.tmp")), "{\"format\":1,\"tab").expect("writable");
        assert_eq!(load(dir.path()).expect("a table"), Some(table()));
    }

    #[test]
    fn a_file_that_is_no_table_is_named_not_ignored() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for content in ["{", r#"{"format":2,"table":{"version":7,"cells":{},"accounts":{},"buckets":{},"keys":{}}}"#] {
            fs::write(dir.path().join(NAME), content).expect("writable");
            let error = load(dir.path()).expect_err("not usable").to_string();
            assert!(error.contains(NAME), "{error}");
        }
    }
}

//! Who a node is: its id, and which life of it.
//!
//! A directory gets a random *life* when it is made, and the group's membership names it. Every call between peers names the id
//! and the life it is meant for. So a node that comes back with an empty directory is not taken for its former self, which
//! would vote twice in a term and lose what it had acknowledged: nobody calls it any more, and it takes no part until it is
//! replaced under a new id. Must not know consensus.

use crate::{handle::OpenError, open::failed, store::files};
use bulkhead_model::{NodeId, Timestamp};
use bulkhead_service::env::Rng;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io,
    path::Path,
};

/// Holds id and life, in text. The last thing a first opening writes.
const NODE: &str = "NODE";

/// What a node says of itself before it is made a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub node: u64,
    pub life: u64,
    /// The newest format it reads; see [`crate::version`].
    pub newest_format: u8,
    /// What its machine's clock shows.
    pub clock: Timestamp,
}

/// The value of the header that says whom a call is meant for.
pub(crate) fn address(node: u64, life: u64) -> String {
    format!("{node}/{life:016x}")
}

/// Keeps other processes away from a directory, while it is held.
///
/// # Errors
/// When another process has it.
pub(crate) fn lock(dir: &Path) -> Result<File, OpenError> {
    let file = File::open(dir).map_err(failed("the directory"))?;
    file.try_lock().map_err(|error| OpenError(format!("another process has {}: {error}", dir.display())))?;
    Ok(file)
}

/// The life that a directory was made for; `None` in a fresh one.
///
/// # Errors
/// When it is another node's, or what it once held is gone: going on with an empty log would be another life.
pub(crate) fn find(dir: &Path, node: NodeId) -> Result<Option<u64>, OpenError> {
    let text = match fs::read_to_string(dir.join(NODE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("the node's claim")(error)),
    };
    let Some((found, life)) = parse(&text) else {
        return Err(OpenError(format!("{}/{NODE} is damaged: {text:?}", dir.display())));
    };
    if found != node.0 {
        return Err(OpenError(format!("{} belongs to node {found}, not {node}", dir.display())));
    }
    let log = files::children(&dir.join("log")).unwrap_or_default();
    if !dir.join("state").join("CURRENT").exists() || !log.iter().any(|file| file.extension().is_some()) {
        let why = "once held this node's log and state, and does no more: replace the node under a new id";
        return Err(OpenError(format!("{} {why}", dir.display())));
    }
    Ok(Some(life))
}

/// Begins a life in a directory whose log and state are on stable storage, empty as they are.
///
/// # Errors
/// When it cannot be written down.
pub(crate) fn begin(dir: &Path, node: NodeId, rng: &Rng) -> Result<u64, OpenError> {
    let life = rng.u64();
    files::replace(&dir.join(NODE), text(node, life).as_bytes()).map_err(failed("the node's claim"))?;
    Ok(life)
}

fn text(node: NodeId, life: u64) -> String {
    format!("{} {life:016x}\n", node.0)
}

fn parse(text: &str) -> Option<(u64, u64)> {
    let (node, life) = text.trim_end().split_once(' ')?;
    Some((node.parse().ok()?, u64::from_str_radix(life, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn the_claim_of_version_one_stays_as_it_is() {
        assert_eq!(text(NodeId(3), 0xAB), "3 00000000000000ab\n");
        assert_eq!(parse("3 00000000000000ab\n"), Some((3, 0xAB)));
        assert_eq!(address(3, 0xAB), "3/00000000000000ab");
    }

    #[test]
    fn a_directory_keeps_its_life_and_refuses_to_go_on_without_its_data() {
        let dir = TempDir::new().expect("a directory");
        let (path, node) = (dir.path(), NodeId(3));
        assert_eq!(find(path, node).ok(), Some(None));
        for made in ["log", "state"] {
            fs::create_dir(path.join(made)).expect("made");
        }
        fs::write(path.join("log/a.wal"), "").expect("written");
        fs::write(path.join("state/CURRENT"), "").expect("written");
        let life = begin(path, node, &Rng::from_seed(1)).expect("written");
        assert_eq!(find(path, node).ok(), Some(Some(life)));
        assert!(find(path, NodeId(4)).is_err(), "another node's");
        fs::remove_file(path.join("log/a.wal")).expect("there");
        assert!(find(path, node).is_err(), "the log is gone");
        fs::write(path.join("log/a.wal"), "").expect("written");
        fs::remove_file(path.join("state/CURRENT")).expect("there");
        assert!(find(path, node).is_err(), "the state is gone");
    }
}

//! What a user of this crate supplies: a pure state machine over ordered column families.
//!
//! The machine never sees openraft or RocksDB. It reads through a [`Reader`], returns [`Mutation`]s, and must do the same on
//! every replica: no clock, no randomness, no I/O.

use bytes::Bytes;

/// A column family: an ordered map of its own from keys to values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Family {
    /// Its place in [`Machine::families`].
    pub index: u8,
    pub name: &'static str,
    /// Whether large values are kept outside the sorted files (RocksDB blob files).
    pub large_values: bool,
}

/// One change of the state. Mutations of one command are applied all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mutation {
    Put { family: Family, key: Vec<u8>, value: Vec<u8> },
    Delete { family: Family, key: Vec<u8> },
}

/// The store could not be read. The node stops: a replica that guesses would diverge.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the state store failed: {0}")]
    Store(String),
    #[error("{what} does not decode: {why}")]
    Corrupt { what: &'static str, why: String },
}

/// A consistent state to read from.
pub trait Reader {
    /// The value of a key.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// A cursor, not yet on any entry: seek first.
    fn cursor(&self, family: Family) -> Box<dyn Cursor + '_>;
}

/// Steps through one family in byte order of its keys, forwards.
pub trait Cursor {
    /// Moves to the first entry whose key is at or after `key`.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn seek(&mut self, key: &[u8]) -> Result<(), StoreError>;

    /// The entry under the cursor; `None` past the end.
    fn entry(&self) -> Option<(&[u8], &[u8])>;

    /// Moves to the next entry.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn advance(&mut self) -> Result<(), StoreError>;
}

/// The state machine: what commands mean.
pub trait Machine: Send + Sync + 'static {
    /// All column families, each at the position its `index` says.
    fn families(&self) -> &'static [Family];

    /// The newest format of commands and stored values that this build reads. A newer build reads older ones too.
    fn newest_format(&self) -> u8 {
        1
    }

    /// The format of a command, from 1 on: its first byte, unless the machine says otherwise.
    fn format_of(&self, command: &[u8]) -> u8 {
        command.first().copied().unwrap_or_default()
    }

    /// Decides what `command` does to the state in `view`, which includes all earlier commands. Pure.
    ///
    /// A refusal is an outcome like any other, with no mutations.
    ///
    /// # Errors
    /// Only when the state or the command cannot be read at all; the node then stops rather than diverge.
    fn apply(&self, view: &dyn Reader, command: &[u8]) -> Result<Applied, StoreError>;
}

/// What one command did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    pub mutations: Vec<Mutation>,
    /// Returned to the proposer, opaque to this crate.
    pub outcome: Bytes,
}

//! How everything persisted is encoded: one byte that says the format, then postcard.
//!
//! A format, once released, is frozen: its bytes are pinned by golden tests. A new one gets the next number, and the old
//! one stays readable. A value is written in the oldest format that has it, so that a cell of which a node is older is sent nothing that
//! this node cannot read.

use super::{
    bookkeeping::{AccountTotals, BlobState, BucketState, CellState, Dropped, Errand, Fence, Replay},
    command::{Command, Envelope, Outcome, Refusal},
    record::{
        Account, Bucket, Credential, LimitsRecord, Object, ObjectHead, OpenEpoch, Part, Segment, Settings, Upload,
        Usage,
    },
};
use bulkhead_replica::StoreError;
use serde::{Serialize, de::DeserializeOwned};

/// The first format of everything.
const V1: u8 = 1;
/// What an account may hold, and who of it is refused.
const V2: u8 = 2;
/// The newest that this build reads.
pub const NEWEST: u8 = V2;

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("{what} has no bytes, not even a format version")]
    Empty { what: &'static str },
    #[error("{what} has format version {found}; this build reads {known}")]
    Version { what: &'static str, found: u8, known: u8 },
    #[error("{what} does not decode: {why}")]
    Body { what: &'static str, why: postcard::Error },
    #[error("{what} is followed by {bytes} bytes that do not belong to it")]
    Trailing { what: &'static str, bytes: usize },
}

impl FormatError {
    fn what(&self) -> &'static str {
        match self {
            Self::Empty { what }
            | Self::Version { what, .. }
            | Self::Body { what, .. }
            | Self::Trailing { what, .. } => what,
        }
    }
}

impl From<FormatError> for StoreError {
    fn from(error: FormatError) -> Self {
        StoreError::Corrupt { what: error.what(), why: error.to_string() }
    }
}

/// Something that is persisted or sent through the log.
pub trait Record: Serialize + DeserializeOwned {
    /// Its name in errors.
    const WHAT: &'static str;
    /// Whether bytes may follow what is decoded: true only for the front part of a longer record.
    const IS_FRONT: bool = false;
    /// The newest format that has it.
    const NEWEST: u8 = V1;

    /// The oldest format that has this value. Newer ones have the same bytes and more values.
    fn version(&self) -> u8 {
        V1
    }
}

/// Declares records whose only format is the first.
macro_rules! records {
    ($($record:ty => $what:literal),+ $(,)?) => {
        $(impl Record for $record { const WHAT: &'static str = $what; })+
    };
}

records! {
    Account => "an account",
    AccountTotals => "an account's totals",
    LimitsRecord => "an account's limits",
    Credential => "a credential",
    Bucket => "a bucket",
    BucketState => "a bucket's state",
    Fence => "a fenced claim",
    Object => "an object",
    Upload => "an upload",
    Part => "a part",
    BlobState => "a blob's state",
    Segment => "a garbage segment",
    Errand => "an outbox entry",
    OpenEpoch => "an open epoch",
    CellState => "the cell's state",
    Dropped => "a dropped bucket",
    Usage => "a cell's ballast",
    () => "an index entry",
}

impl Record for Envelope {
    const WHAT: &'static str = "a command";
    const NEWEST: u8 = V2;

    fn version(&self) -> u8 {
        if matches!(self.command, Command::PutSettings { .. }) { V2 } else { V1 }
    }
}

impl Record for Outcome {
    const WHAT: &'static str = "an outcome";
    const NEWEST: u8 = V2;

    fn version(&self) -> u8 {
        if matches!(self, Err(Refusal::AccountFull { .. })) { V2 } else { V1 }
    }
}

impl Record for Replay {
    const WHAT: &'static str = "a recorded outcome";
    const NEWEST: u8 = V2;

    fn version(&self) -> u8 {
        self.outcome.version()
    }
}

impl Record for Settings {
    const WHAT: &'static str = "an account's settings";
    const NEWEST: u8 = V2;

    fn version(&self) -> u8 {
        V2
    }
}

impl Record for ObjectHead {
    const WHAT: &'static str = "an object's head";
    const IS_FRONT: bool = true;
}

/// The persisted form of `record`.
pub fn encode<T: Record>(record: &T) -> Vec<u8> {
    postcard::to_extend(record, vec![record.version()]).expect("records hold plain data, and a vector takes all of it")
}

/// Reads a persisted form.
///
/// # Errors
/// [`FormatError`] when the version is not known or the bytes are not exactly one record.
pub fn decode<T: Record>(bytes: &[u8]) -> Result<T, FormatError> {
    let (&version, body) = bytes.split_first().ok_or(FormatError::Empty { what: T::WHAT })?;
    if !(V1..=T::NEWEST).contains(&version) {
        return Err(FormatError::Version { what: T::WHAT, found: version, known: T::NEWEST });
    }
    let (record, rest) = postcard::take_from_bytes(body).map_err(|why| FormatError::Body { what: T::WHAT, why })?;
    if !rest.is_empty() && !T::IS_FRONT {
        return Err(FormatError::Trailing { what: T::WHAT, bytes: rest.len() });
    }
    Ok(record)
}

/// The persisted form of an inline body: the version, then the bytes as they are.
pub fn encode_body(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + body.len());
    bytes.push(V1);
    bytes.extend_from_slice(body);
    bytes
}

/// Reads an inline body without copying it.
///
/// # Errors
/// [`FormatError`] when the version is not known.
pub fn decode_body(bytes: &bytes::Bytes) -> Result<bytes::Bytes, FormatError> {
    const WHAT: &str = "an inline body";
    match bytes.first() {
        None => Err(FormatError::Empty { what: WHAT }),
        Some(&V1) => Ok(bytes.slice(1..)),
        Some(&found) => Err(FormatError::Version { what: WHAT, found, known: V1 }),
    }
}

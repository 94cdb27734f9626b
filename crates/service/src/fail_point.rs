//! Named points at which a process aborts, so that a crash test can hit the moments that matter.
//!
//! Always compiled, inert unless armed: passing a point then reads one atomic. Armed by the environment, and only in a process
//! that is a test itself: elsewhere the variable keeps the process from starting, since a forgotten one would kill a node.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// Holds `name:count`: abort at the `count`th passing of point `name`.
pub const VARIABLE: &str = "BULKHEAD_FAIL_POINT";

static ARMED: OnceLock<Armed> = OnceLock::new();

/// A moment between two steps of which a crash may separate the first from the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailPoint {
    /// Entries were handed to the Raft log and are not synced.
    LogAppended,
    /// Entries are synced and nobody has been told.
    LogSynced,
    /// The log has forgotten what a checkpoint covers; its files are still there.
    LogPurged,
    /// A batch is in the state and no outcome has left.
    StateWritten,
    /// Chunks are in their extent and not synced.
    ChunkWritten,
    /// Chunks are synced and nobody has been told.
    ChunkSynced,
    /// A checkpoint is whole and has not got its name.
    CheckpointMade,
    /// A leader's checkpoint has come in whole and has not got its name.
    CheckpointReceived,
    /// A received checkpoint is a database of its own, and the old one still counts.
    GenerationLinked,
    /// The new database counts, and the old one is still there.
    GenerationSwitched,
    /// A request that says so of itself is about to be executed.
    PoisonRequest,
    /// A step of a cell's life was taken and is not written down.
    CellStepTaken,
    /// It is written down and the next is not taken.
    CellStepRecorded,
}

/// Why a process does not start.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailPointError {
    #[error(
        "{VARIABLE} is set, but only nodes of the dev blueprint, and a control plane on the loopback interface, may be made to fail; unset it"
    )]
    NotHere,
    #[error("{VARIABLE} is {found:?}, but must be NAME:COUNT with a count of at least 1; names: {known}")]
    Malformed { found: String, known: String },
}

#[derive(Debug)]
struct Armed {
    point: FailPoint,
    left: AtomicU64,
}

impl FailPoint {
    const ALL: [Self; 13] = [
        Self::LogAppended,
        Self::LogSynced,
        Self::LogPurged,
        Self::StateWritten,
        Self::ChunkWritten,
        Self::ChunkSynced,
        Self::CheckpointMade,
        Self::CheckpointReceived,
        Self::GenerationLinked,
        Self::GenerationSwitched,
        Self::PoisonRequest,
        Self::CellStepTaken,
        Self::CellStepRecorded,
    ];

    /// What the variable calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::LogAppended => "log-appended",
            Self::LogSynced => "log-synced",
            Self::LogPurged => "log-purged",
            Self::StateWritten => "state-written",
            Self::ChunkWritten => "chunk-written",
            Self::ChunkSynced => "chunk-synced",
            Self::CheckpointMade => "checkpoint-made",
            Self::CheckpointReceived => "checkpoint-received",
            Self::GenerationLinked => "generation-linked",
            Self::GenerationSwitched => "generation-switched",
            Self::PoisonRequest => "poison-request",
            Self::CellStepTaken => "cell-step-taken",
            Self::CellStepRecorded => "cell-step-recorded",
        }
    }

    /// The process is here. It ends, if this is where it was told to.
    pub fn pass(self) {
        if let Some(armed) = ARMED.get()
            && armed.is_due(self)
        {
            eprintln!("aborting at {}, as {VARIABLE} says", self.name());
            std::process::abort();
        }
    }
}

impl Armed {
    fn parse(text: &str) -> Result<Self, FailPointError> {
        let parsed = || {
            let (name, count) = text.split_once(':')?;
            let point = FailPoint::ALL.into_iter().find(|point| point.name() == name)?;
            let left = count.parse().ok().filter(|count| *count > 0)?;
            Some(Self { point, left: AtomicU64::new(left) })
        };
        let known = FailPoint::ALL.map(FailPoint::name).join(", ");
        parsed().ok_or_else(|| FailPointError::Malformed { found: text.to_owned(), known })
    }

    fn is_due(&self, passed: FailPoint) -> bool {
        self.point == passed && self.left.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

/// Arms the point that the environment names, if it names one. Called once, at start.
///
/// # Errors
/// When it names one and `allowed` is false, or it is not understood.
pub fn arm(allowed: bool) -> Result<(), FailPointError> {
    let Some(text) = std::env::var_os(VARIABLE) else { return Ok(()) };
    if !allowed {
        return Err(FailPointError::NotHere);
    }
    let armed = Armed::parse(&text.to_string_lossy())?;
    ARMED.get_or_init(|| armed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_due_at_the_passing_that_was_asked_for_and_no_other_is() {
        let armed = Armed::parse("chunk-written:3").expect("a known point");
        let passes =
            [FailPoint::ChunkWritten, FailPoint::LogAppended, FailPoint::ChunkWritten, FailPoint::ChunkWritten];
        assert_eq!(passes.map(|point| armed.is_due(point)), [false, false, false, true]);
    }

    #[test]
    fn unknown_names_and_counts_are_refused() {
        for text in ["", "chunk-written", "chunk-written:0", "chunk-written:x", "chunk_written:1"] {
            assert!(Armed::parse(text).is_err(), "{text:?} was accepted");
        }
    }
}

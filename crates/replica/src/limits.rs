//! Every bound of this crate. A number that bounds something lives here or nowhere.

use std::time::Duration;

/// The largest command. An S3 object that rides in a command is 64 times smaller, so entries batch.
pub const RAFT_ENTRY_BYTES_MAX: usize = (1 << 20) + (64 << 10);
/// Entries of one append to a follower.
pub const APPEND_ENTRIES_MAX: u64 = 1024;
/// Bytes of entries of one append: reading stops at the entry that reaches this.
pub const APPEND_BYTES_MAX: usize = 4 << 20;
/// The largest request body a peer may send, except for a checkpoint, which goes to disk as it comes.
pub const PEER_BODY_BYTES_MAX: usize = APPEND_BYTES_MAX + RAFT_ENTRY_BYTES_MAX + (APPEND_ENTRIES_MAX as usize) * 128;
/// The largest answer of a peer: an outcome, or a few numbers.
pub const PEER_ANSWER_BYTES_MAX: usize = 4 << 20;
/// Commands applied in one write to the state store.
pub const APPLY_ENTRIES_MAX: usize = 1024;
/// What flushes and compactions of a state store write in a second at most, so that requests find the disk; ten times what a cell commits, which
/// is what compaction multiplies it by.
pub const BACKGROUND_BYTES_PER_SECOND: i64 = 128 << 20;
/// How often a part of it is given out.
pub const BACKGROUND_REFILL: Duration = Duration::from_millis(100);
/// Bytes of commands applied in one write to the state store.
pub const APPLY_BYTES_MAX: usize = 8 << 20;
/// Proposals one node carries at a time. More are refused, certainly not executed.
pub const PROPOSALS_MAX: usize = 4096;
/// Readers that wait for the next read-index round. More wait outside, until their deadline.
pub const READ_WAITERS_MAX: usize = 8192;
/// How long one read-index round may take before its waiters are asked to join another.
pub const READ_ROUND_MAX: Duration = Duration::from_secs(2);
/// Between two updates of the gauges.
pub const MEASURE_EVERY: Duration = Duration::from_millis(250);
/// How long a proposal that was forwarded waits for its answer after another node has become the leader: it may be on its way.
pub const DEPOSED_GRACE: Duration = Duration::from_millis(50);
/// The pause between two attempts while no leader is known.
pub const LEADER_PAUSE: Duration = Duration::from_millis(25);

/// A follower stands for election after [`ELECTION_MAX`], the leader's lease, plus a random time between this and
/// [`ELECTION_MAX`]: 1.7 to 2.2 s after the leader was last heard.
pub const ELECTION_MIN: Duration = Duration::from_millis(600);
/// See [`ELECTION_MIN`].
pub const ELECTION_MAX: Duration = Duration::from_millis(1100);
pub const HEARTBEAT: Duration = Duration::from_millis(200);
/// Sending and installing one whole checkpoint.
pub const CHECKPOINT_TRANSFER_MAX: Duration = Duration::from_secs(30 * 60);
/// A peer that sends or takes no byte of a checkpoint for this long is given up.
pub const CHECKPOINT_STALL_MAX: Duration = Duration::from_secs(30);
/// An append waits for a follower's disk, so it may take longer than a heartbeat.
pub const APPEND_MAX: Duration = Duration::from_secs(5);
/// What a proposal gets when nobody names a deadline.
pub const FORWARD_DEFAULT: Duration = Duration::from_secs(10);
/// How long a node that is to become a member may take to say who it is.
pub const MEET_PATIENCE: Duration = Duration::from_secs(2);
/// How often nodes ask each other how fast they are, how long an answer is waited for, and how often in a row a leader must be found slow.
pub const PACE_EVERY: Duration = Duration::from_millis(250);
pub const PACE_PATIENCE: Duration = Duration::from_secs(1);
pub const PACE_JUDGEMENTS: u32 = 3;
/// A leader hands over when it is so many times as slow as the median of its peers, and slower by so much.
pub const PACE_FACTOR: u64 = 3;
pub const PACE_SLOWER_MIN: Duration = Duration::from_millis(20);
/// After which it does not hand over again for a while: what made it slow may have moved with the lead.
pub const PACE_REST: Duration = Duration::from_secs(10);
/// Between two looks, by the leader of a group whose version is older than its build, at what the members read.
pub const VERSION_EVERY: Duration = Duration::from_secs(1);
/// How long a member may take to say what it reads.
pub const VERSION_PATIENCE: Duration = Duration::from_secs(1);
/// Entries younger than this are kept in the log below a checkpoint, so that a follower that was away for less needs none.
pub const LOG_AGE_KEPT: Duration = Duration::from_secs(3_600);
/// Entries kept below a checkpoint whatever their age: each takes about 100 bytes of memory.
pub const LOG_ENTRIES_KEPT_MAX: u64 = 500_000;
/// Bytes kept below a checkpoint whatever their age, in sizes of the log between two checkpoints.
pub const LOG_CHECKPOINTS_KEPT: u64 = 4;
/// Between two notes of where the log ends: as exact as the age of an entry is known.
pub const LOG_MARK_EVERY: Duration = Duration::from_secs(5);
/// Entries that must be purgeable before a purge is worth a record.
pub const PURGE_BATCH: u64 = 256;
/// Requests queued for the consensus task.
pub const CONSENSUS_QUEUE_MAX: u64 = 8192;

/// One file of the log. The newest file's entries are in memory, so this bounds that memory too.
pub const LOG_FILE_BYTES_MAX: usize = 16 << 20;
/// Entries of older log files that are kept in memory for followers.
pub const LOG_CACHE_BYTES_MAX: usize = 32 << 20;
/// See [`LOG_CACHE_BYTES_MAX`].
pub const LOG_CACHE_ENTRIES_MAX: usize = 65_536;
/// Bytes of appends that wait for the disk; further ones wait outside.
pub const LOG_QUEUE_BYTES_MAX: usize = 64 << 20;
/// The log is replayed through a buffer of this size.
pub const LOG_READ_BUFFER_BYTES: usize = 1 << 20;
/// How long the log waits for more appends before it syncs. The disk's own latency does most of the batching.
pub const LOG_GATHER: Duration = Duration::from_micros(50);

/// All memtables of the state store together.
pub const MEMTABLE_BYTES_MAX: usize = 64 << 20;
/// Files the state store keeps open.
pub const OPEN_FILES_MAX: i32 = 512;
/// The state store's own log; beyond this it flushes.
pub const STATE_WAL_BYTES_MAX: u64 = 128 << 20;
/// Values of a family of large values from this size on lie in blob files.
pub const BLOB_BYTES_MIN: u64 = 1 << 10;
/// Files of a checkpoint.
pub const CHECKPOINT_FILES_MAX: usize = 100_000;
/// Checkpoint bytes are read and sent in pieces of this size.
pub const CHECKPOINT_PIECE_BYTES: usize = 256 << 10;
/// The description that precedes the files of a checkpoint on the wire.
pub const CHECKPOINT_HEAD_BYTES_MAX: usize = 16 << 20;

const _: () = assert!(APPLY_BYTES_MAX >= RAFT_ENTRY_BYTES_MAX, "a batch must hold at least one command");
const _: () = assert!(HEARTBEAT.as_millis() * 5 <= ELECTION_MAX.as_millis(), "a few lost heartbeats are no election");
const _: () = assert!(ELECTION_MAX.as_millis() * 2 <= 2_500, "writes resume within 3 s of a leader's death");

//! Every bound in the cell. A number that bounds something lives here or nowhere.

use std::time::Duration;

/// The largest single PUT, part or copy: 5 GiB, as in S3.
pub const PART_BYTES_MAX: u64 = 5 << 30;
/// The smallest part that is not the last: 5 MiB, as in S3.
pub const PART_BYTES_MIN: u64 = 5 << 20;
/// Parts of one upload are numbered 1 to this, as in S3.
pub const PART_NUMBER_MAX: u16 = 10_000;
/// The largest object: 5 TiB, as in S3.
pub const OBJECT_BYTES_MAX: u64 = 5 << 40;
/// Keys of one DeleteObjects request, as in S3.
pub const DELETE_KEYS_MAX: usize = 1_000;
/// Keys, versions, uploads or parts of one listing page, as in S3.
pub const LIST_KEYS_MAX: usize = 1_000;
/// User metadata of one object, names and values together, as in S3.
pub const USER_METADATA_BYTES_MAX: usize = 2 << 10;
/// Buckets of one account.
pub const BUCKETS_PER_ACCOUNT_MAX: u64 = 1_000;
/// Access keys of one account: deleting the account deletes them in one command.
pub const KEYS_PER_ACCOUNT_MAX: u64 = 100;
/// Uploads in progress of one account.
pub const UPLOADS_PER_ACCOUNT_MAX: u64 = 100_000;
/// Rows of a deleted bucket's abandoned uploads that one applied command clears away.
pub const DROPPED_ROWS_PER_COMMAND: usize = 64;
/// Between two looks at the other nodes' clocks.
pub const CLOCK_LOOK: Duration = Duration::from_secs(10);
/// The same while no other node answers.
pub const CLOCK_LOOK_ALONE: Duration = Duration::from_secs(1);
/// How long another node may take to say what its clock shows.
pub const CLOCK_PATIENCE: Duration = Duration::from_millis(500);
/// Clocks that differ by more do not agree.
pub const CLOCKS_AGREE: Duration = Duration::from_secs(60);
/// The least time, on a monotonic clock, between two ticks of the cell: see [`crate::meta::ticks`].
pub const TICK: Duration = Duration::from_secs(60);
/// Between two looks at whether a tick is due.
pub const TICK_LOOK: Duration = Duration::from_secs(1);
/// For how many whole ticks a request id's outcome is kept: 15 minutes at least.
pub const REPLAY_TICKS: u64 = 15;
const _: () = assert!(REPLAY_TICKS * TICK.as_secs() >= 10 * 60, "a request may be repeated for ten minutes");
/// Outcomes that expire per applied command: more than one, so that the table shrinks after a burst.
pub const REPLAYS_EXPIRED_PER_COMMAND: usize = 4;
/// Outcomes that expire with a tick, so that the table also shrinks when nobody writes.
pub const REPLAYS_EXPIRED_PER_TICK: usize = 4_096;
/// Outcomes kept: 4,000 requests a second for all the time that they are kept. Beyond it writes are told to slow down, since
/// forgetting one early could carry out a request twice.
pub const REPLAYS_MAX: u64 = 4_000_000;
/// The smallest entry Raft must take: a whole CompleteUpload of 10,000 parts fits.
pub const RAFT_ENTRY_BYTES_MAX: usize = 1 << 20;
/// A body that rides in a Raft entry must fit one many times over, so that entries batch.
pub const INLINE_BYTES_MAX: usize = 64 << 10;
const _: () = assert!(INLINE_BYTES_MAX * 16 <= RAFT_ENTRY_BYTES_MAX);
/// How long a call that streamed a body waits for its commit: from the body's end, since how long that took was the client's
/// choice.
pub const COMMIT_PATIENCE: Duration = Duration::from_secs(10);
/// Chunks of one request body in memory: one that fills while the others are stored.
pub const CHUNKS_IN_FLIGHT_MAX: usize = 3;
/// How long a chunk may take to become durable, or to be read.
pub const CHUNK_PATIENCE: Duration = Duration::from_secs(10);
/// How long a body that comes in waits for its share of the node's memory before it is told to slow down: less than the 3 s
/// (`CONTINUE_PATIENCE`) after which the router gives up a node that does not ask for a body, so that this node is the one that says it.
pub const BUDGET_PATIENCE: Duration = Duration::from_secs(2);
/// The same for a piece of a body that goes out: without it an answer that has begun is cut.
pub const BUDGET_PIECE_PATIENCE: Duration = Duration::from_secs(5);
/// Of a budget, what is kept for small bodies: one part in so many.
pub const BUDGET_SMALL_FRACTION: u64 = 8;
/// How long a client may take to fill one chunk while others wait for memory. While nobody waits it may take longer.
pub const FILL_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes hashed on an async thread: about 100 µs of MD5.
pub const HASH_INLINE_BYTES_MAX: usize = 64 << 10;
/// Bytes of an object read at a time.
pub const READ_PIECE_BYTES: u32 = 1 << 20;
/// Pieces of a response body read ahead of the client, the one it waits for included.
pub const READ_AHEAD_PIECES: usize = 2;
/// Bodies from this size on have their condition checked before they are read. Smaller ones are not worth the round.
pub const EARLY_CHECK_BYTES_MIN: u64 = 1 << 20;
/// Keys that one command deletes: of the longest, so many fit an entry.
pub const DELETE_COMMAND_KEYS_MAX: usize = 250;
const _: () = assert!(DELETE_COMMAND_KEYS_MAX * (1_024 + 256) <= RAFT_ENTRY_BYTES_MAX);
/// Bytes of an XML document in a request: 10,000 parts with their checksums, or 1,000 keys of 1,024 bytes with every byte escaped.
pub const DOCUMENT_BYTES_MAX: usize = 8 << 20;
/// Bytes of all such documents on a node.
pub const DOCUMENTS_BYTES_MAX: usize = 128 << 20;
/// Of these, the documents of one account.
pub const DOCUMENTS_OF_ACCOUNT_BYTES_MAX: usize = DOCUMENTS_BYTES_MAX / 4;
const _: () = assert!(DOCUMENT_BYTES_MAX * 2 <= DOCUMENTS_OF_ACCOUNT_BYTES_MAX);
/// How long a client may take to send a document: what has come is held meanwhile.
pub const DOCUMENT_PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of one line of `aws-chunked` framing: a size and a signature, or a trailer.
pub const CHUNK_HEADER_BYTES_MAX: usize = 1 << 10;
/// Bytes of the trailers of one body.
pub const TRAILER_BYTES_MAX: usize = 4 << 10;
/// How far a request's time may be from ours, as in S3.
pub const CLOCK_SKEW_SECONDS_MAX: u32 = 15 * 60;
/// How long a presigned request may be valid, as in S3.
pub const PRESIGN_SECONDS_MAX: i64 = 7 * 24 * 60 * 60;
/// How long a request waits for the index when its sender does not say.
pub const REQUEST_PATIENCE: Duration = Duration::from_secs(20);
/// How long a router may leave an answer or a body alone, and how far it may fall behind the least pace. A router cuts slow clients off
/// by limits of its own, well before: were these as short, the cell would end what the router is about to, and look broken.
pub const ROUTER_PATIENCE: Duration = Duration::from_secs(5 * 60);
/// How long a request waits for the index whatever its sender says.
pub const REQUEST_PATIENCE_MAX: Duration = Duration::from_secs(60);
/// One in so many requests that went well is told at level info.
pub const REQUEST_EVENT_SAMPLE: u128 = 64;

/// The largest chunk a blueprint may ask for. The format refuses longer ones.
pub const CHUNK_BYTES_MAX: u32 = 16 << 20;
/// Chunks waiting for the disk's writer. More callers wait before they enter the queue.
pub const CHUNK_WRITES_QUEUED_MAX: usize = 1_024;
/// Bytes of the chunks that wait for the disk's writer or are being written.
pub const CHUNK_WRITE_BYTES_MAX: usize = 64 << 20;
const _: () = assert!(CHUNK_BYTES_MAX as usize <= CHUNK_WRITE_BYTES_MAX);
/// What one fdatasync acknowledges at most, so that the first chunk of a batch does not wait long for the last.
pub const CHUNK_BATCH_BYTES_MAX: usize = 16 << 20;
/// How long what compaction moves may wait for the disk's writer while tenants' chunks keep it busy.
pub const BACKGROUND_WRITE_AGE_MAX: Duration = Duration::from_millis(250);
/// Memory in which a disk gathers what it writes past the page cache, and the most that one call writes: large enough that a call costs nothing
/// beside its bytes.
pub const DIRECT_WRITE_BYTES: usize = 4 << 20;
/// Local reads of chunks at a time; each holds at most one chunk in memory.
pub const CHUNK_READS_MAX: usize = 32;
/// Kept free on the disk for Raft, the index and deletes: no extent is begun for ordinary writes that would not leave it and an
/// extent for compaction besides, and nothing is taken into the index then.
pub const DISK_RESERVE_BYTES: u64 = 1 << 30;
/// What compaction leaves of it. The index and the log go on growing for a while on a disk that is full to its reserve; if they could
/// keep compaction from beginning, no deletion would ever give space back.
pub const COMPACTION_RESERVE_BYTES: u64 = DISK_RESERVE_BYTES / 2;
/// Chunks forgotten at a time: readers wait meanwhile.
pub const FREED_AT_ONCE_MAX: usize = 1_000;
/// How far back a disk's slowness is looked for.
pub const LATENCY_WINDOW: Duration = Duration::from_secs(60);
/// An extent of which a smaller share is alive is compacted.
pub const COMPACTION_LIVE_PERCENT: u128 = 70;
/// The open extent is compacted as well once this fraction of an extent is dead in it.
pub const OPEN_EXTENT_DEAD_FRACTION: u64 = 8;
/// Payload that compaction copies under one sync: what an ordinary write may have to wait for.
pub const COMPACTION_BATCH_BYTES: u64 = 4 << 20;
/// The fastest that compaction may copy, whatever it is asked for.
pub const COMPACTION_BYTES_PER_SECOND_MAX: u64 = 256 << 20;
/// Extents in trash. Compaction waits when there are as many. After a crash the copies of what they hold are read once.
pub const TRASH_EXTENTS_MAX: usize = 4;
/// Chunks that are asked about at a time before an extent is removed.
pub const INSPECTED_AT_ONCE_MAX: usize = 1_000;
/// Extents given up after an I/O error before the disk takes no more writes: each holds its preallocated space until the restart.
pub const EXTENT_FAILURES_MAX: u32 = 8;
/// Bytes of third copies that go on after their put has returned.
pub const THIRD_COPY_BYTES_MAX: usize = 64 << 20;
const _: () = assert!(CHUNK_BYTES_MAX as usize <= THIRD_COPY_BYTES_MAX);
/// How long a put waits for room among the third copies before it gives its own up to repair.
pub const THIRD_COPY_PATIENCE: Duration = Duration::from_millis(100);
/// The longest a replica may take for one chunk, whatever the deadline of the request.
pub const COPY_PATIENCE_MAX: Duration = Duration::from_secs(10);
/// How long a read waits for one replica before it also asks the next.
pub const READ_HEDGE: Duration = Duration::from_millis(250);
/// Failures of a peer in a row after which it is asked last.
pub const PEER_FAILURES_MAX: u32 = 3;
/// How long a failing peer is asked last before it is tried again.
pub const PEER_SUSPICION: Duration = Duration::from_secs(1);
/// Bytes of chunks that peers may be sending at a time.
pub const PEER_BODY_BYTES_MAX: usize = 64 << 20;
const _: () = assert!(CHUNK_BYTES_MAX as usize <= PEER_BODY_BYTES_MAX);
/// Copies known to be missing here and waiting for repair, and as many elsewhere. The census finds those that do not fit.
pub const REPAIRS_QUEUED_MAX: usize = 65_536;
/// A body of the admin API.
pub const ADMIN_BODY_BYTES_MAX: usize = 64 << 10;
/// How long an admin call may take.
pub const ADMIN_PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks for errands to the control plane; after failures, doubled up to the second.
pub const OUTBOX_INTERVAL: Duration = Duration::from_millis(250);
pub const OUTBOX_INTERVAL_MAX: Duration = Duration::from_secs(15);
/// Errands of one look.
pub const OUTBOX_BATCH: usize = 32;
/// For one errand: the control plane's answer, and the commit that it was heard.
pub const ERRAND_PATIENCE: Duration = Duration::from_secs(10);
/// Between two upload epochs of a node. What was never named can be freed only after the epoch it was written under is closed.
pub const EPOCH_ROTATION: Duration = Duration::from_secs(5 * 60);
/// How long an upload may write before its epoch is closed under it, and it is refused.
pub const EPOCH_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// Open epochs of one node: one for each rotation in the longest life of one, and some for proposals whose outcome was not known.
pub const EPOCHS_PER_NODE_MAX: usize = 320;
const _: () = assert!(EPOCH_LIFE.as_secs() < EPOCHS_PER_NODE_MAX as u64 * EPOCH_ROTATION.as_secs());
/// How long the opening of an epoch may take, and the pause after one that failed.
pub const EPOCH_PATIENCE: Duration = Duration::from_secs(10);
pub const EPOCH_RETRY: Duration = Duration::from_secs(1);
/// How old an epoch may become beyond the life of an upload, or of a node that has left, before the leader closes it.
pub const EPOCH_ABSENT_MAX: Duration = Duration::from_secs(60 * 60);
/// Between two walks over the garbage.
pub const GARBAGE_INTERVAL: Duration = Duration::from_secs(10);
/// Rows of garbage looked at together.
pub const GARBAGE_PAGE_ROWS: usize = 1_024;
/// Rows of garbage that one command forgets: of the longest, so many fit an entry.
pub const GARBAGE_ROWS_PER_COMMAND: usize = 512;
const _: () = assert!(GARBAGE_ROWS_PER_COMMAND * 32 <= RAFT_ENTRY_BYTES_MAX);
/// How long rows of garbage stay beyond their grace, so that every node that is up frees by them before they are forgotten.
pub const GARBAGE_LINGER: Duration = Duration::from_secs(10 * 60);
/// For one command of the garbage job.
pub const GARBAGE_PATIENCE: Duration = Duration::from_secs(10);
/// Local chunks that are compared with the index together.
pub const CENSUS_PAGE: usize = 1_024;
/// Rows of the index, and chunks named by them, that are compared together.
pub const CENSUS_BLOBS: usize = 1_024;
pub const CENSUS_CHUNKS: u64 = 4_096;
/// For one linearizable view, and the pauses after a part that was taken and after one that was not.
pub const CENSUS_PATIENCE: Duration = Duration::from_secs(10);
pub const CENSUS_PAUSE: Duration = Duration::from_millis(5);
pub const CENSUS_RETRY: Duration = Duration::from_secs(1);
/// The census waits while this node lacks so many copies, and leaves the rest of the queue to what readers notice.
pub const REPAIRS_CENSUS_MAX: usize = REPAIRS_QUEUED_MAX / 2;
/// Chunks that one call asks a peer for, whether it has them.
pub const HELD_IDS_MAX: usize = 1_024;
/// How often it is looked whether tenants use the disk, and how many operations a second mean that they do.
pub const BUSY_LOOK: Duration = Duration::from_secs(2);
pub const BUSY_OPERATIONS_PER_SECOND: u64 = 2;
/// Local chunks that scrub takes up together.
pub const SCRUB_PAGE: usize = 256;
/// How fast scrub reads at most, and while tenants leave the disk alone.
pub const SCRUB_BYTES_PER_SECOND_MAX: u64 = 256 << 20;
pub const SCRUB_IDLE_BYTES_PER_SECOND: u64 = 32 << 20;
/// For the reading of one chunk, and the pause after one that took longer.
pub const SCRUB_PATIENCE: Duration = Duration::from_secs(30);
pub const SCRUB_RETRY: Duration = Duration::from_secs(5);
/// Between two notes of how far scrub is.
pub const SCRUB_SAVE_INTERVAL: Duration = Duration::from_secs(60);
/// Between two looks for missing copies.
pub const REPAIR_INTERVAL: Duration = Duration::from_secs(1);
/// How long copies are made in one order before it is looked anew which are the most endangered.
pub const REPAIR_ROUND: Duration = Duration::from_secs(30);
/// Copies made at a time; each holds one chunk in memory.
pub const REPAIRS_AT_ONCE: usize = 4;
/// How fast copies are made at least, whatever tenants do. How fast at most is a setting.
pub const REPAIR_BYTES_PER_SECOND_MIN: u64 = 16 << 20;
/// For one copy, for one question to a peer or the index, and before a copy that failed is tried again.
pub const REPAIR_PATIENCE: Duration = Duration::from_secs(20);
pub const SURVEY_PATIENCE: Duration = Duration::from_secs(5);
pub const REPAIR_RETRY: Duration = Duration::from_secs(10);
/// Payload that one step of compaction copies, and between two looks for something to compact.
pub const COMPACTION_STEP_BYTES: u64 = 64 << 20;
pub const COMPACTION_INTERVAL: Duration = Duration::from_secs(5);
/// How fast compaction copies while tenants use the disk, and at least, whatever they do: space that does not come back fills the disk.
pub const COMPACTION_BYTES_PER_SECOND_BUSY: u64 = 16 << 20;
/// From which use of the node on, in percent, scrub goes no faster than it must.
pub const SCRUB_USED_PERCENT_MAX: u64 = 25;
/// For one question whether the records of an extent in trash are needed.
pub const INSPECTION_PATIENCE: Duration = Duration::from_secs(10);
/// Between two publications of what the cell holds.
pub const GAUGE_INTERVAL: Duration = Duration::from_secs(5);
/// How long background work may take to end when the process is told to stop.
pub const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);

/// Prices, in units of a 4 KiB GET (0.12 ms of CPU in all processes with 64 clients, `docs/benchmarks.md`). A view and a lookup.
pub const COST_VIEW: u64 = 1;
/// A commit: a 4 KiB PUT takes 0.30 ms of CPU, and its share of an fdatasync on three nodes.
pub const COST_COMMIT: u64 = 4;
/// A GET of 1 MiB takes 0.89 ms: 8 units.
pub const BYTES_READ_PER_UNIT: u64 = 128 << 10;
/// A PUT of 1 MiB takes 5.5 ms: hashed once, sent twice, written three times.
pub const BYTES_WRITTEN_PER_UNIT: u64 = 32 << 10;
/// 127,000 keys a second by one client that waits for each page.
pub const KEYS_LISTED_PER_UNIT: u64 = 20;
/// A deleted key is a few rows changed on three nodes.
pub const KEYS_DELETED_PER_UNIT: u64 = 2;
/// Parts named by CompleteMultipartUpload: one row read and one dropped, each.
pub const PARTS_NAMED_PER_UNIT: u64 = 4;
/// How many bytes of document a key to be deleted, and a part to be named, take: by it their number is estimated before they are read.
pub const DOCUMENT_BYTES_PER_DELETED_KEY: u64 = 64;
pub const DOCUMENT_BYTES_PER_PART: u64 = 100;
/// The most that one piece of work holds of the limit on what is executed at once: 1 MiB being written. A chunk of 4 MiB holds no more, so that
/// the smallest limit leaves room beside it.
pub const COST_HELD_MAX: u64 = 32;

/// Queues in front of execution, and how many of them an account is dealt: see `admit::queue`.
pub const QUEUES: usize = 128;
pub const QUEUE_HAND: usize = 8;
/// Requests in one queue, and in all together. Of pieces of requests that have begun, twice as many in one queue, and as many in all.
pub const QUEUE_LENGTH_MAX: usize = 64;
pub const QUEUED_MAX: usize = 2_048;
const _: () = assert!(QUEUE_HAND * QUEUE_LENGTH_MAX * 4 <= QUEUED_MAX, "one account fills at most a quarter");
/// Units that a queue may spend in a round: four small writes.
pub const QUEUE_QUANTUM: u64 = 16;
/// The weight of an account without a plan. Twice as much is twice the share.
pub const WEIGHT_NORMAL: u32 = 100;

/// Units executed at once on a node: to begin with, and within which the limit looks for the knee. At the least 16 commits, which share
/// an fdatasync.
pub const LIMIT_FIRST: u64 = 256;
pub const LIMIT_MIN: u64 = 64;
pub const LIMIT_MAX: u64 = 16_384;
const _: () =
    assert!(COST_HELD_MAX * 100 <= LIMIT_MIN * ACCOUNT_SHARE_PERCENT, "any piece of work fits any account's share");
/// Of the limit, the most that one account holds: an account that asks seldom finds room at once.
pub const ACCOUNT_SHARE_PERCENT: u64 = 75;
/// How often, and on how many samples, the limit is decided on. A kind of which there are a quarter as many has a say.
pub const LIMIT_WINDOW: Duration = Duration::from_millis(200);
pub const LIMIT_SAMPLES: u32 = 20;
/// A latency is slow beyond so many times the least, but not below the first nor above the second: a commit that shares its fdatasync with many
/// takes longer than one alone, and that is no harm.
pub const LATENCY_TOLERANCE: u32 = 3;
pub const LATENCY_TARGET_MIN: Duration = Duration::from_millis(8);
pub const LATENCY_TARGET_MAX: Duration = Duration::from_secs(1);
/// Under load, how often and for how long less is let in, to see the least latency.
pub const LATENCY_PROBE_EVERY: Duration = Duration::from_secs(20);
pub const LATENCY_PROBE: Duration = Duration::from_millis(250);
/// Requests up to this cost tell how long views and commits take; pieces of downloads of just this cost, and chunks from the last one on (half of
/// one of 4 MiB: the least is that of smaller ones), tell of theirs.
pub const COST_SAMPLED_MAX: u64 = 8;
pub const COST_PIECE_READ: u64 = READ_PIECE_BYTES as u64 / BYTES_READ_PER_UNIT;
pub const COST_CHUNK_SAMPLED_MIN: u64 = 64;
const _: () = assert!(COST_CHUNK_SAMPLED_MIN > COST_PIECE_READ, "what a copy reads is no chunk written");
const _: () = assert!(
    (4 << 20) / BYTES_WRITTEN_PER_UNIT < COST_CHUNK_SAMPLED_MIN * LATENCY_TOLERANCE as u64,
    "a chunk of 4 MiB is not slow because a smaller one was fast"
);
/// How long a request may wait for its turn before it is refused, and how long a request may that has been executed in part. What waits for a
/// leader holds its units: an election begins 1.7 to 2.2 s after the leader was last heard, and writes resume within 3 s of its death.
pub const QUEUE_AGE_MAX: Duration = Duration::from_secs(4);
pub const STAGE_AGE_MAX: Duration = Duration::from_secs(10);
const _: () = assert!(QUEUE_AGE_MAX.as_millis() > 3_000, "an election refuses nobody");
const _: () = assert!(QUEUE_AGE_MAX.as_millis() < STAGE_AGE_MAX.as_millis(), "what has begun is refused last");
/// A queue stands when somebody has waited for so long, while work ended without a gap of so long. Of one that stands, whoever has waited for
/// the last one at its turn is refused: what waits under a load that lasts is as short as that, and an election is a gap. What a gap left
/// behind has as long again to go, up to so long; but gaps that come more often than that are those of a node that has too much to do.
pub const QUEUE_STANDS_AFTER: Duration = Duration::from_millis(400);
pub const QUEUE_GAP_MAX: Duration = Duration::from_millis(200);
pub const QUEUE_AFTER_GAP_MAX: Duration = Duration::from_secs(1);
pub const QUEUE_GAP_EVERY: Duration = Duration::from_secs(5);
pub const QUEUE_AGE_BUSY: Duration = Duration::from_millis(125);
const _: () = assert!(QUEUE_AGE_BUSY.as_millis() < QUEUE_STANDS_AFTER.as_millis());
/// How long a body that is small waits for its client before what it holds of the limit goes to others.
pub const PARK_AFTER: Duration = Duration::from_millis(20);
/// Accounts that are told of in the figures of who waits and is refused, and over which span they are counted.
pub const TOP_ACCOUNTS: usize = 64;
pub const TOP_ACCOUNTS_SPAN: Duration = Duration::from_secs(60);

/// Accounts of which a node keeps count at a time. Idle ones leave; when all are busy, another is told to slow down.
pub const ACCOUNTS_ACTIVE_MAX: usize = 65_536;
/// What an account may use at once after it was idle: so long of each rate.
pub const LIMIT_BURST: Duration = Duration::from_secs(1);
/// A large body is not taken faster than its account's bytes per second, beyond the first so many, and never slower than [`PACE_LEAST`],
/// in bytes per second: it fills a chunk in time.
pub const PACE_FREE_BYTES: u64 = 256 << 10;
pub const PACE_LEAST: u64 = 2 << 20;
const _: () = assert!(PACE_LEAST * FILL_PATIENCE.as_secs() > CHUNK_BYTES_MAX as u64);
/// What is not worth a timer.
pub const PACE_STEP: Duration = Duration::from_millis(5);
/// A node never lends the last part of its equal share, of so many.
pub const LIMIT_FLOOR_PARTS: u32 = 10;
/// How often an active account's limits are looked up in the index: a change holds after at most so long on a node that has it.
pub const LIMITS_LOOK: Duration = Duration::from_millis(500);
/// Between two rounds in which nodes tell each other what they are asked for, and how long a peer may take to answer.
pub const LIMIT_ROUND: Duration = Duration::from_secs(1);
pub const LIMIT_ROUND_PATIENCE: Duration = Duration::from_millis(500);
/// How long a lent share may be used from when it was asked for, and how long it is missing at its lender.
pub const LOAN_BORROWED: Duration = Duration::from_secs(2);
pub const LOAN_LENT: Duration = Duration::from_millis(2_500);
const _: () = assert!(LOAN_BORROWED.as_millis() < LOAN_LENT.as_millis(), "a share is never used twice");
const _: () = assert!(LIMIT_ROUND.as_millis() + LIMIT_ROUND_PATIENCE.as_millis() < LOAN_BORROWED.as_millis());
/// Loans to one peer that have not ended.
pub const LOANS_PER_PEER_MAX: usize = 4;
/// Accounts of which one node tells another its demand: those with the most.
pub const DEMANDS_PER_REPORT: usize = 256;
/// Bytes of such a message.
pub const REPORT_BYTES_MAX: usize = 32 << 10;
/// Bytes of one unit of demand.
pub const DEMAND_BYTES: u64 = 1 << 10;
/// The longest that a client is told to wait.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// A body of a refused request that is at most so long is read and thrown away, so that its connection can be used again.
pub const DISCARDED_BODY_BYTES_MAX: u64 = 64 << 10;
/// How long that may take.
pub const DISCARD_PATIENCE: Duration = Duration::from_secs(1);
/// Requests in flight that are noted for the case that one of them ends the process.
pub const NOTED_REQUESTS_MAX: usize = 4_096;
/// Deaths of nodes that are remembered, and of each the requests that had begun last.
pub const DEATHS_KEPT_MAX: usize = 16;
pub const SHAPES_PER_DEATH_MAX: usize = 256;
/// How long a death is remembered, and a request that was in flight at two of them refused.
pub const QUARANTINE: Duration = Duration::from_secs(10 * 60);
/// How long a node refuses what was in flight when it died, so that another node executes it.
pub const SUSPICION: Duration = Duration::from_secs(60);
/// Deaths at which a request was in flight after which it is refused everywhere or, when others were there as often, executed alone.
pub const DEATHS_OF_A_REQUEST: u64 = 2;
/// Nodes that have died with it after which it is executed alone on these too: before that, the others do it.
pub const SUSPECT_NODES_MAX: usize = 3;
/// Deaths with requests of one kind in flight after which the kind is refused.
pub const DEATHS_OF_A_KIND: usize = 3;
/// Shapes that an operator has let go of, or that were executed since and did no harm.
pub const LIFTED_MAX: usize = 1_024;
const _: () = assert!(
    SHAPES_PER_DEATH_MAX * 4 <= LIFTED_MAX,
    "whatever was in flight at two deaths, itself and its kind, can be cleared"
);
/// Bytes of what one node tells another about deaths.
pub const DEATHS_BYTES_MAX: usize = 512 << 10;
/// How often it does: while there is something to tell or the process is young, and else.
pub const DEATHS_ROUND: Duration = Duration::from_secs(1);
pub const DEATHS_ROUND_QUIET: Duration = Duration::from_secs(10);
pub const DEATHS_YOUNG: Duration = Duration::from_secs(30);
/// How long a peer may take to answer, and how long a start waits for all of them.
pub const DEATHS_PATIENCE: Duration = Duration::from_millis(500);

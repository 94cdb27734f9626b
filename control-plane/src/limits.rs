//! Every bound in the control plane. A number that bounds something lives here or nowhere.

use std::time::Duration;

/// Characters of an account's display name.
pub const NAME_CHARS_MAX: usize = 64;
/// Bytes of an email address, as in RFC 5321.
pub const EMAIL_BYTES_MAX: usize = 254;
/// Access keys of one account, those being created or deleted included.
pub const KEYS_PER_ACCOUNT_MAX: usize = 16;
/// Bucket names one account may hold here. More than any cell allows, so that the cell's own limit is the one met.
pub const CLAIMS_PER_ACCOUNT_MAX: u64 = 2_000;
/// Cells of one fleet.
pub const CELLS_MAX: u64 = 10_000;

/// A cell takes new accounts up to this share of its declared capacity.
pub const SOFT_LIMIT_PERCENT: u64 = 70;
/// Cells compared for a new account: few, so that one account's placement does not depend on the whole fleet.
pub const PLACEMENT_CANDIDATES: usize = 3;
/// Points of one cell on the placement ring. Changing it changes every placement.
pub const RING_POINTS: usize = 64;
/// Attempts to find a free account id or a cell that still has room.
pub const PLACEMENT_ATTEMPTS: usize = 4;

/// Routing changes kept for the feed; a router further behind fetches the full table.
pub const CHANGES_KEPT: u64 = 10_000;
/// Changes in one answer of the feed.
pub const CHANGES_PER_ANSWER: usize = 1_000;
const _: () = assert!(CHANGES_PER_ANSWER as u64 <= CHANGES_KEPT);
/// Entries of a routing table that is answered as JSON: some fifty megabytes of it. Larger ones are answered in their binary form only.
pub const JSON_TABLE_ENTRIES_MAX: usize = 1_000_000;
/// How often the published table is compared with the directory, beside being told of local changes.
pub const PUBLISH_INTERVAL: Duration = Duration::from_millis(200);

/// Bytes of a request body of the API.
pub const BODY_BYTES_MAX: usize = 64 << 10;
/// How long one request of the API may take, the feed and stamping aside.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(15);
/// How long one command or read of the directory may take.
pub const DIRECTORY_DEADLINE: Duration = Duration::from_secs(5);
/// How long one call of a cell's admin API may take, on one node.
pub const CELL_CALL_DEADLINE: Duration = Duration::from_secs(4);
/// How long a request for a stamped cell waits for it.
pub const STAMP_WAIT: Duration = Duration::from_secs(120);
const _: () = assert!(STAMP_WAIT.as_secs() > CELL_STEP_DEADLINE.as_secs());

/// A claim still pending after this long is settled with the cell.
pub const CLAIM_PENDING: Duration = Duration::from_secs(60);
/// An account or key still being created after this long is undone.
pub const CREATION_GRACE: Duration = Duration::from_secs(60);
// Whoever creates must have given up before its work is undone.
const _: () = assert!(CREATION_GRACE.as_secs() > 2 * REQUEST_DEADLINE.as_secs());
/// How often each reconciler looks at the directory.
pub const RECONCILE_INTERVAL: Duration = Duration::from_millis(500);
/// Unsettled things taken up in one pass.
pub const RECONCILE_BATCH: usize = 64;

/// A new node votes once it is at most so many entries behind the leader: more would slow every commit when another node is lost.
pub const CAUGHT_UP_ENTRIES: u64 = 1_000;
/// How long the CLI waits for a replacement, unless it is told otherwise.
pub const REPLACE_WAIT_SECONDS: u64 = 3_600;
/// How long a cell may stay in `Provisioning` or `Forming`.
pub const CELL_STEP_DEADLINE: Duration = Duration::from_secs(90);
/// The pause before a node that died is started again; doubled for each death in a row.
pub const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause.
pub const RESTART_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Ports tried above the base for one cell.
pub const PORTS_TRIED_MAX: u16 = 10_000;
/// How long a stopped process may take to end before it is killed.
pub const STOP_PATIENCE: Duration = Duration::from_secs(15);
/// How long `dev up` waits for each process to become ready.
pub const DEV_PATIENCE: Duration = Duration::from_secs(120);
/// The pause between two looks at something awaited.
pub const POLL_PAUSE: Duration = Duration::from_millis(100);

/// Block cache of the directory, bytes.
pub const DIRECTORY_CACHE_BYTES: u64 = 32 << 20;
/// Log bytes after which the directory takes a checkpoint.
pub const DIRECTORY_CHECKPOINT_LOG_BYTES: u64 = 32 << 20;
/// How long background work may take to end when the process is to stop.
pub const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);
/// Where the CLI looks for a control plane when nothing says where it is.
pub const DEFAULT_API_PORT: u16 = 9002;
/// A disk is slow when its p99 is so many times the median of its cell's nodes, and above the floor; of fewer operations in the last
/// minute nothing is said.
pub const SLOW_DISK_RATIO: u64 = 4;
pub const SLOW_DISK_FLOOR_MICROSECONDS: u64 = 20_000;
pub const SLOW_DISK_SAMPLES_MIN: u64 = 100;

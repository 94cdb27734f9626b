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

/// A cell takes new accounts up to this share of the bytes, objects and accounts it is declared for.
pub const SOFT_LIMIT_PERCENT: u64 = 70;
/// And up to this share of its throughput: when an AZ is lost, two thirds must carry everything.
pub const SOFT_LIMIT_THROUGHPUT_PERCENT: u64 = 60;
const _: () = assert!(SOFT_LIMIT_THROUGHPUT_PERCENT * 3 <= 2 * 100);
/// A cell that was closed at a soft limit opens again below this share of that limit.
pub const REOPEN_PERCENT: u64 = 90;
/// How often the usage of all cells is asked for.
pub const USAGE_INTERVAL: Duration = Duration::from_secs(2);
/// What a cell is asked counts as an average of about so long, so that a burst neither closes it to new accounts nor opens it.
pub const RATE_WINDOW: Duration = Duration::from_secs(10 * 60);
/// What was seen of a cell counts for so long.
pub const USAGE_FRESH: Duration = Duration::from_secs(30);

/// Operations kept; older ones that have ended are forgotten.
pub const OPERATIONS_KEPT: u64 = 1_000;
/// Steps kept of one operation.
pub const OPERATION_STEPS_MAX: usize = 64;
/// Entries kept of the audit log.
pub const AUDIT_KEPT: u64 = 100_000;
/// Entries of the audit log in one answer.
pub const AUDIT_PER_ANSWER: usize = 500;
/// Names of accounts in one answer.
pub const DNS_NAMES_PER_ANSWER: usize = 1_000;
/// Requests remembered by their idempotency keys.
pub const IDEMPOTENT_KEPT: u64 = 10_000;
/// Bytes of an answer that is remembered; a longer one is not.
pub const IDEMPOTENT_BYTES_MAX: usize = 16 << 10;
/// Characters of an idempotency key.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 128;
/// Cells that one setting may name, in waves and by themselves.
pub const SETTING_TARGETS_MAX: u64 = 1_000;
/// Earlier states kept of a setting.
pub const SETTING_HISTORY_KEPT: usize = 8;
/// For how long a cell is watched before the next gets a change, in seconds: when it is not said, at least, and at most.
pub const BAKE_SECONDS: u64 = 60;
pub const BAKE_SECONDS_MIN: u64 = 10;
pub const BAKE_SECONDS_MAX: u64 = 86_400;
/// A cell that was seen so long ago is seen to be ready now.
pub const SETTING_SEEN: Duration = Duration::from_secs(6);
// It is seen anew while it bakes, and not only once: its nodes take up to three seconds to hear of the change.
const _: () = assert!(SETTING_SEEN.as_secs() >= 2 * USAGE_INTERVAL.as_secs());
const _: () = assert!(BAKE_SECONDS_MIN >= SETTING_SEEN.as_secs() + 3);
/// Tokens of the API beside the first one.
pub const TOKENS_MAX: u64 = 1_000;
/// Bytes of a certificate. It rides in one Raft entry.
pub const CERTIFICATE_BYTES_MAX: usize = 256 << 10;
/// How long a certification may take before it is ended and the cell fails.
pub const CERTIFICATION_DEADLINE: Duration = Duration::from_secs(6 * 60 * 60);
/// Cells named in the reason for a place, beside those that were looked at.
pub const LEFT_OUT_MAX: usize = 32;
/// Objects of an account that are deleted at a time when it is purged, and pages of 1,000 before another account has its turn.
pub const PURGE_AT_ONCE: usize = 16;
pub const PURGE_PAGES: usize = 10;
/// Regions an account may name.
pub const REGIONS_MAX: usize = 16;
/// Characters of a region or of a group of accounts that stay apart.
pub const LABEL_CHARS_MAX: usize = 32;
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
pub const BODY_BYTES_MAX: usize = 512 << 10;
const _: () = assert!(CERTIFICATE_BYTES_MAX < BODY_BYTES_MAX);
/// How long one request of the API may take, the feed and stamping aside.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(15);
/// How long one command or read of the directory may take.
pub const DIRECTORY_DEADLINE: Duration = Duration::from_secs(5);
/// How long one call of a cell's admin API may take, on one node.
pub const CELL_CALL_DEADLINE: Duration = Duration::from_secs(4);
/// How long the CLI waits for an answer of the API. It must wait a little longer than the server does.
pub const API_PATIENCE: Duration = Duration::from_secs(30);
const _: () = assert!(API_PATIENCE.as_secs() > REQUEST_DEADLINE.as_secs());
/// Bytes of an answer that the CLI reads.
pub const API_ANSWER_BYTES_MAX: usize = 64 << 20;
/// How long the CLI watches an operation, unless it is told otherwise.
pub const WATCH_SECONDS: u64 = 3_600;

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
/// How long `dev up` waits for its cells to be stamped: two certifications, one after the other, on a machine that is busy.
pub const DEV_STAMP_WAIT: Duration = Duration::from_secs(300);
/// How long `dev up` waits for each process to become ready.
pub const DEV_PATIENCE: Duration = Duration::from_secs(120);
/// For how long the certificates of a fleet on one machine hold: they are never made anew.
pub const DEV_CERTIFICATE_DAYS: u32 = 3_650;
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

//! Every bound in the load test: a number that bounds something lives here.

use std::time::Duration;

/// Between two looks at a condition that is waited for.
pub const POLL: Duration = Duration::from_millis(50);
/// The largest answer that is read into memory: a listing page of 1,000 keys of 1,024 bytes, escaped.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;
/// The largest error document that is read.
pub const ERROR_BYTES_MAX: usize = 64 << 10;
/// One piece of a generated body.
pub const PIECE_BYTES: usize = 128 << 10;
/// To open a TCP connection on this machine or to a neighbour.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest a request may wait for its answer, or for the next bytes of one, when nothing else is said.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Writes of unknown outcome that one key may collect; a drill stops writing a key that reaches it.
pub const UNKNOWNS_PER_KEY_MAX: usize = 64;
/// The longest latency a histogram records; longer ones count as this long. Microseconds.
pub const LATENCY_MAX_MICROS: u64 = 120_000_000;
/// The longest a command line of `bulkhead` may take.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// Writes must go on this soon after the death of a leader, one node being down.
pub const WRITE_GAP_MAX: Duration = Duration::from_secs(3);
/// What router and node may hold in memory while a large object passes. Bytes.
pub const RESIDENT_BYTES_MAX: u64 = 300 << 20;
/// Part size of large uploads. 10,000 parts of it are 320 GiB.
pub const PART_BYTES: u64 = 32 << 20;
/// Violations that are kept for the report; one is enough to fail.
pub const VIOLATIONS_MAX: usize = 20;
/// A drill's request may wait this long; then its outcome is unknown.
pub const DRILL_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// A killed process must be ready again this soon after it was started.
pub const RESTART_PATIENCE: Duration = Duration::from_secs(60);
/// After everything runs again, a check may be repeated this long before it fails.
pub const VERIFY_PATIENCE: Duration = Duration::from_secs(30);
/// A private cluster must serve this soon. RocksDB opens, two cells form, an account is made.
pub const UP_PATIENCE: Duration = Duration::from_secs(120);
/// Ports that a private cluster may use, from its first on.
pub const CLUSTER_PORTS: u16 = 110;
/// Port ranges that are tried before giving up.
pub const PORT_TRIES: u16 = 50;
/// A killed process must have let go of its volume this soon.
pub const UNMOUNT_PATIENCE: Duration = Duration::from_secs(10);
/// A node that is to fail at a named point must have reached it this soon.
pub const FAIL_POINT_PATIENCE: Duration = Duration::from_secs(20);
/// The longest a round lets clients work before it strikes.
pub const STRIKE_WITHIN: Duration = Duration::from_millis(1500);
/// The longest a round leaves processes dead.
pub const DEAD_FOR_MAX: Duration = Duration::from_millis(1500);
/// Log bytes after which a node of a small private cluster takes a checkpoint and purges.
pub const SMALL_CHECKPOINT_LOG_BYTES: u64 = 1 << 20;
/// Extents of a small private cluster.
pub const SMALL_EXTENT_BYTES: u64 = 64 << 20;
/// What is free on the disk of a private cluster before it starts: two cells of three nodes with an extent of 1 GiB each, and what a node
/// keeps free, below which it takes no bytes. Of a small one likewise.
pub const CLUSTER_FREE_BYTES: u64 = 10 << 30;
pub const SMALL_CLUSTER_FREE_BYTES: u64 = 3 << 30;
/// Acknowledged writes after which a dead node can no longer catch up from the log of a small private cluster.
pub const ENTRIES_TO_LAG: u64 = 2500;
/// How long links stay cut: longer than an election and the time-outs that find out about it.
pub const CUT_FOR: Duration = Duration::from_secs(20);
/// Writes must go on this soon after a cut that leaves a majority: an election, and second tries.
pub const PARTITION_GAP_MAX: Duration = Duration::from_secs(15);
/// Rounds on one private cluster, before the next begins.
pub const ROUNDS_PER_CLUSTER: usize = 40;
/// Requests of one account that may wait for a connection; more are counted as never sent.
pub const QUEUE_MAX: usize = 50_000;
/// The longest the thread that hands out requests sleeps before it looks whether it is to stop.
pub const CLOCKWORK_SLEEP_MAX: Duration = Duration::from_millis(50);
/// Parts of multipart uploads in a workload: the smallest S3 allows. Bytes.
pub const MULTIPART_PART_BYTES: u64 = 5 << 20;
/// Connections that fill one account before a run.
pub const FILL_CONNECTIONS: u32 = 8;
/// A writer that is told to slow down while it fills tries again this often.
pub const FILL_TRIES: u32 = 100;
/// What a brisk private cluster looks after itself by: as soon as a blueprint may ask for. Seconds.
pub const BRISK_GRACE_SECONDS: u64 = 10;
pub const BRISK_SCRUB_SECONDS: u64 = 60;
pub const BRISK_CENSUS_SECONDS: u64 = 10;
/// Between two looks at how the chunks of a cell are: each is a command that asks every node.
pub const LOOK: Duration = Duration::from_millis(500);
/// A cell must be whole again this soon after a fault that takes a scrub and copies of everything.
pub const WHOLE_PATIENCE: Duration = Duration::from_secs(15 * 60);
/// Space must be back this soon: epochs close after 5 to 10 minutes, then compaction copies.
pub const SPACE_PATIENCE: Duration = Duration::from_secs(25 * 60);
/// Clients that write, read or delete a set of objects together.
pub const OBJECT_CLIENTS: usize = 4;
/// One object must be written, read or deleted this soon, tries that failed included.
pub const OBJECT_PATIENCE: Duration = Duration::from_secs(90);
/// How long a node whose index was damaged is watched before it is replaced.
pub const DAMAGED_WATCH: Duration = Duration::from_secs(20);
/// What must stay free on the disk below a run: logs, checkpoints and preallocated extents of two cells, and as much again for others.
pub const MACHINE_FREE_BYTES_MIN: u64 = 4 << 30;
/// Between two operations of a client whose latency is looked at: its garbage must fit a disk.
pub const CLIENT_PAUSE: Duration = Duration::from_millis(150);
/// So many clear refusals in a row, to each client, mean that something is full; so many writes in a row that it is not any more.
pub const REFUSALS_IN_A_ROW: u32 = 5;
/// Between two lines that tell how far something slow is.
pub const PROGRESS: Duration = Duration::from_secs(60);
/// What a tenant's pulse remembers.
pub const BEATS_MAX: usize = 1 << 20;
/// Accounts that are made until one of them is in the cell that it is to be in, or in another than the first.
pub const ACCOUNTS_TRIED: usize = 12;
/// What router and node may hold in memory while thousands of slow clients are served. Bytes.
pub const SLOW_RESIDENT_BYTES_MAX: u64 = 512 << 20;
/// What `overload` takes for the promise of a cell, of all its requests together: the 99th percentile, in milliseconds. It is what the
/// blueprint `dev` promises of each kind.
pub const OVERLOAD_P99_MS: f64 = 250.0;
/// Requests that may find all connections busy in a run that is to be an open loop: one in a hundred.
pub const OVERLOAD_WAITED_MAX: f64 = 0.01;
/// Connections that fill a side of a comparison.
pub const COMPARE_FILLERS: u64 = 64;
/// The longest a node's admin API may take to answer.
pub const ADMIN_PATIENCE: Duration = Duration::from_secs(10);
/// Connections that empty a bucket after a certification.
pub const CERTIFY_CLEANERS: usize = 16;
/// The third copies of chunks must have followed this soon after the last write.
pub const COPIES_PATIENCE: Duration = Duration::from_secs(5);
/// Between two writes that look for a gap.
pub const PROBE_EVERY: Duration = Duration::from_millis(10);
/// The longest such a write waits for its answer.
pub const PROBE_TIMEOUT: Duration = Duration::from_millis(400);
/// The longest such a gap is looked into.
pub const PROBE_PATIENCE: Duration = Duration::from_secs(30);
/// Samples of an HTML report's plot; more are thinned out.
pub const PLOT_POINTS_MAX: usize = 2_000;

//! Every bound in the router. A number that bounds something lives here or nowhere.

use crate::upstream::breaker::Rules;
use std::time::Duration;

/// Requests in flight through this router.
pub const IN_FLIGHT_MAX: usize = 8192;
/// Requests in flight to one cell: cells that hang must leave slots for the others.
pub const IN_FLIGHT_PER_CELL_MAX: usize = 1024;
const _: () = assert!(IN_FLIGHT_PER_CELL_MAX * 8 <= IN_FLIGHT_MAX);
/// Of these, what one account may have: the rest is for its neighbours in the cell.
pub const IN_FLIGHT_PER_ACCOUNT_MAX: u64 = IN_FLIGHT_PER_CELL_MAX as u64 * 3 / 4;

/// Connections of clients. What hangs in one cell takes an eighth of them, since requests beyond its share are answered at once.
pub const CONNECTIONS_MAX: usize = 8192;
const _: () = assert!(IN_FLIGHT_MAX <= CONNECTIONS_MAX);
/// Connections that one source address may have when the configuration does not say: an eighth, so that no single one can take the
/// router from the others.
pub const CONNECTIONS_PER_SOURCE_MAX: usize = 1024;
/// What a connection to a node reads ahead of a client that does not take its answer.
pub const UPSTREAM_BUFFER_BYTES: usize = 64 << 10;

/// A body of known length up to this is held in memory, so that the request can be sent again.
pub const REPLAY_BODY_BYTES_MAX: u64 = 64 << 10;
/// Bytes of bodies held for one cell, and for all. What finds no room is passed on as it comes, and cannot be sent again.
pub const HELD_BYTES_PER_CELL_MAX: usize = 32 << 20;
pub const HELD_BYTES_MAX: usize = 128 << 20;
const _: () = assert!(HELD_BYTES_PER_CELL_MAX * 4 <= HELD_BYTES_MAX);
/// Of the cell's, what one account may have.
pub const HELD_BYTES_PER_ACCOUNT_MAX: u64 = HELD_BYTES_PER_CELL_MAX as u64 * 3 / 4;
const _: () = assert!(REPLAY_BODY_BYTES_MAX as usize * 512 <= HELD_BYTES_PER_CELL_MAX);
/// A write up to this goes to the leader when it is known: its body rides in the leader's log, and one hop is saved.
pub const SMALL_WRITE_BYTES_MAX: u64 = 16 << 10;
/// The largest body of one request: a part of 5 GiB, and room for `aws-chunked` framing around it.
pub const BODY_BYTES_MAX: u64 = (5 << 30) + (64 << 20);

/// Of an account that its cell refuses requests, so many times what the cell takes is passed on, and so many besides; what was half a second
/// ago counts half. A cell that took nothing for a while is asked for a thousand a second again within seconds.
pub const PASSED_ON: f64 = 1.5;
pub const PASSED_ON_LEAST: f64 = 20.0;
pub const THROTTLE_HALF_LIFE: Duration = Duration::from_millis(500);
/// Accounts of a cell of which that is known at a time, each for one sort of request. Beyond it all is passed on.
pub const THROTTLED_MAX: usize = 4_096;

/// How long a request that can be sent again is tried in all. It outlasts an election by far.
pub const REQUEST_PATIENCE: Duration = Duration::from_secs(30);
/// How long one try of such a request may take to begin its answer.
pub const TRY_PATIENCE: Duration = Duration::from_secs(10);
const _: () = assert!(TRY_PATIENCE.as_secs() * 3 <= REQUEST_PATIENCE.as_secs());
/// A copy of 5 GiB happens between request and answer.
pub const COPY_PATIENCE: Duration = Duration::from_secs(15 * 60);
/// How long a cell may neither take a byte of a streamed body nor answer.
pub const STREAM_STALL_PATIENCE: Duration = Duration::from_secs(60);
/// How long a node may leave the body of a request alone, neither asking for it nor answering, before another is tried.
pub const CONTINUE_PATIENCE: Duration = Duration::from_secs(3);

/// A second try goes to another node while the first has no answer for longer than nearly all answers of its node take; within
/// these bounds.
pub const SECOND_TRY_AFTER_MIN: Duration = Duration::from_secs(1);
pub const SECOND_TRY_AFTER_MAX: Duration = Duration::from_secs(3);
const _: () = assert!(SECOND_TRY_AFTER_MAX.as_secs() < TRY_PATIENCE.as_secs());
/// Tries of one request, whatever fails.
pub const TRIES_MAX: u32 = 32;
/// Tries of one request that may end with their connection. It may be the request that ends the nodes: a third does not get it.
pub const LOST_MAX: u32 = 2;

/// Retries a cell's requests earn at most: one for every ten. A setting may make it less.
pub const RETRIES_PER_REQUEST: f64 = 0.1;
/// Retries per second that are allowed however few requests there are. Not in addition to what these earn: the larger counts.
pub const RETRIES_PER_SECOND_FLOOR: f64 = 50.0;
/// Retries that may be saved up.
pub const RETRIES_SAVED_MAX: f64 = 500.0;
/// Of these, what second tries beside a silent one leave for tries that failed: without one of them a write is lost.
pub const RETRIES_KEPT_FOR_FAILED: f64 = RETRIES_SAVED_MAX / 2.0;
/// The pause before a retry is between zero and this, doubled with each further one up to the second.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(25);
pub const BACKOFF_MAX: Duration = Duration::from_millis(800);

/// When a node is left alone: after this many failures in a row, or when it cannot be reached, is silent or slow.
pub const NODE_BREAKER: Rules = Rules {
    failures: 5,
    failing_for: Duration::ZERO,
    pause_first: Duration::from_millis(500),
    pause_max: Duration::from_secs(4),
    trials_first: 1,
    trials_last: 8,
    ramp: Duration::ZERO,
};
/// When a cell gets no requests: after this many failures in a row over a second, or when all of its nodes are left alone. A
/// node that dies takes hundreds of requests at one moment, which says nothing of its cell.
pub const CELL_BREAKER: Rules = Rules {
    failures: 10,
    failing_for: Duration::from_secs(1),
    pause_first: Duration::from_millis(500),
    pause_max: Duration::from_secs(2),
    trials_first: 4,
    trials_last: 256,
    ramp: Duration::from_secs(2),
};
const _: () = assert!(CELL_BREAKER.trials_last as usize <= IN_FLIGHT_PER_CELL_MAX);
/// How often nodes are judged, and how long one probe may take.
pub const JUDGE_EVERY: Duration = Duration::from_millis(250);
pub const PROBE_PATIENCE: Duration = Duration::from_secs(1);
/// A node is slow when its reads take this many times the median of its peers', and longer by this much.
pub const SLOW_FACTOR: f64 = 3.0;
pub const SLOW_BY_MIN: Duration = Duration::from_millis(20);
/// Reads within one judgement's time that are enough to judge by.
pub const SLOW_SAMPLES_MIN: u64 = 5;
/// Judgements in a row that must find a node slow.
pub const SLOW_JUDGEMENTS: u32 = 3;
/// One read in so many goes to any usable node, so that one that looks slow, or rests, is judged by how it is now.
pub const EXPLORE_ONE_IN: u64 = 64;
/// An observed latency counts half after this time, so that a node that was slow once is tried again.
pub const LATENCY_HALF_LIFE: Duration = Duration::from_secs(5);

/// A node that owes answers and has given none for this long gets no further request until it gives one or is probed.
pub const SILENCE_MAX: Duration = Duration::from_secs(1);

/// A request for a key or bucket the table does not know waits this long for the change feed to bring it.
pub const UNKNOWN_PATIENCE: Duration = Duration::from_millis(300);
/// Requests that wait so at a time; the next is answered at once.
pub const UNKNOWN_WAITING_MAX: usize = 64;
/// A request that a cell disowned waits this long for a newer table.
pub const MOVED_PATIENCE: Duration = Duration::from_secs(2);

/// For one call to the control plane that does not wait for changes.
pub const CONTROL_PLANE_PATIENCE: Duration = Duration::from_secs(10);
/// For reading the whole table, which is some 200 MB when it has a million accounts, five million buckets and two million keys.
pub const TABLE_PATIENCE: Duration = Duration::from_secs(60);
/// The whole table is fetched this often, whether or not anything changed.
pub const REFETCH_EVERY: Duration = Duration::from_secs(60);
/// The pause after the control plane could not be reached is between zero and this, doubled up to the second.
pub const SYNC_BACKOFF_FIRST: Duration = Duration::from_millis(100);
pub const SYNC_BACKOFF_MAX: Duration = Duration::from_secs(5);
/// The table is saved at most this often, and saving takes at most one in so many parts of the time: a large table under a steady
/// flow of changes must not keep the disk busy.
pub const SAVE_EVERY: Duration = Duration::from_secs(1);
pub const SAVE_ONE_IN: u32 = 20;

/// For background work at shutdown.
pub const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);
/// One in so many requests that went well, or were told to come again, is told at level info.
pub const REQUEST_EVENT_SAMPLE: u128 = 64;

//! Every bound in the router. A number that bounds something lives here or nowhere.

use std::time::Duration;

/// Requests in flight through this router.
pub const IN_FLIGHT_MAX: usize = 2048;
/// Requests in flight to one cell: a cell that answers slowly must leave slots for the others.
pub const IN_FLIGHT_PER_CELL_MAX: usize = 1024;
const _: () = assert!(IN_FLIGHT_PER_CELL_MAX < IN_FLIGHT_MAX);

/// A body of known length up to this is held in memory, so that the request can be sent again.
pub const REPLAY_BODY_BYTES_MAX: u64 = 64 << 10;
const _: () = assert!(REPLAY_BODY_BYTES_MAX as usize * IN_FLIGHT_MAX <= 128 << 20);
/// A write up to this goes to the leader when it is known: its body rides in the leader's log, and one hop is saved.
pub const SMALL_WRITE_BYTES_MAX: u64 = 16 << 10;
/// The largest body of one request: a part of 5 GiB, and room for `aws-chunked` framing around it.
pub const BODY_BYTES_MAX: u64 = (5 << 30) + (64 << 20);

/// How long a request that can be sent again is tried in all. It outlasts an election by far.
pub const REQUEST_PATIENCE: Duration = Duration::from_secs(30);
/// How long one try of such a request may take to begin its answer.
pub const TRY_PATIENCE: Duration = Duration::from_secs(10);
const _: () = assert!(TRY_PATIENCE.as_secs() * 3 <= REQUEST_PATIENCE.as_secs());
/// A copy of 5 GiB happens between request and answer.
pub const COPY_PATIENCE: Duration = Duration::from_secs(15 * 60);
/// How long a cell may neither take a byte of a streamed body nor answer.
pub const STREAM_STALL_PATIENCE: Duration = Duration::from_secs(60);
/// How long a streamed body waits for the cell's `100 Continue` before it is sent without one.
pub const CONTINUE_PATIENCE: Duration = Duration::from_secs(3);

/// Retries a cell's requests earn: one for every ten.
pub const RETRIES_PER_REQUEST: f64 = 0.1;
/// Retries per second that are allowed however few requests there are.
pub const RETRIES_PER_SECOND_FLOOR: f64 = 50.0;
/// Retries that may be saved up.
pub const RETRIES_SAVED_MAX: f64 = 500.0;
/// The pause before a retry is between zero and this, doubled with each further one up to the second.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(25);
pub const BACKOFF_MAX: Duration = Duration::from_millis(800);

/// How long a node that could not be reached is left alone; doubled each time up to the second.
pub const EJECTION_FIRST: Duration = Duration::from_millis(500);
pub const EJECTION_MAX: Duration = Duration::from_secs(10);
/// How often ejected nodes are looked at, and how long one probe may take.
pub const PROBE_EVERY: Duration = Duration::from_millis(250);
pub const PROBE_PATIENCE: Duration = Duration::from_secs(1);
/// An observed latency counts half after this time, so that a node that was slow once is tried again.
pub const LATENCY_HALF_LIFE: Duration = Duration::from_secs(5);

/// A leader that owes answers and has given none for this long is not preferred any more.
pub const LEADER_SILENCE_MAX: Duration = Duration::from_secs(1);

/// A request for a key or bucket the table does not know waits this long for the change feed to bring it.
pub const UNKNOWN_PATIENCE: Duration = Duration::from_millis(300);
/// Requests that wait so at a time; the next is answered at once.
pub const UNKNOWN_WAITING_MAX: usize = 64;
/// A request that a cell disowned waits this long for a newer table.
pub const MOVED_PATIENCE: Duration = Duration::from_secs(2);

/// For one call to the control plane that does not wait for changes.
pub const CONTROL_PLANE_PATIENCE: Duration = Duration::from_secs(10);
/// The whole table is fetched this often, whether or not anything changed.
pub const REFETCH_EVERY: Duration = Duration::from_secs(60);
/// The pause after the control plane could not be reached is between zero and this, doubled up to the second.
pub const SYNC_BACKOFF_FIRST: Duration = Duration::from_millis(100);
pub const SYNC_BACKOFF_MAX: Duration = Duration::from_secs(5);
/// The table is saved at most this often.
pub const SAVE_EVERY: Duration = Duration::from_secs(1);

/// For background work at shutdown.
pub const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);

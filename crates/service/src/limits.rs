//! Every bound of the process plumbing. A number that bounds something lives here or nowhere.

use std::time::Duration;

/// Connections one listener serves at a time; further clients wait in the kernel's backlog.
pub const CONNECTIONS_MAX: usize = 4096;
/// Bytes of a request's head, request line included. S3 allows 8 KiB of headers; presigned URLs and proxies need more.
pub const HEAD_BYTES_MAX: usize = 32 << 10;
/// Headers of one request. It is hyper's own default, which needs no allocation; a larger value would.
pub const HEADERS_MAX: usize = 100;
/// Bytes one connection buffers in each direction. A connection keeps what it once needed, so this times the connections is what clients can
/// make a server hold.
pub const CONNECTION_BUFFER_BYTES: usize = 64 << 10;
const _: () = assert!(HEAD_BYTES_MAX * 2 <= CONNECTION_BUFFER_BYTES);
/// Bytes of an answer that the kernel takes beyond what it could send. What is on its way to the client does not count. Linux only.
pub const UNSENT_BYTES_MAX: u32 = 256 << 10;

/// From the first byte of a request's head to its last.
pub const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// Between two requests on one connection.
pub const IDLE_PATIENCE: Duration = Duration::from_secs(60);
/// Without one byte of progress on a body that is awaited, or on a response that the client does not read.
pub const STALL_PATIENCE: Duration = Duration::from_secs(30);
/// Both ways, on average over the time that was spent waiting for the client: whoever is slower than this after the grace is cut
/// off. 1 KiB/s is a tenth of what the worst links give, and lets a client hold what it holds for a bounded time per byte.
pub const BYTES_PER_SECOND_MIN: u64 = 1 << 10;
/// Longer than one pause that is no stall: who pauses once and goes on is not slow.
pub const SLOW_GRACE: Duration = Duration::from_secs(35);
const _: () = assert!(SLOW_GRACE.as_secs() > STALL_PATIENCE.as_secs());
/// For requests in flight when a server is told to stop.
pub const DRAIN_PATIENCE: Duration = Duration::from_secs(20);
/// For a TLS handshake.
pub const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// How often a process looks whether its certificate was renewed.
pub const RENEWAL_POLL: Duration = Duration::from_secs(30);
/// After an accept failed for want of descriptors or memory, before the next is tried.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long, and for how many bytes, a connection that ends before the whole request was read goes on reading, so that the
/// client sees the answer and not a reset.
pub const LINGER_PATIENCE: Duration = Duration::from_secs(2);
pub const LINGER_BYTES_MAX: usize = 4 << 20;

/// To establish a connection.
pub const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// Unused connections are closed after this. It must be well below [`IDLE_PATIENCE`], or requests race the server's close.
pub const POOL_IDLE_PATIENCE: Duration = Duration::from_secs(20);
const _: () = assert!(POOL_IDLE_PATIENCE.as_secs() * 2 <= IDLE_PATIENCE.as_secs());
/// Unused connections kept for one peer.
pub const POOL_IDLE_MAX: usize = 64;
/// The largest answer to a call between our own processes that is held in memory whole. A routing table is read piece by piece.
pub const ANSWER_BYTES_MAX: usize = 128 << 20;
/// The largest refusal that is read for its reason.
pub const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// The shortest bearer token: 128 bits in hex.
pub const TOKEN_CHARACTERS_MIN: usize = 32;

/// With fewer open files than this a server warns: a cell node's index alone keeps up to 512, a router a socket per connection.
pub const OPEN_FILES_LEAST: u64 = 4_096;

/// How often observations are folded into histograms, whether or not anybody scrapes.
pub const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// For one export of spans, and for the last one at shutdown.
pub const EXPORT_PATIENCE: Duration = Duration::from_secs(5);

/// How often settings are asked for, and how long one answer may take.
pub const SETTINGS_POLL: Duration = Duration::from_secs(2);
pub const SETTINGS_PATIENCE: Duration = Duration::from_secs(5);

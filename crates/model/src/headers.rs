//! Names of the HTTP headers that Bulkhead's own processes exchange. S3's headers are not here.
//!
//! The router overwrites every one of these on a request that comes from outside.

/// The account the router believes the request is for, 12 digits. A hint for placement, never for charging.
pub const ACCOUNT: &str = "x-bulkhead-account";
/// The account that owns the access key of the request, as the router's table has it. A hint.
pub const SIGNER: &str = "x-bulkhead-signer";
/// The routing epoch under which the router chose this cell, decimal.
pub const EPOCH: &str = "x-bulkhead-epoch";
/// Set by a cell on `421`: the account is not served here under the epoch that was sent; the value is the cell's epoch.
pub const MOVED: &str = "x-bulkhead-moved";
/// Set by a cell on a response to a request it certainly did not execute (not the leader yet, draining, overloaded):
/// the router may send the request to another node, even if it is a write.
pub const NOT_EXECUTED: &str = "x-bulkhead-not-executed";
/// Set by a cell on an error of a request of which it does not know whether it was executed: the router may send it again
/// under the same [`REQUEST_ID`], by which the cell recognises what it has done already.
pub const OUTCOME_UNKNOWN: &str = "x-bulkhead-outcome-unknown";
/// Set by the router on the repetition of a write of which an earlier try may have been executed. A cell that refused it would leave
/// the outcome unknown for good, so it goes before requests that have not begun, whatever its account is over.
pub const UNSETTLED: &str = "x-bulkhead-unsettled";
/// Milliseconds the sender will still wait. Absent means the receiver's default.
pub const DEADLINE: &str = "x-bulkhead-deadline-ms";
/// Set by a cell on every response: the node that answered, and whether it leads (`"7 leader"`, `"7 follower"`).
pub const NODE: &str = "x-bulkhead-node";
/// The id of one client request, 32 hex digits: the key of exactly-once.
pub const REQUEST_ID: &str = "x-request-id";

//! Calls between the nodes of one group: HTTP/1.1 with compact bodies that start with a format version.
//!
//! Every call but the question who a node is names the node it is meant for, in the life that is meant, and is refused by any
//! other: neither a reused address nor an emptied directory can make a stranger vote. Must not know what commands mean.

mod peers;
mod raft;
mod server;
mod wire;

pub(crate) use peers::{CallError, Peers};
pub(crate) use raft::Factory;
pub(crate) use server::{Served, router};
pub(crate) use wire::ProposeAnswer;

/// The node a call is meant for, and which life of it: see [`crate::identity`].
const TO: &str = "x-bulkhead-to-node";

/// The calls.
pub(crate) mod path {
    pub const IDENTITY: &str = "/raft/identity";
    pub const APPEND: &str = "/raft/append";
    pub const VOTE: &str = "/raft/vote";
    pub const PRE_VOTE: &str = "/raft/pre-vote";
    pub const SNAPSHOT: &str = "/raft/snapshot";
    pub const READ_INDEX: &str = "/raft/read-index";
    pub const PROPOSE: &str = "/raft/propose";
    pub const PACE: &str = "/raft/pace";
    pub const TRANSFER_LEADER: &str = "/raft/transfer-leader";
}

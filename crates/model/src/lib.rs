//! The vocabulary every Bulkhead program shares: ids, names, blueprint, certificate, routing table, wire types.
//!
//! No I/O, no clock, no tokio: whatever needs one of those belongs to the crate that uses the word.

pub mod account_limits;
pub mod api;
pub mod blueprint;
pub mod certificate;
pub mod certification;
pub mod fence;
pub mod hand;
pub mod headers;
pub mod ids;
pub mod machine;
pub mod names;
pub mod routing;
pub mod settings;
pub mod shard;
pub mod timestamp;

pub use account_limits::{AccountLimits, Limit, Limits};
pub use blueprint::Blueprint;
pub use certificate::{Certificate, SigningKey, VerifyingKey};
pub use ids::{AccessKeyId, AccountId, Az, CellId, ClaimId, Epoch, NodeId, RequestId};
pub use routing::RoutingTable;
pub use timestamp::Timestamp;

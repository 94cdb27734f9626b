//! The cells as the router sees them: nodes, how they are doing, and which one gets the next try.

mod account;
pub mod attempt;
pub mod balance;
pub mod body;
pub mod breaker;
pub mod cell;
pub mod guard;
pub mod head;
pub mod health;
mod judge;
pub mod latency;
pub mod node;
pub mod pool;
pub mod retry;
pub mod throttle;

pub use cell::Cell;
pub use node::Node;
pub use pool::Upstreams;

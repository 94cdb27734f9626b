//! Background jobs of a node: one file each, started in `node`, stopped with the node's tasks.

pub mod epochs;
pub mod gauges;
pub mod outbox;

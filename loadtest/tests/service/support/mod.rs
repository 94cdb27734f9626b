//! What the tests with real processes share: a runner, a cluster, and the tools of others.

pub mod collector;
pub mod fleet;
pub mod program;
pub mod suite;
pub mod tool;

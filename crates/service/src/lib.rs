//! Process plumbing shared by the servers: environment, configuration, telemetry, TLS, HTTP serving, shutdown.
//!
//! Knows nothing of S3, storage or routing.

pub mod env;

pub use env::Env;

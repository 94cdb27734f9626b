//! Process plumbing shared by the servers: environment, configuration, telemetry, TLS, HTTP serving, calls, settings, shutdown.
//!
//! Knows nothing of S3, storage or routing.

pub mod auth;
pub mod client;
pub mod config;
pub mod directory;
pub mod drill;
pub mod env;
pub mod fail_point;
pub mod health;
pub mod http;
pub mod limits;
pub mod open_files;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod tls;

pub use env::Env;

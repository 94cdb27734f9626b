//! Load, fault drills and comparison: an S3 client that counts an unknown outcome as unknown, and the scenarios built
//! on it.
//!
//! Speaks only S3, the `bulkhead` command line and what the processes publish. Must not know any server crate.

pub mod admin;
pub mod apart;
pub mod certify;
pub mod client;
pub mod clock;
pub mod compare;
pub mod cpu_share;
pub mod driver;
#[cfg(test)]
mod fake;
pub mod faults;
pub mod html;
pub mod limits;
pub mod load;
pub mod machine;
pub mod null;
pub mod oracle;
pub mod powercut;
pub mod report;
pub mod scenario;
pub mod settings;
pub mod tls;
pub mod workload;

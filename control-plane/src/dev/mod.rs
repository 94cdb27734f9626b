//! A whole fleet on this machine for `make up`: control plane, router, two cells, one account.
//!
//! Every step looks first and acts only on what is missing, so `up` may be repeated after anything, a reboot included.

mod account;
pub mod certificates;
mod configs;
mod down;
mod env_file;
mod layout;
mod probe;
mod up;

pub use down::down;
pub use up::{Wanted, up};

use std::path::PathBuf;

/// Why the fleet is not up, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    #[error(
        "{} was set up with port {was}, but --port says {asked}. Use port {was}, or another data directory; a fleet's ports are never changed.",
        data.display()
    )]
    OtherPort { data: PathBuf, was: u16, asked: u16 },
    #[error("port {port} is in use by another program. Choose another with --port (make up PORT=...).")]
    PortInUse { port: u16 },
    #[error(
        "{} was set up without mutual TLS, and a fleet stays as it was set up. Use another data directory for --mutual-tls.",
        data.display()
    )]
    Plain { data: PathBuf },
    #[error("certificates cannot be made: {0}")]
    Certificates(rcgen::Error),
    #[error("--port {port} leaves no room for the fleet's other ports above it; choose one below {max}")]
    PortTooHigh { port: u16, max: u16 },
    #[error("there is no {}; run this where the blueprints are, or say --blueprints DIR", file.display())]
    NoBlueprint { file: PathBuf },
    #[error("there is no {}; build everything first: cargo build --workspace --bins", file.display())]
    NoBinary { file: PathBuf },
    #[error("{name} is not ready after {seconds} s ({why}); its log is {}", log.display())]
    NotReady { name: String, seconds: u64, why: String, log: PathBuf },
    #[error("a signed request through the router still fails after {seconds} s: {why}")]
    NotServing { seconds: u64, why: String },
    #[error("{}: {why}", file.display())]
    File { file: PathBuf, why: std::io::Error },
}

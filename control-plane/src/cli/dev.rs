//! `bulkhead dev`: a whole fleet on this machine.

use super::{CliError, Output, Settings};
use crate::dev;
use clap::Subcommand;
use std::{net::IpAddr, path::PathBuf};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a control plane, a router and two cells; create an account; print how to reach it. Repeating it starts what is not running.
    #[command(after_help = "Example: bulkhead dev up --data .bulkhead --port 9000")]
    Up {
        /// The router's S3 port. All other ports follow it. By default the port of the data directory, or 9000.
        #[arg(long)]
        port: Option<u16>,
        /// Addresses to listen on instead of the loopback interface: one for router and control plane, then one for each node
        /// of a cell. For tests that put every node into a network of its own.
        #[arg(long, value_delimiter = ',')]
        hosts: Vec<IpAddr>,
        /// Where the blueprints are.
        #[arg(long, default_value = "blueprints")]
        blueprints: PathBuf,
        /// Let cells take accounts without a certificate. For tests that start many clusters: it is shown wherever a cell is.
        #[arg(long)]
        uncertified: bool,
        /// Stamp the next cell when the fleet has less left than so many hundredths of a cell; 0 never does.
        #[arg(long, value_name = "PERCENT")]
        floor: Option<u64>,
        /// Have everything but the router's S3 listener speak mutual TLS, with a CA made for this fleet. A fleet stays as it was set up.
        #[arg(long)]
        mutual_tls: bool,
    },
    /// Stop everything that `dev up` started. The data stays.
    #[command(after_help = "Example: bulkhead dev down --data .bulkhead")]
    Down,
}

impl Command {
    pub async fn run(self, settings: &Settings) -> Result<Output, CliError> {
        match self {
            Self::Up { port, hosts, blueprints, uncertified, floor, mutual_tls } => {
                let wanted = dev::Wanted { hosts, blueprints, uncertified, floor, mutual_tls };
                dev::up(&settings.data, port, wanted).await
            }
            Self::Down => dev::down(&settings.data).await,
        }
    }
}

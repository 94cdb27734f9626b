//! `bulkhead-router --config FILE`: reads the configuration, serves until a signal, drains.

use anyhow::Context as _;
use bulkhead_router::config::Config;
use bulkhead_service::{
    Env,
    config::load,
    open_files, shutdown,
    telemetry::{self, Identity},
};
use clap::Parser;
use std::path::PathBuf;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Routes S3 requests to the cells of the fleet.
#[derive(Parser)]
#[command(name = "bulkhead-router", version)]
struct Arguments {
    /// The configuration file (TOML).
    #[arg(long)]
    config: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config: Config = load(&Arguments::parse().config)?;
    let env = Env::system();
    let identity = Identity { service: "bulkhead-router", labels: Vec::new() };
    let telemetry = telemetry::init(&env, &config.telemetry, &identity)?;
    open_files::raise()?;
    let started = bulkhead_router::start(env, &config, telemetry.metrics()).await?;
    shutdown::requested().await.context("waiting for a signal")?;
    started.stop().await;
    telemetry.shutdown().await;
    Ok(())
}

//! `bulkhead-cell --config FILE`: runs one node until it is told to stop.

use anyhow::Context as _;
use bulkhead_cell::{config::Config, limits, node::Node};
use bulkhead_service::{
    Env, fail_point, open_files, shutdown,
    telemetry::{self, Identity},
};
use clap::Parser;
use std::path::PathBuf;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One node of a Bulkhead cell.
#[derive(Debug, Parser)]
#[command(version, after_help = "Example: bulkhead-cell --config /etc/bulkhead/cell.toml")]
struct Arguments {
    /// The configuration file (TOML).
    #[arg(long)]
    config: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let config = Config::load(&arguments.config)?;
    fail_point::arm(config.blueprint.name == "dev")?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(config))
}

async fn run(mut config: Config) -> anyhow::Result<()> {
    let env = Env::system();
    // s3s would report every request that is refused as an error, and with `debug` signatures. Each request is told once, by us.
    config.file.telemetry.log.push_str(",s3s=off");
    let labels = vec![
        ("cell", config.file.cell.to_string()),
        ("az", config.file.az.to_string()),
        ("node", config.file.node.to_string()),
    ];
    let telemetry = telemetry::init(&env, &config.file.telemetry, &Identity { service: "bulkhead-cell", labels })?;
    open_files::raise()?;
    let node = Node::start(config, env.clone(), telemetry.metrics()).await.context("the node did not start")?;
    let end = tokio::select! {
        requested = shutdown::requested() => requested.map_err(Into::into),
        why = node.ended() => Err(anyhow::anyhow!("consensus has ended: {why}")),
    };
    if let Err(error) = &end {
        tracing::error!(%error, "the node ends");
    }
    node.stop(limits::SHUTDOWN_PATIENCE).await;
    telemetry.shutdown().await;
    end
}

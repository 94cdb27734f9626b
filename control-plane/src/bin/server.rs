//! `bulkhead-control-plane`: one node of the control plane.

use anyhow::Context as _;
use bulkhead_control_plane::{config::Config, node::Node};
use bulkhead_service::{
    Env, config, fail_point, open_files,
    telemetry::{self, Identity},
};
use clap::Parser;
use std::path::PathBuf;

/// One node of the Bulkhead control plane.
///
/// Example: bulkhead-control-plane --config .bulkhead/control-plane.toml
#[derive(Parser)]
#[command(name = "bulkhead-control-plane", version, verbatim_doc_comment)]
struct Arguments {
    /// The configuration file (TOML).
    #[arg(long)]
    config: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let config: Config = config::load(&arguments.config)?;
    let env = Env::system();
    let labels = vec![("node", config.node.to_string()), ("az", config.az.to_string())];
    let identity = Identity { service: "bulkhead-control-plane", labels };
    let telemetry = telemetry::init(&env, &config.telemetry, &identity).context("telemetry")?;
    open_files::raise()?;
    fail_point::arm(config.api.ip().is_loopback())?;
    let node = Node::start(config, env, telemetry.metrics()).await.inspect_err(|error| {
        tracing::error!(%error, "the node does not start");
    })?;
    node.run().await?;
    telemetry.shutdown().await;
    Ok(())
}

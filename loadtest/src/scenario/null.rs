//! `null`: a server that does nothing but answer, to find what the load test itself can do at most.

use crate::{
    clock,
    null::{Stall, listen, serve},
};
use clap::Args;
use std::time::Duration;

#[derive(Debug, Args)]
pub struct Null {
    /// The port on loopback; 0 takes a free one
    #[arg(long, default_value_t = 9090)]
    port: u16,
    /// Stand still once, after so many seconds
    #[arg(long)]
    stall_after: Option<u64>,
    /// For so many milliseconds
    #[arg(long, default_value_t = 1_000)]
    stall_ms: u64,
    /// End after so many seconds
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

/// Serves until its time is over.
///
/// # Errors
/// When the port is taken.
pub async fn run(null: &Null) -> anyhow::Result<()> {
    let (listener, address) = listen(null.port).await?;
    println!("http://{address}");
    let stall = null.stall_after.map(|seconds| Stall {
        from: clock::now() + Duration::from_secs(seconds),
        lasts: Duration::from_millis(null.stall_ms),
    });
    // Its time being over is how it ends.
    let _over = tokio::time::timeout(Duration::from_secs(null.seconds), serve(listener, stall)).await;
    Ok(())
}

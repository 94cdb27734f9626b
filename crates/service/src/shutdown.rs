//! The end of a process: a signal, then the servers in the order given, then all background work.
//!
//! Order matters: the server that takes outside requests drains first, while the ones its requests depend on still serve.

use crate::{Env, http::Running};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// When the process cannot listen for signals.
pub async fn requested() -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(signal = name, "stopping");
    Ok(())
}

/// Stops the servers one after the other, each after its requests in flight, then all tasks. Says whether all of it ended in time.
pub async fn drain(env: &Env, servers: Vec<Running>, patience: Duration) -> bool {
    for server in servers {
        server.stop().await;
    }
    let ended = env.tasks.shutdown(patience).await;
    if !ended {
        tracing::warn!(patience_ms = patience.as_millis(), "background work did not end in time");
    }
    ended
}

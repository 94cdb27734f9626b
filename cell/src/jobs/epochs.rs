//! Rotates this node's upload epoch: a new one at start and every few minutes, so that the old ones drain and are closed, and what
//! was never named under them becomes garbage for certain.

use crate::{
    limits::{EPOCH_PATIENCE, EPOCH_RETRY, EPOCH_ROTATION},
    meta::index::IndexHandle,
};
use bulkhead_service::Env;
use std::time::Duration;

/// Rotates until the node stops. Begins when the index is ready: before, nothing is uploaded either.
pub async fn run(index: IndexHandle, env: Env) {
    let stopping = env.tasks.stopping();
    let mut status = index.replica().watch();
    match stopping.run_until_cancelled(status.wait_for(|status| status.ready)).await {
        Some(Ok(_)) => {}
        Some(Err(_)) | None => return,
    }
    while stopping.run_until_cancelled(step(&index, &env)).await.is_some() {}
}

async fn step(index: &IndexHandle, env: &Env) {
    let pause = match index.rotate_epoch(env.clock.now() + EPOCH_PATIENCE).await {
        Ok(()) => EPOCH_ROTATION,
        Err(error) => {
            tracing::warn!(%error, "no upload epoch was opened");
            EPOCH_RETRY
        }
    };
    tokio::time::sleep(pause + env.rng.jitter(Duration::from_secs(1))).await;
}

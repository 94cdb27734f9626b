//! Runs the errands that commands left for the control plane: on the leader, in order, until each is heard.
//!
//! An errand may be run twice, by an old leader and a new one: all are idempotent. Nothing tenants do waits for this.

use crate::{
    limits::{ERRAND_PATIENCE, OUTBOX_BATCH, OUTBOX_INTERVAL, OUTBOX_INTERVAL_MAX},
    meta::{
        bookkeeping::Errand,
        command::Command,
        index::{IndexHandle, Origin},
    },
    names::Names,
};
use bulkhead_service::Env;
use std::time::Duration;

/// Why an errand is still to be run.
#[derive(Debug, thiserror::Error)]
enum ErrandError {
    #[error(transparent)]
    Release(#[from] crate::names::ReleaseError),
    #[error("that it was heard is not committed: {0}")]
    Submit(#[from] crate::meta::index::SubmitError),
    #[error("that it was heard was refused: {0}")]
    Refused(#[from] crate::meta::command::Refusal),
    #[error("the outbox cannot be read: {0}")]
    Store(#[from] bulkhead_replica::StoreError),
}

/// Runs errands until the node stops.
pub async fn run(index: IndexHandle, names: Names, env: Env) {
    let stopping = env.tasks.stopping();
    let mut failures = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause(failures, &env)) => {}
            () = stopping.cancelled() => return,
        }
        failures = match drain(&index, &names, &env).await {
            Ok(()) => 0,
            Err(error) => {
                tracing::warn!(%error, failures, "an errand to the control plane is still to be run");
                failures + 1
            }
        };
    }
}

/// How long to wait after so many failures in a row: doubled each time, up to a bound, half of it by chance.
fn pause(failures: u32, env: &Env) -> Duration {
    let whole = OUTBOX_INTERVAL.saturating_mul(1 << failures.min(16)).min(OUTBOX_INTERVAL_MAX);
    if failures == 0 { whole } else { whole / 2 + env.rng.jitter(whole / 2) }
}

/// Runs the oldest errands, if this node leads. Stops at the first that fails, so that they stay in order.
async fn drain(index: &IndexHandle, names: &Names, env: &Env) -> Result<(), ErrandError> {
    if !index.replica().is_leader() {
        return Ok(());
    }
    let errands = index.local().errands(OUTBOX_BATCH)?;
    for (sequence, errand) in errands {
        let deadline = env.clock.now() + ERRAND_PATIENCE;
        match errand {
            Errand::ReleaseName { name, claim } => names.release(&name, claim, deadline).await?,
        }
        index.execute(Origin::default(), Command::OutboxDone { sequence }, deadline).await??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_with_failures_up_to_a_bound() {
        let env = Env::for_tests(1);
        assert_eq!(pause(0, &env), OUTBOX_INTERVAL);
        for failures in 1..40 {
            let bound = OUTBOX_INTERVAL.saturating_mul(1 << failures.min(16)).min(OUTBOX_INTERVAL_MAX);
            let pause = pause(failures, &env);
            assert!((bound / 2..=bound).contains(&pause), "{failures}: {pause:?}");
        }
    }
}

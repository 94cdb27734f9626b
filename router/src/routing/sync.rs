//! Keeps the table up to date: follows the change feed, and fetches the whole table on a timer whether or not anything changed.
//!
//! A control plane that is away costs nothing but age: the table in memory goes on serving.

use super::{Older, Table, saved};
use crate::limits;
use bulkhead_model::{
    RoutingTable,
    api::control_plane::{Changes, FEED_WAIT_SECONDS},
    routing::{Malformed, binary},
};
use bulkhead_service::{
    Env,
    client::{self, ClientError, Endpoints},
    limits::ANSWER_BYTES_MAX,
};
use http::{Method, header};
use http_body_util::BodyExt as _;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The feed holds a call for as long as it waits for a change, and a little longer on the way.
const FEED_PATIENCE: Duration = Duration::from_secs(FEED_WAIT_SECONDS + 5);

/// Why a step brought nothing. Each is followed by a pause.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error("the control plane did not answer: {0}")]
    Call(#[from] ClientError),
    #[error("the control plane's routing table is not taken: {0}")]
    Older(#[from] Older),
    #[error("the control plane's routing table cannot be read: {0}")]
    Malformed(#[from] Malformed),
}

/// What the table is kept up to date with.
#[derive(Debug, Clone)]
pub struct Sync {
    pub env: Env,
    pub table: Arc<Table>,
    pub control_plane: Endpoints,
    /// Where the table is saved.
    pub data: PathBuf,
}

impl Sync {
    /// Starts following and saving.
    pub fn start(self) {
        self.env.clone().tasks.spawn("routing feed", self.clone().follow());
        self.env.clone().tasks.spawn("routing save", self.save());
    }

    async fn follow(self) {
        let stopping = self.env.tasks.stopping();
        let mut refetch_at = self.env.clock.now();
        let mut failures = 0;
        while !stopping.is_cancelled() {
            let Some(step) = stopping.run_until_cancelled(self.step(&mut refetch_at)).await else { return };
            self.table.heard(step.is_ok());
            match step {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    metrics::counter!("routing_sync_failures").increment(1);
                    tracing::warn!(%error, failures, version = self.table.load().version, "the routing table grows old");
                    let pause = self.env.rng.jitter(backoff(failures));
                    if stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// One call to the control plane: the whole table when its time has come, else the next changes.
    async fn step(&self, refetch_at: &mut Instant) -> Result<(), SyncError> {
        let now = self.env.clock.now();
        if now >= *refetch_at {
            let table = tokio::time::timeout(limits::TABLE_PATIENCE, self.fetch()).await;
            self.table.replace(table.map_err(|_| ClientError::TimedOut(limits::TABLE_PATIENCE))??)?;
            *refetch_at = now + limits::REFETCH_EVERY;
            return Ok(());
        }
        let path = format!("/v1/routing/changes?after={}", self.table.load().version);
        let feed = self.control_plane.json(Method::GET, &path, None::<&()>, FEED_PATIENCE);
        tokio::select! {
            changes = feed => {
                let changes: Changes = changes?;
                if changes.reset {
                    *refetch_at = now;
                }
                self.table.apply(changes.changes);
            }
            () = self.table.refetch_asked() => *refetch_at = now,
            () = tokio::time::sleep_until(*refetch_at) => {}
        }
        Ok(())
    }

    /// The whole table, put together as it comes: what has not changed is shared with the one that is here. A control plane of an
    /// older build answers JSON.
    async fn fetch(&self) -> Result<RoutingTable, SyncError> {
        let answer =
            self.control_plane.open("/v1/routing", binary::CONTENT_TYPE, limits::CONTROL_PLANE_PATIENCE).await?;
        let (head, mut body) = answer.into_parts();
        if head.headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind.as_bytes() != binary::CONTENT_TYPE.as_bytes())
        {
            let text = client::whole(body, ANSWER_BYTES_MAX).await?;
            return serde_json::from_slice(&text).map_err(|error| ClientError::Malformed(error.to_string()).into());
        }
        let mut decoder = binary::Decoder::new(&self.table.load());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| ClientError::Lost(error.to_string()))?;
            if let Ok(data) = frame.into_data() {
                decoder.push(&data)?;
            }
        }
        Ok(decoder.finish()?)
    }

    async fn save(self) {
        let stopping = self.env.tasks.stopping();
        let mut published = self.table.watch();
        let changes = async {
            while published.changed().await.is_ok() {
                let began = self.env.clock.now();
                self.save_now().await;
                let took = self.env.clock.now().saturating_duration_since(began);
                tokio::time::sleep(limits::SAVE_EVERY.max(took * limits::SAVE_ONE_IN)).await;
            }
        };
        stopping.run_until_cancelled(changes).await;
        self.save_now().await;
    }

    async fn save_now(&self) {
        let (table, data) = (self.table.load(), self.data.clone());
        match tokio::task::spawn_blocking(move || saved::save(&data, &table)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the routing table was not saved"),
            Err(error) => tracing::error!(%error, "saving the routing table did not end"),
        }
    }
}

fn backoff(failures: u32) -> Duration {
    let doubled = limits::SYNC_BACKOFF_FIRST.saturating_mul(1 << failures.clamp(1, 16).saturating_sub(1));
    doubled.min(limits::SYNC_BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_and_is_bounded() {
        assert_eq!(backoff(1), limits::SYNC_BACKOFF_FIRST);
        assert_eq!(backoff(2), limits::SYNC_BACKOFF_FIRST * 2);
        assert_eq!(backoff(u32::MAX), limits::SYNC_BACKOFF_MAX);
    }
}

//! Background jobs of a node: one file each, started in `node`, stopped with the node's tasks.

pub mod census;
pub mod compact;
pub mod epochs;
pub mod figures;
pub mod garbage;
pub mod gauges;
pub mod outbox;
mod pace;
pub mod repair;
pub mod scrub;

use crate::{admit::Admission, chunks::ChunkStore, meta::index::IndexHandle};
use bulkhead_replica::StoreError;
use bulkhead_service::{Env, env::Tasks, settings::Live};
use figures::Figures;
use std::{path::PathBuf, sync::Arc, time::Duration};

/// What looks after a node's epochs and chunks, and how often.
pub struct Jobs {
    pub index: IndexHandle,
    pub chunks: ChunkStore,
    pub figures: Arc<Figures>,
    pub admission: Admission,
    pub env: Env,
    pub settings: Live,
    /// Released bytes are kept for so long.
    pub grace: Duration,
    /// Every byte is read within this.
    pub scrub: Duration,
    /// Between two comparisons of all chunks with the index.
    pub census: Duration,
    /// Where scrub keeps how far it is.
    pub scrub_file: PathBuf,
}

impl Jobs {
    /// Starts them all. They end with the node's tasks.
    pub fn start(self) {
        let Self { index, chunks, figures, admission, env, settings, grace, scrub, census, scrub_file: path } = self;
        let (index, chunks, figures) = (|| index.clone(), || chunks.clone(), || Arc::clone(&figures));
        let (admission, environment, settings) = (|| admission.clone(), || env.clone(), || settings.clone());
        let garbage = garbage::Job::new(index(), chunks(), figures(), environment(), grace);
        let census = census::Job {
            index: index(),
            chunks: chunks(),
            figures: figures(),
            env: environment(),
            grace,
            interval: census,
        };
        let scrub = scrub::Job {
            chunks: chunks(),
            figures: figures(),
            admission: admission(),
            env: environment(),
            period: scrub,
            path,
        };
        let repair = repair::Job {
            index: index(),
            chunks: chunks(),
            figures: figures(),
            admission: admission(),
            env: environment(),
            settings: settings(),
            grace,
        };
        let compact = compact::Job {
            index: index(),
            chunks: chunks(),
            figures: figures(),
            admission: admission(),
            env: environment(),
            settings: settings(),
            grace,
        };
        env.tasks.spawn("epochs", epochs::run(index(), environment()));
        env.tasks.spawn("garbage", garbage.run());
        env.tasks.spawn("census", census.run());
        env.tasks.spawn("scrub", scrub.run());
        env.tasks.spawn("repair", repair.run());
        env.tasks.spawn("compact", compact.run());
    }
}

/// Runs a longer read of the index where it does not hold up requests.
async fn blocking<T: Send + 'static>(
    tasks: &Tasks,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tasks.blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Store(format!("reading it did not end: {error}"))),
    }
}

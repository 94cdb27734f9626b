//! One of the two services: where it is, who asks, and what is there to be measured.

use crate::{
    client::{Condition, Credentials, Outcome, PayloadHash, Put, Session, Target},
    clock,
    faults::{Cluster, binaries},
    limits::{COMPARE_FILLERS, FILL_TRIES, POLL},
    scenario::first_bucket,
    settings::dev_env,
    workload::Content,
};
use anyhow::Context as _;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::task::JoinSet;

/// What was said of a side.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// `http://HOST:PORT`, or the data directory of a fleet on this machine.
    pub at: String,
    pub name: Option<String>,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
    pub region: Option<String>,
    pub pids: Vec<u32>,
    pub data: Option<PathBuf>,
}

/// A side.
#[derive(Debug)]
pub struct Side {
    pub name: String,
    pub target: Arc<Target>,
    pub bucket: String,
    /// Of its servers, on this machine.
    pub pids: Vec<u32>,
    /// On the device whose flushes are counted.
    pub data: Option<PathBuf>,
}

impl Side {
    /// Finds it and makes its bucket.
    ///
    /// # Errors
    /// When it is not described well enough, or cannot be used.
    pub async fn open(said: Said, letter: char) -> anyhow::Result<Self> {
        let name = said.name.clone().unwrap_or_else(|| letter.to_string());
        let (target, pids, data) = if said.at.contains("://") {
            let needed = |value: &Option<String>, what: &str| {
                value.clone().with_context(|| format!("side {letter} needs --{}-{what}", letter.to_ascii_lowercase()))
            };
            let credentials = Credentials {
                access_key_id: needed(&said.access_key_id, "access-key-id")?,
                secret_access_key: needed(&said.secret_access_key, "secret-access-key")?,
                region: said.region.clone().unwrap_or_else(|| "us-east-1".to_owned()),
            };
            (Arc::new(Target::new(&said.at, credentials)?), said.pids, said.data)
        } else {
            fleet(Path::new(&said.at), said.pids).await.with_context(|| format!("side {letter}"))?
        };
        let bucket = format!("compare-{}-{}", letter.to_ascii_lowercase(), clock::stamp());
        first_bucket(&target, &bucket).await.with_context(|| format!("side {letter}, {}", target.endpoint()))?;
        Ok(Self { name, target, bucket, pids, data })
    }

    /// Whether an object is there.
    pub async fn has(&self, key: &str) -> bool {
        let mut session = Session::new(self.target.clone(), PayloadHash::Unsigned);
        matches!(session.head(&self.bucket, key).await, Outcome::Ok(_))
    }

    /// Writes objects by many connections until each is there.
    ///
    /// # Errors
    /// When one cannot be written.
    pub async fn fill(
        &self,
        keys: u64,
        key: impl Fn(u64) -> String + Clone + Send + 'static,
        bytes: u64,
    ) -> anyhow::Result<()> {
        let next = Arc::new(AtomicU64::new(0));
        let mut writers = JoinSet::new();
        for _ in 0..COMPARE_FILLERS.min(keys) {
            let (next, key, bucket) = (next.clone(), key.clone(), self.bucket.clone());
            let mut session = Session::new(self.target.clone(), PayloadHash::Unsigned);
            writers.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= keys {
                        return anyhow::Ok(());
                    }
                    write(&mut session, &bucket, &key(number), bytes).await?;
                }
            });
        }
        while let Some(ended) = writers.join_next().await {
            ended??;
        }
        Ok(())
    }
}

type Found = (Arc<Target>, Vec<u32>, Option<PathBuf>);

/// A fleet on this machine says itself who it is.
async fn fleet(data: &Path, pids: Vec<u32>) -> anyhow::Result<Found> {
    let target = dev_env(&data.join("dev.env"))?;
    let processes = Cluster::new(binaries()?.join("bulkhead"), data.to_owned()).list().await?;
    let running = processes.iter().filter(|row| row.alive).filter_map(|row| row.pid).collect();
    Ok((target, if pids.is_empty() { running } else { pids }, Some(data.to_owned())))
}

async fn write(session: &mut Session, bucket: &str, key: &str, bytes: u64) -> anyhow::Result<()> {
    let put = Put { bucket, key, version: 1, content: Content::of(key, 1, bytes), condition: Condition::Always };
    for _ in 0..FILL_TRIES {
        match session.put(&put).await {
            Outcome::Ok(_) => return Ok(()),
            Outcome::Refused(refusal) if refusal.certain() => anyhow::bail!("filling {key}: {refusal}"),
            Outcome::Refused(_) | Outcome::Unsent(_) | Outcome::Unknown(_) => tokio::time::sleep(POLL).await,
        }
    }
    session.put(&put).await.required(&format!("filling {key}")).map(drop)
}

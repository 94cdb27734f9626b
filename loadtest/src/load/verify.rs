//! Every key read back after a run: what was acknowledged is there, byte for byte, and nothing else.

use super::{
    engine::{Engine, Tenant},
    keys::{Keys, Standing},
};
use crate::{
    client::{Outcome, PayloadHash, Refusal, Session},
    clock,
    limits::{FILL_CONNECTIONS, POLL, VERIFY_PATIENCE, VIOLATIONS_MAX},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use tokio::task::JoinSet;

/// What all keys of a run hold in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    pub keys: u64,
    pub bytes: u64,
    /// Keys that hold nothing, as they should.
    pub absent: u64,
    /// Keys with a write of unknown outcome: any of its possible ends was good.
    pub doubtful: u64,
    /// Keys that could not be read in time.
    pub unreadable: u64,
    /// Keys that hold what no correct store would.
    pub wrong: u64,
    /// Of the last two, some.
    pub examples: Vec<String>,
}

impl Engine {
    /// Reads every key of every account. None may be written meanwhile.
    ///
    /// # Errors
    /// When a reader panics.
    pub async fn verify(&self) -> anyhow::Result<Verified> {
        let found = Arc::new(Mutex::new(Verified::default()));
        for tenant in self.tenants() {
            let next = Arc::new(AtomicU32::new(0));
            let mut readers = JoinSet::new();
            for _ in 0..FILL_CONNECTIONS {
                readers.spawn(read_all(tenant.clone(), next.clone(), found.clone()));
            }
            while let Some(ended) = readers.join_next().await {
                ended?;
            }
        }
        let mut found = found.lock().clone();
        found.doubtful = self.tenants().iter().map(|tenant| tenant.keys.doubtful()).sum();
        Ok(found)
    }
}

async fn read_all(tenant: Arc<Tenant>, next: Arc<AtomicU32>, found: Arc<Mutex<Verified>>) {
    let mut session = Session::new(tenant.target.clone(), PayloadHash::Unsigned);
    loop {
        let key = next.fetch_add(1, Ordering::Relaxed);
        if key >= tenant.keys.count() {
            return;
        }
        let read = read(&tenant, &mut session, key).await;
        let mut found = found.lock();
        found.keys += 1;
        let example = match read {
            Read::Whole(bytes) => {
                found.bytes += bytes;
                None
            }
            Read::Absent => {
                found.absent += 1;
                None
            }
            Read::Wrong(what) => {
                found.wrong += 1;
                Some(what)
            }
            Read::Unreadable(why) => {
                found.unreadable += 1;
                Some(format!("{}: {why}", Keys::name(key)))
            }
        };
        if found.examples.len() < VIOLATIONS_MAX {
            found.examples.extend(example);
        }
    }
}

enum Read {
    Whole(u64),
    Absent,
    Wrong(String),
    Unreadable(String),
}

async fn read(tenant: &Tenant, session: &mut Session, key: u32) -> Read {
    let (name, deadline) = (Keys::name(key), clock::now() + VERIFY_PATIENCE);
    loop {
        let reading = tenant.keys.begin_read(key);
        let why = match session.get(&tenant.bucket, &name).await {
            Outcome::Ok(download) => {
                let version = download.version.unwrap_or(0);
                let content = tenant.group.sizes.content(&name, version);
                match download.verify(content, 0).await {
                    Outcome::Ok(Ok(bytes)) if bytes == content.len() => {
                        let seen = tenant.keys.end_read(key, &reading, Standing::Version(version));
                        return seen.map_or_else(Read::Wrong, |()| Read::Whole(bytes));
                    }
                    Outcome::Ok(Ok(bytes)) => {
                        return Read::Wrong(format!("{name} version {version} has {bytes} bytes"));
                    }
                    Outcome::Ok(Err(mismatch)) => return Read::Wrong(format!("{name} version {version}: {mismatch}")),
                    other => other.required("reading").err().map(|error| error.to_string()),
                }
            }
            Outcome::Refused(Refusal { status: 404, .. }) => {
                let seen = tenant.keys.end_read(key, &reading, Standing::Absent);
                return seen.map_or_else(Read::Wrong, |()| Read::Absent);
            }
            other => other.required("reading").err().map(|error| error.to_string()),
        };
        if clock::now() >= deadline {
            return Read::Unreadable(why.unwrap_or_default());
        }
        tokio::time::sleep(POLL).await;
    }
}

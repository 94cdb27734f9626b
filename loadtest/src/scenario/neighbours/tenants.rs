//! The accounts of the scenario, and what is in their buckets before it begins.

use super::noise::Kind;
use crate::{
    client::{Condition, Lost, Outcome, PayloadHash, Put, Session, Target},
    clock,
    limits::{FILL_TRIES, POLL},
    scenario::first_bucket,
    settings::{NewAccount, Site},
    workload::Content,
};
use anyhow::Context as _;
use bulkhead_model::{AccountId, CellId};
use std::sync::Arc;
use tokio::task::JoinSet;

/// What quiet accounts read.
pub const KEY: &str = "quiet/read";
pub const QUIET_BYTES: u64 = 4 << 10;
/// Keys of the bucket that is listed.
const LISTED_KEYS: u64 = 2_000;
/// Clients that prepare buckets.
const FILLERS: u64 = 64;

/// An account and its bucket.
#[derive(Clone)]
pub struct Tenant {
    pub account: AccountId,
    target: Arc<Target>,
    pub bucket: Arc<str>,
}

impl Tenant {
    pub async fn new(account: NewAccount, name: &str) -> anyhow::Result<Self> {
        let NewAccount { id, target, .. } = account;
        let bucket = format!("{name}-{}", clock::stamp());
        first_bucket(&target, &bucket).await?;
        Ok(Self { account: id, target, bucket: bucket.into() })
    }

    pub fn session(&self) -> Session {
        Session::new(self.target.clone(), PayloadHash::Unsigned)
    }

    pub async fn put(&self, session: &mut Session, key: &str, bytes: u64) -> Outcome<()> {
        let content = Content::of(key, 1, bytes);
        let put = Put { bucket: &self.bucket, key, version: 1, content, condition: Condition::Always };
        session.put(&put).await.map(drop)
    }

    pub async fn get(&self, session: &mut Session, key: &str) -> Outcome<()> {
        let expected = Content::of(key, 1, QUIET_BYTES);
        let read = session.get(&self.bucket, key).await;
        let verified = read.and_then(async |download| download.verify(expected, 0).await).await;
        match verified {
            Outcome::Ok(Ok(_)) => Outcome::Ok(()),
            Outcome::Ok(Err(mismatch)) => Outcome::Unknown(Lost::Malformed(format!("wrong bytes: {mismatch}"))),
            Outcome::Refused(refusal) => Outcome::Refused(refusal),
            Outcome::Unsent(why) => Outcome::Unsent(why),
            Outcome::Unknown(lost) => Outcome::Unknown(lost),
        }
    }
}

/// The noisy account, and the cell it came to.
///
/// # Errors
/// When it cannot be made.
pub async fn noisy(site: &Site) -> anyhow::Result<(Tenant, CellId)> {
    let noisy = site.account("noisy").await?;
    let cell = noisy.cell.clone();
    Ok((Tenant::new(noisy, "noisy").await?, cell))
}

/// So many quiet accounts in the same cell.
///
/// # Errors
/// When they cannot be made, or too few of four times as many come there.
pub async fn quiet(count: usize, (_, cell): &(Tenant, CellId), site: &Site) -> anyhow::Result<Vec<Tenant>> {
    let mut quiet = Vec::new();
    for made in 0..count * 4 {
        if quiet.len() == count {
            break;
        }
        let account = site.account(&format!("quiet-{made}")).await?;
        if account.cell == *cell {
            let tenant = Tenant::new(account, &format!("quiet-{made}")).await?;
            tenant.put(&mut tenant.session(), KEY, QUIET_BYTES).await.required("the object that is read")?;
            quiet.push(tenant);
        }
    }
    anyhow::ensure!(quiet.len() == count, "only {} accounts came to {cell}", quiet.len());
    Ok(quiet)
}

/// Makes what is to be listed or deleted: `keys_each` keys for each client that deletes.
pub async fn prepare(kind: Kind, noisy: &Tenant, clients: usize, keys_each: u64) -> anyhow::Result<()> {
    let keys = match kind {
        Kind::SmallPuts | Kind::LargePuts => return Ok(()),
        Kind::Listings => LISTED_KEYS,
        Kind::Deletes => keys_each * clients as u64,
    };
    let mut tasks = JoinSet::new();
    for filler in 0..FILLERS {
        let noisy = noisy.clone();
        tasks.spawn(async move {
            let mut session = noisy.session();
            for at in (filler..keys).step_by(FILLERS as usize) {
                let key = if kind == Kind::Deletes {
                    deleted(at / keys_each, at % keys_each)
                } else {
                    format!("listed/{at}")
                };
                let mut tries = 1;
                while let Err(error) = noisy.put(&mut session, &key, 16).await.required("a key to list or delete") {
                    anyhow::ensure!(tries < FILL_TRIES, "{error:#}");
                    tokio::time::sleep(POLL).await;
                    tries += 1;
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(filled) = tasks.join_next().await {
        filled.context("a client broke")??;
    }
    Ok(())
}

/// One of the keys that a client deletes.
pub fn deleted(client: u64, at: u64) -> String {
    format!("deleted/{client}/{at}")
}

//! After a round: every key of every client is read and compared, and every listing, while nobody writes.

use super::{Sizes, Traffic, look, prefix};
use crate::{
    client::{ListQuery, Outcome, PayloadHash, Session, Target},
    clock,
    limits::{DRILL_REQUEST_TIMEOUT, POLL, VERIFY_PATIENCE},
    oracle::{Ledger, Seen},
};
use futures::future::try_join_all;
use std::{collections::BTreeSet, sync::Arc};

/// What was verified.
#[derive(Debug, Default, Clone, Copy)]
pub struct Verified {
    pub objects: u64,
    pub bytes: u64,
    /// Keys that were written once and rightly hold nothing.
    pub absent: u64,
}

impl std::ops::AddAssign for Verified {
    fn add_assign(&mut self, other: Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.absent += other.absent;
    }
}

/// Verifies everything. All processes run: whatever cannot be read now is lost.
///
/// # Errors
/// Names the first key that is wrong or cannot be read.
pub async fn all(traffic: &Traffic, target: &Arc<Target>, bucket: &str) -> anyhow::Result<Verified> {
    let _nobody_writes = traffic.silence().await;
    let each = traffic
        .ledgers()
        .iter()
        .enumerate()
        .map(|(number, ledger)| one(number, ledger, target, bucket, traffic.sizes()));
    let mut total = Verified::default();
    for verified in try_join_all(each).await? {
        total += verified;
    }
    Ok(total)
}

async fn one(
    number: usize,
    ledger: &Ledger,
    target: &Arc<Target>,
    bucket: &str,
    sizes: Sizes,
) -> anyhow::Result<Verified> {
    let mut session = Session::new(target.clone(), PayloadHash::Signed).with_timeout(DRILL_REQUEST_TIMEOUT);
    let mut verified = Verified::default();
    for key in ledger.keys() {
        let deadline = clock::now() + VERIFY_PATIENCE;
        let (seen, bytes) = loop {
            let reading = ledger.begin_read(&key);
            match look(&mut session, bucket, &key, sizes).await.map_err(anyhow::Error::msg)? {
                Some((seen, bytes)) => {
                    ledger.end_read(&key, &reading, seen).map_err(anyhow::Error::msg)?;
                    break (seen, bytes);
                }
                None => anyhow::ensure!(clock::now() < deadline, "{key} cannot be read"),
            }
            tokio::time::sleep(POLL).await;
        };
        match seen {
            Seen::Absent => verified.absent += 1,
            Seen::Version(_) | Seen::Present => verified.objects += 1,
        }
        verified.bytes += bytes;
    }
    list(number, ledger, &mut session, bucket).await?;
    Ok(verified)
}

async fn list(number: usize, ledger: &Ledger, session: &mut Session, bucket: &str) -> anyhow::Result<()> {
    let deadline = clock::now() + VERIFY_PATIENCE;
    let prefix = prefix(number);
    // Small pages, so that their seams are looked at too.
    let query = ListQuery { bucket, prefix: &prefix, max_keys: Some(7), ..Default::default() };
    loop {
        let listing = ledger.begin_list();
        match session.list(&query).await {
            Outcome::Ok(listed) => {
                let keys: BTreeSet<String> = listed.objects.into_iter().map(|object| object.key).collect();
                return ledger.end_list(&listing, &keys).map_err(anyhow::Error::msg);
            }
            other if clock::now() > deadline => return other.required("listing").map(|_| ()),
            Outcome::Refused(_) | Outcome::Unsent(_) | Outcome::Unknown(_) => tokio::time::sleep(POLL).await,
        }
    }
}

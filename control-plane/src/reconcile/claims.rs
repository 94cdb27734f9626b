//! Bucket names that were claimed and never confirmed: the cell is asked, and the claim committed or the name released.
//!
//! The cell fences the claim before it answers `Absent`, so releasing the name is safe however late the bucket's creator wakes up.

use super::Rhythm;
use crate::{
    cells::{CellError, Cells},
    limits::{CLAIM_PENDING, RECONCILE_BATCH},
    store::{Directory, DirectoryError, command::Command, keys::Unsettled, read, record::Bucket},
};
use bulkhead_model::{
    Timestamp,
    api::cell::{ClaimSettled, SettleClaim},
};
use bulkhead_service::Env;

/// Looks after pending claims until the process stops: all of them when this node begins to lead, then those that are due.
pub async fn run(mut rhythm: Rhythm, directory: Directory, cells: Cells, env: Env) {
    while let Some(turn) = rhythm.next().await {
        let now = env.clock.wall();
        let before = if turn.newly_leading { now } else { now.minus(CLAIM_PENDING) };
        if let Err(error) = pass(&directory, &cells, before).await {
            tracing::warn!(%error, "pending claims could not be read");
        }
    }
}

/// Settles every pending claim made at or before `before`. What fails is left for the next pass.
///
/// # Errors
/// When the directory cannot be read.
pub async fn pass(directory: &Directory, cells: &Cells, before: Timestamp) -> Result<(), DirectoryError> {
    let mut after = Vec::new();
    loop {
        let view = directory.view().await?;
        let batch = read::unsettled(&view, &after, RECONCILE_BATCH)?;
        let Some(last) = batch.last() else { return Ok(()) };
        after = last.encode();
        let mut due = Vec::new();
        for thing in batch {
            let Unsettled::Bucket(name) = thing else { continue };
            let bucket = read::bucket(&view, &name)?.filter(|bucket| !bucket.committed && bucket.claimed <= before);
            due.extend(bucket.map(|bucket| (name, bucket)));
        }
        drop(view);
        for (name, bucket) in due {
            if let Err(error) = settle(directory, cells, name.clone(), bucket).await {
                tracing::warn!(bucket = name, %error, "its claim stays pending");
            }
        }
    }
}

async fn settle(directory: &Directory, cells: &Cells, bucket: String, held: Bucket) -> Result<(), CellError> {
    let owner = read::account(&directory.local_view(), held.account).map_err(DirectoryError::from)?;
    // An account is forgotten only when it holds no name; a view without the owner is behind, and the next one is not.
    let Some(owner) = owner else { return Ok(()) };
    let question = SettleClaim { bucket: bucket.clone(), account: held.account, claim: held.claim };
    let command = match cells.settle_claim(&owner.cell, &question).await? {
        ClaimSettled::Exists => Command::CommitBucket { bucket, claim: held.claim },
        ClaimSettled::Absent => Command::ReleaseBucket { bucket, claim: held.claim },
    };
    directory.propose(command).await?;
    Ok(())
}

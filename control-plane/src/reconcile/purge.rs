//! Purges: everything an account holds is deleted, then the account. Through S3, like any client, at the account's own limits.
//!
//! Each life of the control plane makes a key of its own for it, under an id that no tenant's key can have, and its secret is in no
//! memory but this. What was deleted is deleted, so a crash is only a later start.

use super::{Rhythm, accounts};
use crate::{
    cells::{CellError, Cells},
    domain::keys,
    limits::{CELL_CALL_DEADLINE, PURGE_AT_ONCE, PURGE_PAGES, RECONCILE_BATCH},
    s3::Signer,
    store::{
        Directory, DirectoryError,
        command::Command,
        keys::Unsettled,
        read,
        record::{Account, Cell},
    },
};
use bulkhead_model::{
    AccessKeyId, AccountId,
    api::{
        cell::PutKey,
        control_plane::{AccountState, OperationState},
    },
};
use bulkhead_service::{Env, client::Client};
use futures::stream::{self, StreamExt as _};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use std::collections::HashMap;

/// Why a purge does not go on now.
#[derive(Debug, thiserror::Error)]
enum PurgeError {
    #[error(transparent)]
    Cell(#[from] CellError),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("the cell answered {0} to {1}")]
    Answer(StatusCode, String),
    #[error("{0}")]
    Client(#[from] bulkhead_service::client::ClientError),
}

/// Looks after purges.
pub struct Purger {
    directory: Directory,
    cells: Cells,
    env: Env,
    client: Client,
    /// Secrets of this life.
    signers: Mutex<HashMap<AccountId, Signer>>,
}

impl Purger {
    pub fn new(directory: Directory, cells: Cells, env: Env) -> Self {
        let client = cells.s3_client();
        Self { directory, cells, env, client, signers: Mutex::default() }
    }

    /// Until the process stops.
    pub async fn run(self, mut rhythm: Rhythm) {
        while rhythm.next().await.is_some() {
            if let Err(error) = self.pass().await {
                tracing::warn!(%error, "purges could not be read");
            }
        }
    }

    /// Takes every purge some way.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn pass(&self) -> Result<(), DirectoryError> {
        let view = self.directory.view().await?;
        let mut due = Vec::new();
        let mut after = Vec::new();
        loop {
            let batch = read::unsettled(&view, &after, RECONCILE_BATCH)?;
            let Some(last) = batch.last() else { break };
            after = last.encode();
            for thing in batch {
                let Unsettled::Account(id) = thing else { continue };
                let record = read::account(&view, id)?.filter(|record| record.state == AccountState::Purging);
                due.extend(record.map(|record| (id, record)));
            }
        }
        drop(view);
        for (id, record) in due {
            if let Err(error) = self.purge(id, &record).await {
                if matches!(error, PurgeError::Answer(StatusCode::FORBIDDEN, _)) {
                    // Another node of the control plane led meanwhile, and made the key anew.
                    self.signers.lock().remove(&id);
                }
                tracing::info!(account = %id, %error, "its purge goes on later");
            }
        }
        Ok(())
    }

    async fn purge(&self, id: AccountId, record: &Account) -> Result<(), PurgeError> {
        if record.more.settings_in_cell < record.more.settings_version {
            // Its own keys must be locked out first.
            return Ok(accounts::finish_settings(&self.directory, &self.cells, id).await?);
        }
        let home = self.directory.local_cell(&record.cell)?;
        let Some(home) = home else { return Ok(()) };
        let signer = self.signer(id, record, &home).await?;
        let buckets = self.buckets(&signer, &home).await?;
        for bucket in &buckets {
            self.empty(id, record, &signer, &home, bucket).await?;
        }
        if buckets.is_empty() && record.buckets == 0 {
            self.note(record, "everything it held is deleted".into()).await?;
            self.directory.propose(Command::BeginDeleteAccount { account: id }).await?;
            self.signers.lock().remove(&id);
            accounts::finish_deletion(&self.directory, &self.cells, id).await?;
        }
        Ok(())
    }

    /// A key that deletes in the account's name.
    async fn signer(&self, id: AccountId, record: &Account, home: &Cell) -> Result<Signer, PurgeError> {
        if let Some(known) = self.signers.lock().get(&id) {
            return Ok(known.clone());
        }
        // They are locked out already, and the cell counts them.
        for key in &record.keys {
            self.cells.delete_key(&record.cell, id, key).await?;
        }
        let (key, secret) = (purge_key(id), keys::secret(&self.env.rng));
        let body = PutKey { secret_access_key: secret.clone() };
        self.cells.put_key(&record.cell, id, &key, &body).await?;
        let region = if home.more.region.is_empty() { "us-east-1" } else { home.more.region.as_str() };
        let signer = Signer { region: region.into(), access_key_id: key.to_string(), secret_access_key: secret };
        self.signers.lock().insert(id, signer.clone());
        Ok(signer)
    }

    async fn buckets(&self, signer: &Signer, home: &Cell) -> Result<Vec<String>, PurgeError> {
        let listed = self.ask(signer, home, Method::GET, "/", "").await?;
        Ok(values(&listed, "Name"))
    }

    /// Deletes some pages of a bucket's objects, and the bucket when none is left.
    async fn empty(
        &self,
        id: AccountId,
        record: &Account,
        signer: &Signer,
        home: &Cell,
        bucket: &str,
    ) -> Result<(), PurgeError> {
        let path = format!("/{bucket}");
        for _ in 0..PURGE_PAGES {
            let page =
                self.ask(signer, home, Method::GET, &path, "encoding-type=url&list-type=2&max-keys=1000").await?;
            let found = values(&page, "Key");
            if found.is_empty() {
                self.ask(signer, home, Method::DELETE, &path, "").await?;
                tracing::info!(account = %id, bucket, "purged");
                return self.note(record, format!("bucket {bucket} is deleted")).await;
            }
            let count = found.len();
            let deleted = stream::iter(found).map(|key| {
                let path = format!("{path}/{}", as_path(&key));
                async move { self.ask(signer, home, Method::DELETE, &path, "").await.map(|_| ()) }
            });
            let outcomes: Vec<_> = deleted.buffer_unordered(PURGE_AT_ONCE).collect().await;
            outcomes.into_iter().collect::<Result<Vec<()>, _>>()?;
            self.note(record, format!("{count} more objects of bucket {bucket} are deleted")).await?;
        }
        Ok(())
    }

    async fn note(&self, record: &Account, what: String) -> Result<(), PurgeError> {
        if let Some(operation) = record.more.operation {
            let (step, state) = (Some(what), OperationState::Running);
            self.directory.propose(Command::NoteOperation { operation, step, state }).await?;
        }
        Ok(())
    }

    /// Asks one node after the other until one answers with a success.
    async fn ask(
        &self,
        signer: &Signer,
        home: &Cell,
        method: Method,
        path: &str,
        query: &str,
    ) -> Result<String, PurgeError> {
        let mut last = PurgeError::Answer(StatusCode::SERVICE_UNAVAILABLE, path.to_owned());
        for node in &home.nodes {
            let now = self.env.clock.wall();
            let what = (method.clone(), path, query);
            match signer.send(&self.client, node.s3, what, now, CELL_CALL_DEADLINE).await {
                Ok(answer) if answer.status().is_success() => {
                    return Ok(String::from_utf8_lossy(answer.body()).into_owned());
                }
                // Of an earlier try, or of whoever deleted it.
                Ok(answer) if answer.status() == StatusCode::NOT_FOUND && method == Method::DELETE => {
                    return Ok(String::new());
                }
                Ok(answer) => last = PurgeError::Answer(answer.status(), path.to_owned()),
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }
}

/// The id of the key that purges an account: no other has a 0 in its eighth place, and ids of tenants' keys have none at all.
fn purge_key(account: AccountId) -> AccessKeyId {
    format!("BKPURGE0{account}").parse().expect("eight characters and twelve digits")
}

/// What stands in every element of this name. Names are bucket names or encoded keys, neither of which need escaping.
fn values(document: &str, element: &str) -> Vec<String> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let parts = document.split(open.as_str()).skip(1);
    parts.filter_map(|part| part.split_once(close.as_str()).map(|(value, _)| value.to_owned())).collect()
}

/// An encoded key out of a listing, as a path has it.
fn as_path(key: &str) -> String {
    key.replace('+', "%20").replace("%2F", "/").replace("%2f", "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_out_of_a_listing_and_the_key_that_purges_is_nobodys() {
        let listing = "<R><Contents><Key>a%2Fb+c</Key></Contents><Contents><Key>d</Key></Contents></R>";
        assert_eq!(values(listing, "Key"), ["a%2Fb+c", "d"]);
        assert_eq!(as_path("a%2Fb+c%2B"), "a/b%20c%2B");
        assert_eq!(values(listing, "Name"), Vec::<String>::new());
        let account = AccountId::new(123_456_789_012).expect("twelve digits");
        assert_eq!(purge_key(account).as_str(), "BKPURGE0123456789012");
    }
}

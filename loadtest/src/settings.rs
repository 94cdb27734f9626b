//! Where the service is and who asks: from options, the environment, or the file that `bulkhead dev up` writes; or a
//! cluster started for this run alone.

use crate::{
    client::{Credentials, Target},
    clock,
    faults::{Cluster, Ground, PrivateCluster, binaries},
};
use anyhow::Context;
use bulkhead_model::{AccountId, CellId};
use clap::Args;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The S3 endpoint, the account, and the local cluster behind them.
#[derive(Debug, Clone, Args)]
pub struct Service {
    /// The router, for example http://127.0.0.1:9000 [default: from DATA/dev.env]
    #[arg(long, env = "AWS_ENDPOINT_URL")]
    endpoint: Option<String>,
    #[arg(long, env = "AWS_ACCESS_KEY_ID")]
    access_key_id: Option<String>,
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    secret_access_key: Option<String>,
    #[arg(long, env = "AWS_REGION")]
    region: Option<String>,
    /// The directory of the cluster on this machine
    #[arg(long, env = "BULKHEAD_DATA", default_value = ".bulkhead")]
    data: PathBuf,
    /// Start a cluster for this run alone, and remove it afterwards; all other settings are then its own
    #[arg(long)]
    private_cluster: bool,
}

/// A service to work with.
#[derive(Debug)]
pub struct Site {
    /// The router, as the account.
    pub target: Arc<Target>,
    /// The cluster's processes. They may be none, when the service runs elsewhere.
    pub cluster: Cluster,
    /// Stopped when the site is dropped.
    private: Option<PrivateCluster>,
}

/// An account that was made for a run.
#[derive(Debug)]
pub struct NewAccount {
    pub id: AccountId,
    /// The router, as this account.
    pub target: Arc<Target>,
    /// Where it was placed.
    pub cell: CellId,
}

impl Service {
    /// Finds the service, or starts it.
    ///
    /// # Errors
    /// Names the setting that is missing and where it is looked for.
    pub async fn open(&self) -> anyhow::Result<Site> {
        let binaries = binaries()?;
        if self.private_cluster {
            let private = PrivateCluster::up(&binaries).await?;
            return Site::of(private);
        }
        let settings = Settings { given: self.given(), file: self.data.join("dev.env") };
        let cluster = Cluster::new(binaries.join("bulkhead"), self.data.clone());
        Ok(Site { target: settings.target()?, cluster, private: None })
    }

    /// A private cluster on a ground of one's choice, whatever else was said.
    ///
    /// # Errors
    /// When it was not said that the cluster is private, or it does not come up.
    pub async fn open_on(&self, ground: Ground) -> anyhow::Result<Site> {
        anyhow::ensure!(self.private_cluster, "this needs a cluster of its own: say --private-cluster");
        Site::of(PrivateCluster::up_on(&binaries()?, ground).await?)
    }

    fn given(&self) -> BTreeMap<String, String> {
        let options = [
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_ACCESS_KEY_ID", &self.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", &self.secret_access_key),
            ("AWS_REGION", &self.region),
        ];
        let given = options.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        given.collect()
    }
}

impl Site {
    /// A private cluster, with its own account.
    ///
    /// # Errors
    /// When its settings cannot be read.
    pub fn of(private: PrivateCluster) -> anyhow::Result<Self> {
        let settings = Settings { given: BTreeMap::new(), file: private.data().join("dev.env") };
        Ok(Self { target: settings.target()?, cluster: private.cluster().clone(), private: Some(private) })
    }

    /// A new account's credentials at the same endpoint, and the cell it was placed in.
    ///
    /// # Errors
    /// When there is no local cluster whose control plane makes accounts.
    pub async fn new_account(&self, name: &str) -> anyhow::Result<(Arc<Target>, CellId)> {
        let NewAccount { target, cell, .. } = self.account(name).await?;
        Ok((target, cell))
    }

    /// As [`Self::new_account`], and who it is.
    ///
    /// # Errors
    /// As [`Self::new_account`].
    pub async fn account(&self, name: &str) -> anyhow::Result<NewAccount> {
        let account = self.cluster.create_account(&format!("{name}-{}", clock::stamp())).await?;
        let credentials = Credentials {
            access_key_id: account.access_key_id.to_string(),
            secret_access_key: account.secret_access_key,
            region: self.target.credentials().region.clone(),
        };
        let target = Arc::new(self.target.signed_by(credentials));
        Ok(NewAccount { id: account.account_id, target, cell: account.cell })
    }

    /// The private cluster, if it is one.
    pub fn private(&mut self) -> Option<&mut PrivateCluster> {
        self.private.as_mut()
    }

    /// The last lines of every log of a private cluster, for the report of a failure.
    pub fn logs(&self) -> String {
        self.private.as_ref().map(PrivateCluster::logs).unwrap_or_default()
    }
}

/// The account that a file like the one of `bulkhead dev up` names.
///
/// # Errors
/// When something is missing in it.
pub fn dev_env(file: &Path) -> anyhow::Result<Arc<Target>> {
    Settings { given: BTreeMap::new(), file: file.to_owned() }.target()
}

/// What was given, and the file that says the rest.
struct Settings {
    given: BTreeMap<String, String>,
    file: PathBuf,
}

impl Settings {
    fn target(&self) -> anyhow::Result<Arc<Target>> {
        let saved = read_assignments(&self.file);
        let setting = |name: &str| {
            let value = self.given.get(name).or_else(|| saved.get(name)).cloned();
            let file = self.file.display();
            value.with_context(|| format!("{name} is neither given nor in {file}; start a cluster with `make up`"))
        };
        let credentials = Credentials {
            access_key_id: setting("AWS_ACCESS_KEY_ID")?,
            secret_access_key: setting("AWS_SECRET_ACCESS_KEY")?,
            region: setting("AWS_REGION").unwrap_or_else(|_| "us-east-1".to_owned()),
        };
        Ok(Arc::new(Target::new(&setting("AWS_ENDPOINT_URL")?, credentials)?))
    }
}

/// Shell assignments, `NAME=value` or `export NAME=value`, quoted or not. A file that is not there has none.
fn read_assignments(file: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(parse_assignment).collect()
}

fn parse_assignment(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
    let value = value.trim_matches(['"', '\'']);
    (!name.starts_with('#')).then(|| (name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_assignments_are_read_with_and_without_export_and_quotes() {
        let read = |line| parse_assignment(line).map(|(name, value)| format!("{name}:{value}"));
        assert_eq!(read("export A=b").as_deref(), Some("A:b"));
        assert_eq!(read("A='http://x:1/?a=b'").as_deref(), Some("A:http://x:1/?a=b"));
        assert_eq!(read("# A=b"), None);
        assert_eq!(read(""), None);
    }
}

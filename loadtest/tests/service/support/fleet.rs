//! A cluster of the tests' own, and a place for their files.

use bulkhead_loadtest::{
    client::Target,
    faults::{Cluster, Ground, PrivateCluster, binaries},
    settings::Site,
};
use std::{path::Path, sync::Arc};
use tempfile::TempDir;

/// A running cluster.
pub struct Fleet {
    pub site: Site,
    scratch: TempDir,
}

impl Fleet {
    /// Starts a cluster.
    pub async fn start(ground: Ground) -> anyhow::Result<Self> {
        let private = PrivateCluster::up_on(&binaries()?, ground).await?;
        Ok(Self { site: Site::of(private)?, scratch: tempfile::tempdir()? })
    }

    /// The router, as the cluster's first account.
    pub fn target(&self) -> &Arc<Target> {
        &self.site.target
    }

    /// The cluster's processes.
    pub fn cluster(&self) -> &Cluster {
        &self.site.cluster
    }

    /// A directory for files; removed at the end.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// The last lines of every log.
    pub fn logs(&self) -> String {
        self.site.logs()
    }
}

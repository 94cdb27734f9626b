//! What is certified, how, and where the result goes.

use super::{
    PhaseTrace, reference,
    subject::{Elsewhere, Subject},
};
use crate::{
    faults::{Cluster, Ground, PrivateCluster, binaries},
    load::Mode,
    tls::TlsOptions,
};
use anyhow::Context as _;
use bulkhead_model::{CellId, api::drill::Fault, certification::Profile};
use clap::{Args, ValueEnum};
use std::{net::SocketAddr, path::PathBuf};

/// The longest flushes of a cell that is broken on purpose. Milliseconds.
const SLOW_FLUSH_MS: u64 = 200;

#[derive(Debug, Args)]
pub struct Certify {
    /// The cell
    #[arg(long, default_value = "c1")]
    cell: CellId,
    /// The directory of the fleet on this machine that has it
    #[arg(long, env = "BULKHEAD_DATA", default_value = ".bulkhead")]
    data: PathBuf,
    /// Start a fleet for this run alone, and remove it afterwards
    #[arg(long, conflicts_with = "nodes")]
    private_cluster: bool,
    /// S3 and admin address of a node, once for each: for a cell that is not on this machine, or not of a fleet yet
    #[arg(long = "node", value_name = "S3,ADMIN", value_parser = places, requires_all = ["admin_token_file", "blueprint"])]
    nodes: Vec<(SocketAddr, SocketAddr)>,
    /// The token of these nodes' admin API
    #[arg(long)]
    admin_token_file: Option<PathBuf>,
    /// The blueprint that they were stamped from
    #[arg(long)]
    blueprint: Option<PathBuf>,
    #[command(flatten)]
    tls: TlsOptions,
    #[arg(long, value_enum, default_value_t)]
    profile: ProfileName,
    /// Where certificate.json, report.html and trace.json go
    #[arg(long, default_value = "certification")]
    out: PathBuf,
    /// The key to sign with; it is made when it is not there [default: DATA/certify.key]
    #[arg(long, env = "BULKHEAD_CERTIFY_KEY")]
    signing_key: Option<PathBuf>,
    /// A certificate whose figures these must be like, within the band of the blueprint
    #[arg(long)]
    reference: Option<PathBuf>,
    /// A cell of the same fleet that is measured by turns with this one; it must be empty too
    #[arg(long)]
    reference_cell: Option<CellId>,
    /// How the run is shown on standard error
    #[arg(long, value_enum, default_value_t)]
    progress: Mode,
    /// Break the private cluster first, to see that it is not certified
    #[arg(long, value_enum, requires = "private_cluster")]
    broken: Option<Broken>,
}

/// What is wrong with a cell that must not be certified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Broken {
    /// Neither a gate nor limits: whoever asks most gets most.
    NoAdmission,
    /// Every flush of every node takes 200 ms longer.
    SlowFsync,
    /// One node acknowledges chunks and keeps none of them.
    DropsChunks,
}

/// As [`Profile`], on the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum ProfileName {
    #[default]
    Quick,
    Full,
}

/// A cell, and what it stands on.
pub struct Site {
    pub subject: Subject,
    private: Option<PrivateCluster>,
}

impl Site {
    /// The last lines of every log of a private cluster.
    pub fn logs(&self) -> String {
        self.private.as_ref().map(PrivateCluster::logs).unwrap_or_default()
    }
}

impl Certify {
    /// Finds the cell, or starts it.
    ///
    /// # Errors
    /// When it is not there or does not answer.
    pub(super) async fn open(&self) -> anyhow::Result<Site> {
        if self.private_cluster {
            let without_isolation = self.broken == Some(Broken::NoAdmission);
            let private =
                PrivateCluster::up_on(&binaries()?, Ground { without_isolation, ..Ground::default() }).await?;
            let subject = Subject::local(private.cluster(), &self.cell).await?;
            return Ok(Site { subject, private: Some(private) });
        }
        let subject = match (&self.admin_token_file, &self.blueprint) {
            (Some(admin_token_file), Some(blueprint)) if !self.nodes.is_empty() => {
                let at = Elsewhere {
                    cell: self.cell.clone(),
                    nodes: self.nodes.clone(),
                    admin_token_file: admin_token_file.clone(),
                    blueprint: blueprint.clone(),
                    tls: self.tls.files(),
                };
                Subject::elsewhere(&at).await?
            }
            _ => Subject::local(&self.fleet()?, &self.cell).await?,
        };
        Ok(Site { subject, private: None })
    }

    fn fleet(&self) -> anyhow::Result<Cluster> {
        Ok(Cluster::new(binaries()?.join("bulkhead"), self.data.clone()))
    }

    pub(super) fn profile(&self) -> Profile {
        match self.profile {
            ProfileName::Quick => Profile::Quick,
            ProfileName::Full => Profile::Full,
        }
    }

    pub(super) fn progress(&self) -> Mode {
        self.progress
    }

    pub(super) fn out(&self) -> PathBuf {
        self.out.clone()
    }

    pub(super) fn signing_key(&self) -> PathBuf {
        match &self.signing_key {
            Some(file) => file.clone(),
            // A private fleet's directory goes with it.
            None if self.private_cluster => self.out.join("certify.key"),
            None => self.data.join("certify.key"),
        }
    }

    /// The cell is broken so that it enforces none.
    pub(super) fn without_limits(&self) -> bool {
        self.broken == Some(Broken::NoAdmission)
    }

    /// Breaks the cell as was asked for.
    ///
    /// # Errors
    /// When a node refuses.
    pub(super) async fn break_it(&self, subject: &Subject) -> anyhow::Result<()> {
        match self.broken {
            // The gate was left out when the cell was stamped.
            None | Some(Broken::NoAdmission) => Ok(()),
            Some(Broken::SlowFsync) => {
                for node in &subject.nodes {
                    subject.fault(node, &Fault::SlowDisk { ms: SLOW_FLUSH_MS }).await?;
                }
                Ok(())
            }
            Some(Broken::DropsChunks) => {
                let node = subject.nodes.last().context("a cell has nodes")?;
                subject.fault(node, &Fault::DropChunks { drop: true }).await
            }
        }
    }

    /// Compares with the reference, where there is one.
    ///
    /// # Errors
    /// When it cannot be read, or the reference cell cannot be measured.
    pub(super) async fn compare(&self, subject: &Subject, phases: &mut [PhaseTrace]) -> anyhow::Result<()> {
        if let Some(file) = &self.reference {
            reference::certificate(file, subject, phases)?;
        }
        if let Some(cell) = &self.reference_cell {
            let other = Subject::local(&self.fleet()?, cell).await?;
            reference::cell(subject, &other, self.profile(), phases).await?;
        }
        Ok(())
    }
}

fn places(text: &str) -> Result<(SocketAddr, SocketAddr), String> {
    let malformed = || format!("{text:?} is not two addresses, S3 and admin, with a comma between");
    let (s3, admin) = text.split_once(',').ok_or_else(malformed)?;
    let parse = |address: &str| address.trim().parse().map_err(|_| malformed());
    Ok((parse(s3)?, parse(admin)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_by_its_two_addresses() {
        let found = places("127.0.0.1:9001, 127.0.0.1:9002").expect("two");
        assert_eq!((found.0.port(), found.1.port()), (9001, 9002));
        assert!(places("127.0.0.1:9001").is_err() && places("a,b").is_err());
    }
}

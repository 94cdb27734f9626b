//! Where the service is and who asks: from options, the environment, or the file that `bulkhead dev up` writes.

use crate::{
    client::{Credentials, Target},
    faults::Cluster,
};
use anyhow::Context;
use clap::Args;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The S3 endpoint and the account.
#[derive(Debug, Clone, Args)]
pub struct Service {
    /// The router, for example http://127.0.0.1:9000 [default: from DATA/dev.env]
    #[arg(long, env = "AWS_ENDPOINT_URL")]
    pub endpoint: Option<String>,
    #[arg(long, env = "AWS_ACCESS_KEY_ID", hide_env_values = true)]
    pub access_key_id: Option<String>,
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    pub secret_access_key: Option<String>,
    #[arg(long, env = "AWS_REGION")]
    pub region: Option<String>,
    #[command(flatten)]
    pub local: Local,
}

/// A cluster on this machine, as `bulkhead dev up` starts it.
#[derive(Debug, Clone, Args)]
pub struct Local {
    /// The cluster's directory
    #[arg(long, env = "BULKHEAD_DATA", default_value = ".bulkhead")]
    pub data: PathBuf,
    /// The `bulkhead` command line [default: beside this program]
    #[arg(long)]
    pub bulkhead: Option<PathBuf>,
}

impl Service {
    /// The endpoint and the account to use.
    ///
    /// # Errors
    /// Names the setting that is missing and where it is looked for.
    pub fn target(&self) -> anyhow::Result<Arc<Target>> {
        let file = self.local.data.join("dev.env");
        let saved = read_assignments(&file);
        let setting = |given: &Option<String>, name: &str| {
            given.clone().or_else(|| saved.get(name).cloned()).with_context(|| {
                format!(
                    "{name} is neither in the environment nor in {}; start a cluster with `make up`",
                    file.display()
                )
            })
        };
        let endpoint = setting(&self.endpoint, "AWS_ENDPOINT_URL")?;
        let credentials = Credentials {
            access_key_id: setting(&self.access_key_id, "AWS_ACCESS_KEY_ID")?,
            secret_access_key: setting(&self.secret_access_key, "AWS_SECRET_ACCESS_KEY")?,
            region: setting(&self.region, "AWS_REGION").unwrap_or_else(|_| "us-east-1".to_owned()),
        };
        Ok(Arc::new(Target::new(&endpoint, credentials)?))
    }
}

impl Local {
    /// The cluster's processes.
    ///
    /// # Errors
    /// When the `bulkhead` program is not where it is looked for.
    pub fn cluster(&self) -> anyhow::Result<Cluster> {
        let program = match &self.bulkhead {
            Some(program) => program.clone(),
            None => std::env::current_exe()?.with_file_name("bulkhead"),
        };
        anyhow::ensure!(program.exists(), "{} does not exist; build it, or say --bulkhead", program.display());
        Ok(Cluster::new(program, self.data.clone()))
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

//! Runs this crate's own program on a cluster.

use super::{fleet::Fleet, suite::Verdict};
use anyhow::{Context, ensure};
use std::{process::Stdio, time::Duration};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(300);

/// Runs `bulkhead-loadtest` on the fleet and shows what it printed.
pub async fn loadtest(fleet: &Fleet, arguments: &[&str]) -> anyhow::Result<Verdict> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead-loadtest"));
    command.args(arguments).arg("--data").arg(fleet.cluster().data()).stdin(Stdio::null()).kill_on_drop(true);
    for name in ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"] {
        command.env_remove(name);
    }
    let output =
        tokio::time::timeout(PATIENCE, command.output()).await.context("bulkhead-loadtest took too long")??;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(Verdict::Passed)
}

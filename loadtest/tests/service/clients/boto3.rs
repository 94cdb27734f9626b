//! boto3: its transfer manager, conditional writes, checksums, and answers that come before the body.

use crate::support::{fleet::Fleet, suite::Verdict, tool::Tool};

/// Says what it did, one line each, and fails with a traceback.
const SCRIPT: &str = include_str!("transfers.py");

pub async fn transfers(fleet: &Fleet) -> anyhow::Result<Verdict> {
    let python = match Tool::find("python3", fleet.target(), fleet.scratch()) {
        Ok(python) => python,
        Err(skipped) => return Ok(skipped),
    };
    if python.run(&["-c", "import boto3"]).await.is_err() {
        return Ok(Verdict::Skipped("boto3 is not installed".into()));
    }
    let said = python.run(&["-c", SCRIPT]).await?;
    print!("{said}");
    Ok(Verdict::Passed)
}

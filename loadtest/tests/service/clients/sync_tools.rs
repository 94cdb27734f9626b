//! rclone, restic and s3cmd.

use super::files;
use crate::support::{fleet::Fleet, suite::Verdict, tool::Tool};
use anyhow::ensure;

macro_rules! tool {
    ($name:literal, $fleet:expr) => {
        match Tool::find($name, $fleet.target(), $fleet.scratch()) {
            Ok(tool) => tool,
            Err(skipped) => return Ok(skipped),
        }
    };
}

pub async fn rclone(fleet: &Fleet) -> anyhow::Result<Verdict> {
    let rclone = tool!("rclone", fleet);
    let (up, down) = (fleet.scratch().join("rclone-tree"), fleet.scratch().join("rclone-down"));
    files::tree(&up, 300)?;
    files::write(&up.join("large"), 12 << 20)?;
    let (up, down) = (up.to_string_lossy().into_owned(), down.to_string_lossy().into_owned());
    rclone.run(&["mkdir", ":s3:rclone-bucket"]).await?;
    rclone.run(&["sync", &up, ":s3:rclone-bucket/tree"]).await?;
    rclone.run(&["check", &up, ":s3:rclone-bucket/tree"]).await?;
    rclone.run(&["check", "--download", &up, ":s3:rclone-bucket/tree"]).await?;
    rclone.run(&["sync", ":s3:rclone-bucket/tree", &down]).await?;
    files::assert_equal(up.as_ref(), down.as_ref())?;
    rclone.run(&["purge", ":s3:rclone-bucket"]).await?;
    Ok(Verdict::Passed)
}

pub async fn restic(fleet: &Fleet) -> anyhow::Result<Verdict> {
    let restic = tool!("restic", fleet);
    let (source, restored) = (fleet.scratch().join("restic-tree"), fleet.scratch().join("restic-restored"));
    files::tree(&source, 300)?;
    files::write(&source.join("large"), 30 << 20)?;
    let repository = format!("s3:{}/restic-repository", fleet.target().endpoint());
    let source_text = source.to_string_lossy().into_owned();
    let restored_text = restored.to_string_lossy().into_owned();
    let run = async |arguments: &[&str]| restic.run(&[&["-r", &repository, "--no-cache"], arguments].concat()).await;
    run(&["init"]).await?;
    run(&["backup", &source_text]).await?;
    run(&["check", "--read-data"]).await?;
    run(&["restore", "latest", "--target", &restored_text]).await?;
    files::assert_equal(&source, &restored.join(source.strip_prefix("/")?))?;
    files::write(&source.join("one more"), 5000)?;
    run(&["backup", &source_text]).await?;
    let snapshots = run(&["snapshots", "--json"]).await?;
    let ids: Vec<serde_json::Value> = serde_json::from_str(&snapshots)?;
    let id = |index: usize| ids[index]["id"].as_str().unwrap_or_default().to_owned();
    let difference = run(&["diff", &id(0), &id(1)]).await?;
    ensure!(difference.contains("one more"), "the difference does not name the new file: {difference}");
    run(&["forget", "--prune", "--keep-last", "1"]).await?;
    run(&["check", "--read-data"]).await?;
    Ok(Verdict::Passed)
}

pub async fn s3cmd(fleet: &Fleet) -> anyhow::Result<Verdict> {
    let s3cmd = tool!("s3cmd", fleet);
    let credentials = fleet.target().credentials();
    let host = fleet.target().endpoint().replace("http://", "");
    let config = fleet.scratch().join("s3cfg");
    let text = format!(
        "[default]\naccess_key = {}\nsecret_key = {}\nhost_base = {host}\nhost_bucket = {host}\nuse_https = False\n\
         bucket_location = us-east-1\n",
        credentials.access_key_id, credentials.secret_access_key
    );
    std::fs::write(&config, text)?;
    let config = config.to_string_lossy().into_owned();
    let run = async |arguments: &[&str]| s3cmd.run(&[&["-c", &config], arguments].concat()).await;
    let (up, down) = (fleet.scratch().join("s3cmd-up"), fleet.scratch().join("s3cmd-down"));
    files::write(&up, 20 << 20)?;
    run(&["mb", "s3://s3cmd-bucket"]).await?;
    run(&["put", &up.to_string_lossy(), "s3://s3cmd-bucket/file"]).await?;
    let listed = run(&["ls", "s3://s3cmd-bucket"]).await?;
    ensure!(listed.contains("s3://s3cmd-bucket/file"), "{listed}");
    run(&["get", "s3://s3cmd-bucket/file", &down.to_string_lossy()]).await?;
    files::assert_equal(&up, &down)?;
    run(&["del", "s3://s3cmd-bucket/file"]).await?;
    run(&["rb", "s3://s3cmd-bucket"]).await?;
    Ok(Verdict::Passed)
}

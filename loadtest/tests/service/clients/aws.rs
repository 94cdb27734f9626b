//! aws-cli: copies, sync, listings, presigned URLs, and the pause it makes when a server mistreats `Expect`.

use super::files;
use crate::support::{fleet::Fleet, suite::Verdict, tool::Tool};
use anyhow::ensure;
use bulkhead_loadtest::clock;
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// A tool, or the return of the verdict that it is missing.
macro_rules! tool {
    ($name:literal, $fleet:expr) => {
        match Tool::find($name, $fleet.target(), $fleet.scratch()) {
            Ok(tool) => tool,
            Err(skipped) => return Ok(skipped),
        }
    };
}

pub async fn copies(fleet: &Fleet) -> anyhow::Result<Verdict> {
    let aws = tool!("aws", fleet);
    aws.run(&["s3", "mb", "s3://aws-copies"]).await?;
    for length in [0, 1 << 10, 16 << 10, (16 << 10) + 1, 20 * MIB] {
        let (up, down) = (fleet.scratch().join(format!("up-{length}")), fleet.scratch().join(format!("down-{length}")));
        files::write(&up, length)?;
        let object = format!("s3://aws-copies/some dir/{length}");
        aws.run(&["s3", "cp", &up.to_string_lossy(), &object]).await?;
        aws.run(&["s3", "cp", &object, &down.to_string_lossy()]).await?;
        files::assert_equal(&up, &down)?;
    }
    let copy = fleet.scratch().join("copy");
    aws.run(&["s3", "mv", &format!("s3://aws-copies/some dir/{}", 20 * MIB), "s3://aws-copies/moved"]).await?;
    aws.run(&["s3", "cp", "s3://aws-copies/moved", &copy.to_string_lossy()]).await?;
    files::assert_equal(&fleet.scratch().join(format!("up-{}", 20 * MIB)), &copy)?;
    Ok(Verdict::Passed)
}

/// Three gigabytes on disk: only when asked for.
pub async fn copies_one_gib(fleet: &Fleet) -> anyhow::Result<Verdict> {
    const ASKED: &str = "BULKHEAD_TEST_LONG";
    let aws = tool!("aws", fleet);
    if std::env::var_os(ASKED).is_none() {
        return Ok(Verdict::Skipped(format!("{ASKED} is not set")));
    }
    let (up, down) = (fleet.scratch().join("up-1GiB"), fleet.scratch().join("down-1GiB"));
    files::write(&up, 1 << 30)?;
    aws.run(&["s3", "mb", "s3://aws-one-gib"]).await?;
    for (from, to) in
        [(up.to_string_lossy(), "s3://aws-one-gib/x".into()), ("s3://aws-one-gib/x".into(), down.to_string_lossy())]
    {
        let begun = clock::now();
        aws.run(&["s3", "cp", "--quiet", &from, &to]).await?;
        println!("aws s3 cp {from} {to}: {:.1} s", (clock::now() - begun).as_secs_f64());
    }
    files::assert_equal(&up, &down)?;
    Ok(Verdict::Passed)
}

pub async fn syncs(fleet: &Fleet) -> anyhow::Result<Verdict> {
    const FILES: u64 = 2000;
    let aws = tool!("aws", fleet);
    let (up, down) = (fleet.scratch().join("aws-tree"), fleet.scratch().join("aws-tree-down"));
    files::tree(&up, FILES)?;
    aws.run(&["s3", "mb", "s3://aws-syncs"]).await?;
    aws.run(&["s3", "sync", "--quiet", &up.to_string_lossy(), "s3://aws-syncs/tree"]).await?;
    let listed = aws.run(&["s3", "ls", "--recursive", "s3://aws-syncs/"]).await?;
    ensure!(listed.lines().count() as u64 == FILES, "{} files are listed", listed.lines().count());
    let again = aws.run(&["s3", "sync", &up.to_string_lossy(), "s3://aws-syncs/tree"]).await?;
    ensure!(again.is_empty(), "a second sync found work to do: {again}");
    aws.run(&["s3", "sync", "--quiet", "s3://aws-syncs/tree", &down.to_string_lossy()]).await?;
    files::assert_equal(&up, &down)?;
    aws.run(&["s3", "rm", "--quiet", "--recursive", "s3://aws-syncs/"]).await?;
    // Merging pages, aws-cli drops KeyCount.
    let count = ["s3api", "list-objects-v2", "--no-paginate", "--bucket", "aws-syncs", "--query", "KeyCount"];
    let left = aws.run(&count).await?;
    ensure!(left.trim() == "0", "{left} objects are left");
    aws.run(&["s3", "rb", "s3://aws-syncs"]).await?;
    Ok(Verdict::Passed)
}

pub async fn presigns(fleet: &Fleet) -> anyhow::Result<Verdict> {
    let (aws, curl) = (tool!("aws", fleet), tool!("curl", fleet));
    let (up, down) = (fleet.scratch().join("presigned"), fleet.scratch().join("fetched"));
    files::write(&up, 3 * MIB)?;
    aws.run(&["s3", "mb", "s3://aws-presigns"]).await?;
    aws.run(&["s3", "cp", &up.to_string_lossy(), "s3://aws-presigns/a file"]).await?;
    let url = aws.run(&["s3", "presign", "--expires-in", "60", "s3://aws-presigns/a file"]).await?;
    curl.run(&["--fail", "--silent", "--show-error", "--output", &down.to_string_lossy(), url.trim()]).await?;
    files::assert_equal(&up, &down)?;
    let forged = url.trim().replace("a%20file", "another");
    let status = curl.run(&["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", &forged]).await?;
    ensure!(status == "403", "a URL signed for another key was answered {status}");
    Ok(Verdict::Passed)
}

/// A server that answers an empty PUT with `Expect: 100-continue` and never sends the `100` makes aws-cli 1 wait for one,
/// 60 s, before the next body on that connection.
pub async fn empty_objects(fleet: &Fleet) -> anyhow::Result<Verdict> {
    const FILES: u64 = 12;
    let aws = tool!("aws", fleet);
    let tree = fleet.scratch().join("empty-tree");
    for index in 0..FILES {
        files::write(&tree.join(format!("{index:02}")), index % 2 * 1000)?;
    }
    aws.run(&["s3", "mb", "s3://aws-empty"]).await?;
    let one_connection = fleet.scratch().join("one-connection");
    std::fs::write(&one_connection, "[default]\ns3 =\n  max_concurrent_requests = 1\n")?;
    let begun = clock::now();
    let copy = ["s3", "cp", "--quiet", "--recursive", &tree.to_string_lossy(), "s3://aws-empty/"].map(str::to_owned);
    aws.with("AWS_CONFIG_FILE", &one_connection).run(&copy).await?;
    let took = clock::now() - begun;
    ensure!(took < Duration::from_secs(10), "{FILES} small files took {took:?}");
    Ok(Verdict::Passed)
}

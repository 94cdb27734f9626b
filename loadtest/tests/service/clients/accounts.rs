//! Two accounts: placed by the control plane, and strangers to each other.

use crate::support::{fleet::Fleet, suite::Verdict};
use anyhow::ensure;
use bulkhead_loadtest::{
    client::{Condition, ListQuery, Outcome, PayloadHash, Put, Session},
    scenario::first_bucket,
    workload::Content,
};

/// Where the most is left depends on what the cells were asked lately; so the cell that the first account went to is closed for a moment.
pub async fn placed(fleet: &Fleet) -> anyhow::Result<Verdict> {
    let (first, cell) = fleet.site.new_account("placed-first").await?;
    let cluster = fleet.cluster();
    cluster.command(&["cell", "close", &cell.to_string()]).await?;
    let second = fleet.site.new_account("placed-second").await;
    cluster.command(&["cell", "open", &cell.to_string()]).await?;
    let (second, other) = second?;
    ensure!(cell != other, "an account went to {cell}, which was closed");
    first_bucket(&first, &format!("placed-in-{cell}")).await?;
    first_bucket(&second, &format!("placed-in-{other}")).await?;
    Ok(Verdict::Passed)
}

pub async fn isolated(fleet: &Fleet) -> anyhow::Result<Verdict> {
    let (bucket, key) = ("taken-by-the-first", "private");
    let (first, _) = fleet.site.new_account("first").await?;
    let (second, _) = fleet.site.new_account("second").await?;
    first_bucket(&first, bucket).await?;
    first_bucket(&second, "the-second-has-this").await?;
    let mut owner = Session::new(first, PayloadHash::Signed);
    let mut stranger = Session::new(second, PayloadHash::Signed);
    let content = Content::of(key, 1, 100);
    let put = Put { bucket, key, version: 1, content, condition: Condition::Always };
    owner.put(&put).await.required("the owner writes")?;
    code("BucketAlreadyExists", stranger.create_bucket(bucket).await)?;
    code("AccessDenied", stranger.get(bucket, key).await)?;
    code("AccessDenied", stranger.put(&put).await)?;
    code("AccessDenied", stranger.delete(bucket, key).await)?;
    code("AccessDenied", stranger.list_page(&ListQuery { bucket, ..Default::default() }, None).await)?;
    code("AccessDenied", stranger.delete_bucket(bucket).await)?;
    let mine = stranger.list_buckets().await.required("listing buckets")?;
    ensure!(mine == ["the-second-has-this"], "the stranger sees {mine:?}");
    owner
        .get(bucket, key)
        .await
        .required("the owner reads")?
        .verify(content, 0)
        .await
        .required("the owner reads")??;
    owner.delete(bucket, key).await.required("the owner deletes")?;
    owner.delete_bucket(bucket).await.required("the owner gives the name back")?;
    // The name is released by a job of the cell, soon and not at once.
    first_bucket(stranger.target(), bucket).await?;
    Ok(Verdict::Passed)
}

fn code<T>(expected: &str, outcome: Outcome<T>) -> anyhow::Result<()> {
    match outcome {
        Outcome::Refused(refusal) if refusal.code == expected => Ok(()),
        other => match other.required("a stranger's request") {
            Ok(_) => anyhow::bail!("expected {expected}, and it was a success"),
            Err(error) => Err(error.context(format!("expected {expected}"))),
        },
    }
}

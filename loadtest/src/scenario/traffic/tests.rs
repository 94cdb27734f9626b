//! The traffic against a correct store, and against stores that break one promise each.

use super::{Sizes, Traffic, verify};
use crate::{
    clock,
    fake::{Fake, Sin},
};
use std::time::Duration;

/// Traffic for a while, then the verification. Answers what was wrong.
async fn drill(sin: Sin) -> anyhow::Result<()> {
    let fake = Fake::start(sin).await;
    let traffic = Traffic::start(&fake.target, "bucket", 3, 7, Sizes::Wide);
    clock::wait_until(Duration::from_secs(10), async || traffic.acks.since_mark() > 300 || traffic.check().is_err())
        .await;
    traffic.check()?;
    let verified = verify::all(&traffic, &fake.target, "bucket").await?;
    assert!(verified.objects > 10 && verified.bytes > 0, "{verified:?}");
    traffic.stop().await.map(|_| ())
}

#[tokio::test]
async fn a_correct_store_passes() {
    drill(Sin::None).await.expect("a correct store");
}

#[tokio::test]
async fn every_broken_promise_is_found() {
    for sin in [Sin::Forget, Sin::Stale, Sin::Corrupt, Sin::Unlist] {
        let found = drill(sin).await;
        assert!(found.is_err(), "{sin:?} was not found");
    }
}

//! This crate's own commands, in short.

use crate::support::{fleet::Fleet, program::loadtest, suite::Verdict};

pub async fn racers(fleet: &Fleet) -> anyhow::Result<Verdict> {
    loadtest(fleet, &["racers"]).await
}

pub async fn listing(fleet: &Fleet) -> anyhow::Result<Verdict> {
    loadtest(fleet, &["listing", "--keys", "5000", "--page", "500"]).await
}

pub async fn bigobject(fleet: &Fleet) -> anyhow::Result<Verdict> {
    loadtest(fleet, &["bigobject", "--size", "200MiB"]).await
}

pub async fn bench(fleet: &Fleet) -> anyhow::Result<Verdict> {
    loadtest(fleet, &["bench", "--seconds", "1", "--sizes", "4KiB,1MiB", "--clients", "8"]).await
}

//! `bigobject`: one large object up in parts and down in one stream, while the memory of router and nodes is watched.

use crate::{
    client::{Condition, Part, PayloadHash, Session, Target, Upload},
    clock,
    faults::{Cluster, Role},
    limits::{PART_BYTES, POLL, RESIDENT_BYTES_MAX},
    machine,
    report::{parse_size, size},
    settings::Service,
    workload::Content,
};
use clap::Args;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// A part may wait for the disk.
const PART_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Debug, Args)]
pub struct BigObject {
    #[command(flatten)]
    service: Service,
    /// The object's size
    #[arg(long, value_parser = parse_size, default_value = "4GiB")]
    size: u64,
    /// Parts uploaded at once
    #[arg(long, default_value_t = 4)]
    parallel: u64,
    /// Leave the object where it is
    #[arg(long)]
    keep: bool,
}

/// The most memory each watched process has held.
#[derive(Debug, Default)]
struct Peaks {
    bytes: BTreeMap<String, u64>,
}

/// Uploads, downloads and checks the object, and prints times and memory.
///
/// # Errors
/// When anything fails, a byte is wrong, or a router or node held more than 300 MiB.
pub async fn run(big: &BigObject) -> anyhow::Result<()> {
    let site = big.service.open().await?;
    let target = site.target.clone();
    let bucket = format!("bigobject-{}", clock::stamp());
    let key = "one/large object";
    let content = Content::of(key, 1, big.size);
    let mut session = Session::new(target.clone(), PayloadHash::Unsigned).with_timeout(PART_TIMEOUT);
    super::first_bucket(&target, &bucket).await?;
    let mut watch = JoinSet::new();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    watch.spawn(sample_memory(site.cluster.clone(), stopped));

    let begun = clock::now();
    upload(big, &target, &bucket, key, content).await?;
    print_rate("uploaded", big.size, clock::now() - begun);
    let begun = clock::now();
    let download = session.get(&bucket, key).await.required("reading the object")?;
    anyhow::ensure!(download.length == big.size, "the object has {} bytes", download.length);
    download.verify(content, 0).await.required("reading the object")??;
    print_rate("downloaded and verified", big.size, clock::now() - begun);

    stop.send_replace(true);
    let peaks = watch.join_next().await.expect("the watcher was started")??;
    peaks.print();
    if !big.keep {
        session.delete(&bucket, key).await.required("deleting the object")?;
        session.delete_bucket(&bucket).await.required("deleting the bucket")?;
    }
    peaks.check()
}

async fn upload(
    big: &BigObject,
    target: &Arc<Target>,
    bucket: &str,
    key: &str,
    content: Content,
) -> anyhow::Result<()> {
    let mut session = Session::new(target.clone(), PayloadHash::Unsigned).with_timeout(PART_TIMEOUT);
    let upload = session.create_upload(bucket, key, 1).await.required("starting the upload")?;
    let count = content.len().div_ceil(PART_BYTES);
    let mut tasks = JoinSet::new();
    for worker in 0..big.parallel.max(1) {
        let numbers = (worker..count).step_by(big.parallel.max(1) as usize).collect::<Vec<_>>();
        tasks.spawn(upload_parts(target.clone(), upload.clone(), content, numbers));
    }
    let mut parts = Vec::new();
    while let Some(uploaded) = tasks.join_next().await {
        parts.extend(uploaded??);
    }
    parts.sort_unstable_by_key(|part| part.number);
    session.complete_upload(&upload, &parts, &Condition::Always).await.required("completing the upload")?;
    println!("{} parts of {}", parts.len(), size(PART_BYTES));
    Ok(())
}

async fn upload_parts(
    target: Arc<Target>,
    upload: Upload,
    content: Content,
    numbers: Vec<u64>,
) -> anyhow::Result<Vec<Part>> {
    let mut session = Session::new(target, PayloadHash::Unsigned).with_timeout(PART_TIMEOUT);
    let mut parts = Vec::with_capacity(numbers.len());
    for number in numbers {
        let range = number * PART_BYTES..((number + 1) * PART_BYTES).min(content.len());
        let part = session.upload_part(&upload, u32::try_from(number + 1)?, content, range).await;
        parts.push(part.required("uploading a part")?);
    }
    Ok(parts)
}

async fn sample_memory(cluster: Cluster, mut stop: tokio::sync::watch::Receiver<bool>) -> anyhow::Result<Peaks> {
    let rows = cluster.list().await?;
    let watched: Vec<(String, u32)> = rows
        .into_iter()
        .filter(|row| row.alive && matches!(row.role, Role::Router | Role::Cell))
        .filter_map(|row| row.pid.map(|pid| (row.name, pid)))
        .collect();
    anyhow::ensure!(!watched.is_empty(), "no router and no node runs on this machine: their memory cannot be watched");
    let mut peaks = Peaks::default();
    loop {
        for (name, pid) in &watched {
            let now = machine::resident_bytes(*pid).unwrap_or(0);
            let peak = peaks.bytes.entry(name.clone()).or_default();
            *peak = now.max(*peak);
        }
        if tokio::time::timeout(POLL, stop.wait_for(|stop| *stop)).await.is_ok() {
            return Ok(peaks);
        }
    }
}

impl Peaks {
    fn print(&self) {
        for (name, bytes) in &self.bytes {
            println!("{name}: at most {} MiB resident", bytes >> 20);
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        match self.bytes.iter().find(|(_, bytes)| **bytes > RESIDENT_BYTES_MAX) {
            Some((name, bytes)) => {
                anyhow::bail!("{name} held {} MiB; {} MiB are allowed", bytes >> 20, RESIDENT_BYTES_MAX >> 20)
            }
            None => Ok(()),
        }
    }
}

fn print_rate(what: &str, bytes: u64, took: Duration) {
    let seconds = took.as_secs_f64();
    println!("{what} {} in {seconds:.1} s, {:.0} MiB/s", size(bytes), bytes as f64 / f64::from(1 << 20) / seconds);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_above_the_bound_fails_the_run() {
        let peaks = |bytes| Peaks { bytes: BTreeMap::from([("router-1".to_owned(), bytes)]) };
        assert!(peaks(RESIDENT_BYTES_MAX).check().is_ok());
        assert!(peaks(RESIDENT_BYTES_MAX + 1).check().is_err());
    }
}

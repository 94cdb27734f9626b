//! `listing`: many keys, listed page by page and folded by a delimiter, with the count of keys the cell touched for it.

use crate::{
    client::{Condition, ListQuery, Listed, PayloadHash, Put, Session, Target},
    clock,
    faults::{Cluster, Role},
    settings::Service,
    workload::Content,
};
use clap::Args;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// A node's metric: entries of the index that listings have looked at.
const TOUCHED: &str = "bulkhead_cell_list_entries_touched_total";
/// A folded page may touch each prefix, and a few keys more at its ends.
const TOUCHED_PER_PREFIX_MAX: u64 = 4;

#[derive(Debug, Args)]
pub struct Listing {
    #[command(flatten)]
    service: Service,
    /// Keys to create
    #[arg(long, default_value_t = 100_000)]
    keys: u64,
    /// Prefixes they fall into
    #[arg(long, default_value_t = 10)]
    prefixes: u64,
    /// Keys per page
    #[arg(long, default_value_t = 1000)]
    page: u32,
    /// Clients that create them
    #[arg(long, default_value_t = 64)]
    clients: u64,
    /// List this bucket of an earlier run instead of creating one
    #[arg(long)]
    bucket: Option<String>,
}

/// What one kind of listing showed and cost.
struct Measured {
    listed: Listed,
    took: Duration,
    /// Index entries looked at by all nodes, where they could be asked.
    touched: Option<u64>,
}

/// Creates the keys, lists them both ways, and prints what it took.
///
/// # Errors
/// When a listing is not exactly the keys in order, or the delimiter listing touches far more keys than there are prefixes.
pub async fn run(listing: &Listing) -> anyhow::Result<()> {
    let site = listing.service.open().await?;
    let bucket = match &listing.bucket {
        Some(bucket) => bucket.clone(),
        None => create(listing, &site.target).await?,
    };
    let mut session = Session::new(site.target.clone(), PayloadHash::Unsigned);
    let plain = ListQuery { bucket: &bucket, max_keys: Some(listing.page), ..Default::default() };
    let pages = measure(&mut session, &plain, &site.cluster).await?;
    let keys: Vec<String> = (0..listing.keys).map(|index| key(listing, index)).collect();
    check_order(&pages.listed, keys)?;
    print("plain", &pages, pages.listed.objects.len());
    let folded_query = ListQuery { delimiter: Some("/"), ..plain };
    let folded = measure(&mut session, &folded_query, &site.cluster).await?;
    let expected = listing.prefixes.min(listing.keys);
    anyhow::ensure!(folded.listed.objects.is_empty(), "the delimiter listing shows objects that have a prefix");
    anyhow::ensure!(folded.listed.prefixes.len() as u64 == expected, "{} prefixes", folded.listed.prefixes.len());
    print("delimiter", &folded, folded.listed.prefixes.len());
    if let Some(touched) = folded.touched {
        let allowed = expected * TOUCHED_PER_PREFIX_MAX;
        anyhow::ensure!(touched <= allowed, "the delimiter listing touched {touched} keys; {allowed} are allowed");
    }
    Ok(())
}

/// Spread over the prefixes, so that a delimiter listing that steps key by key cannot hide.
fn key(listing: &Listing, index: u64) -> String {
    let prefixes = listing.prefixes.max(1);
    format!("prefix-{:02}/{:08}", index % prefixes, index / prefixes)
}

async fn create(listing: &Listing, target: &Arc<Target>) -> anyhow::Result<String> {
    let bucket = format!("listing-{}", clock::stamp());
    super::first_bucket(target, &bucket).await?;
    let begun = clock::now();
    let mut tasks = JoinSet::new();
    for client in 0..listing.clients {
        let keys: Vec<String> =
            (client..listing.keys).step_by(listing.clients as usize).map(|index| key(listing, index)).collect();
        let (target, bucket) = (target.clone(), bucket.clone());
        tasks.spawn(async move {
            let mut session = Session::new(target, PayloadHash::Unsigned);
            for key in &keys {
                let content = Content::of(key, 1, 16);
                let put = Put { bucket: &bucket, key, version: 1, content, condition: Condition::Always };
                session.put(&put).await.required("creating a key")?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(created) = tasks.join_next().await {
        created??;
    }
    let seconds = (clock::now() - begun).as_secs_f64();
    println!(
        "created {} keys in {bucket} in {seconds:.1} s, {:.0} per second",
        listing.keys,
        listing.keys as f64 / seconds
    );
    Ok(bucket)
}

async fn measure(session: &mut Session, query: &ListQuery<'_>, cluster: &Cluster) -> anyhow::Result<Measured> {
    let before = touched(cluster).await?;
    let begun = clock::now();
    let listed = session.list(query).await.required("listing")?;
    let took = clock::now() - begun;
    let touched = before.zip(touched(cluster).await?).map(|(before, after)| after - before);
    Ok(Measured { listed, took, touched })
}

/// Sums the metric over all nodes; `None` when they cannot be asked.
async fn touched(cluster: &Cluster) -> anyhow::Result<Option<u64>> {
    let Ok(nodes) = cluster.of(Role::Cell, None).await else { return Ok(None) };
    let mut sum = 0;
    for row in nodes.iter().filter(|row| row.alive) {
        let Some(text) = row.listener("admin")?.get("/metrics").await else { return Ok(None) };
        sum += counter(&text, TOUCHED);
    }
    Ok(Some(sum))
}

/// A counter's value in Prometheus' text format, all its labels added up.
fn counter(text: &str, name: &str) -> u64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let rest = if rest.starts_with('{') { rest.split_once('}')?.1 } else { rest };
        rest.strip_prefix(' ')?.split_ascii_whitespace().next()?.parse::<f64>().ok()
    };
    text.lines().filter_map(value).sum::<f64>() as u64
}

fn check_order(listed: &Listed, mut expected: Vec<String>) -> anyhow::Result<()> {
    expected.sort_unstable();
    anyhow::ensure!(
        listed.objects.len() == expected.len(),
        "{} keys listed, {} exist",
        listed.objects.len(),
        expected.len()
    );
    for (object, key) in listed.objects.iter().zip(&expected) {
        anyhow::ensure!(&object.key == key, "the listing shows {:?} where {key:?} belongs", object.key);
    }
    Ok(())
}

fn print(what: &str, measured: &Measured, shown: usize) {
    let seconds = measured.took.as_secs_f64();
    let pages = measured.listed.pages;
    println!(
        "{what:<9} listing: {shown} entries in {pages} pages in {seconds:.3} s, {:.0} per second",
        shown as f64 / seconds
    );
    match measured.touched {
        Some(touched) => {
            println!("{what:<9} listing: touched {touched} index entries, {} per page", touched / pages.max(1))
        }
        None => println!("{what:<9} listing: the cell's counter cannot be read from here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_summed_over_its_labels_and_not_mixed_with_its_neighbours() {
        let text =
            "# TYPE a_total counter\na_total{cell=\"c1\"} 3\na_total{cell=\"c2\"} 4\na_total_more 9\na_total 1\n";
        assert_eq!(counter(text, "a_total"), 8);
        assert_eq!(counter(text, "b_total"), 0);
    }
}

//! What a routing table costs, by its size: memory, loading, saving, applying changes, looking up. `make table` runs it.
//!
//! Names are 12 to 28 bytes. Every lookup is of a random entry, which is the worst case for the processor's caches.

use anyhow::{Context as _, ensure};
use bulkhead_model::{
    AccessKeyId, AccountId, Epoch, NodeId, RoutingTable,
    routing::{Change, Home, NodeRoute, Versioned, binary},
};
use bulkhead_router::routing;
use bulkhead_service::{Env, env::Rng};
use clap::Parser;
use std::{hint::black_box, time::Duration};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures routing tables of several sizes; the largest has a million accounts, five million buckets and two million keys.
#[derive(Debug, Parser)]
struct Arguments {
    /// Accounts of the largest table; each has five buckets and two keys.
    #[arg(long, default_value_t = 1_000_000)]
    accounts: u64,
    /// Lookups of each kind.
    #[arg(long, default_value_t = 1_000_000)]
    lookups: u64,
}

const CELLS: u64 = 500;
const BUCKETS_PER_ACCOUNT: u64 = 5;
const KEYS_PER_ACCOUNT: u64 = 2;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let env = Env::system();
    println!(
        "accounts  entries  table MiB  file MiB  save s  load s  refetch s  +1 change µs  +1000 changes ms  bucket ns  unknown ns  key ns  account ns"
    );
    let sizes = [1_000, 100, 10, 1].map(|part| arguments.accounts / part);
    for accounts in sizes.into_iter().filter(|accounts| *accounts > 0) {
        row(&env, accounts, arguments.lookups)?;
    }
    println!("\nmost memory the process had: {} MiB (two tables, while the last was loaded)", peak_mib()?);
    Ok(())
}

fn row(env: &Env, accounts: u64, lookups: u64) -> anyhow::Result<()> {
    let mut table = table(accounts)?;
    let dir = std::env::temp_dir().join(format!("bulkhead-table-{}", std::process::id()));
    let (save, saved) = timed(env, || routing::save(&dir, &table));
    saved?;
    let file = std::fs::metadata(dir.join("routing.table"))?.len();
    let (load, loaded) = timed(env, || routing::load(&dir));
    let same = loaded?.is_some_and(|loaded| loaded == table);
    std::fs::remove_dir_all(&dir)?;
    ensure!(same, "what was loaded is not what was saved");
    let (refetch, fetched) = timed(env, || {
        let mut decoder = binary::Decoder::new(&table);
        binary::pieces(&table).try_for_each(|piece| decoder.push(&piece))?;
        decoder.finish()
    });
    ensure!(fetched? == table, "what was fetched is not what was published");
    let one = changes(env, &mut table, 1)?;
    let thousand = changes(env, &mut table, 1_000)?;
    let Looked { bucket, unknown, key, account } = look(env, &table, accounts, lookups)?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "{accounts:8}  {:7}  {:9.1}  {:8.1}  {:6.3}  {:6.3}  {:9.3}  {:12.1}  {:16.2}  {bucket:9.0}  {unknown:10.0}  {key:6.0}  {account:10.0}",
        table.len(),
        mib(table.memory() as u64),
        mib(file),
        save.as_secs_f64(),
        load.as_secs_f64(),
        refetch.as_secs_f64(),
        one.as_secs_f64() * 1e6,
        thousand.as_secs_f64() * 1e3,
    );
    Ok(())
}

fn account(n: u64) -> anyhow::Result<AccountId> {
    // Spread over the whole range, as random ids are.
    Ok(AccountId::new(AccountId::FIRST + n.wrapping_mul(611_953) % (AccountId::END - AccountId::FIRST))?)
}

fn bucket(n: u64) -> String {
    // 12 to 36 bytes.
    let words = ["logs", "backups", "media-archive", "analytics-exports-eu"];
    format!("{}-{n:07x}", words[(n % 4) as usize])
}

fn key(n: u64) -> anyhow::Result<AccessKeyId> {
    Ok(format!("AKIA{n:016}").parse()?)
}

fn table(accounts: u64) -> anyhow::Result<RoutingTable> {
    let home = |n: u64| anyhow::Ok(Home { cell: format!("cell-{}", n % CELLS).parse()?, epoch: Epoch(1) });
    let mut table = RoutingTable {
        version: 1,
        accounts: (0..accounts).map(|n| anyhow::Ok((account(n)?, home(n)?))).collect::<anyhow::Result<_>>()?,
        buckets: (0..accounts * BUCKETS_PER_ACCOUNT)
            .map(|n| anyhow::Ok((bucket(n), account(n / BUCKETS_PER_ACCOUNT)?)))
            .collect::<anyhow::Result<_>>()?,
        keys: (0..accounts * KEYS_PER_ACCOUNT)
            .map(|n| anyhow::Ok((key(n)?, account(n / KEYS_PER_ACCOUNT)?)))
            .collect::<anyhow::Result<_>>()?,
        ..RoutingTable::default()
    };
    for n in 0..CELLS {
        let route = |node| {
            anyhow::Ok(NodeRoute {
                node: NodeId(node),
                az: format!("az-{}", node % 3).parse()?,
                s3: ([10, 0, 0, 1], 9000).into(),
            })
        };
        let nodes = (1..=9).map(route).collect::<anyhow::Result<_>>()?;
        table.cells.insert(format!("cell-{n}").parse()?, nodes);
    }
    Ok(table)
}

/// Publishes so many new buckets at once, as the router does: a copy of the table, changed. The median of eleven.
fn changes(env: &Env, table: &mut RoutingTable, count: u64) -> anyhow::Result<Duration> {
    let mut took = Vec::new();
    for _ in 0..11 {
        let batch = (1..=count).map(|n| {
            let version = table.version + n;
            let bucket = format!("new-{version:09}");
            anyhow::Ok(Versioned { version, change: Change::Bucket { bucket, account: account(n)? } })
        });
        let batch = batch.collect::<anyhow::Result<Vec<_>>>()?;
        let (one, changed) = timed(env, || {
            let mut changed = table.clone();
            changed.apply_all(batch);
            changed
        });
        *table = changed;
        took.push(one);
    }
    took.sort();
    took.get(5).copied().context("eleven were made")
}

struct Looked {
    bucket: f64,
    unknown: f64,
    key: f64,
    account: f64,
}

/// Nanoseconds of one lookup, of random entries. What is looked up is made before.
fn look(env: &Env, table: &RoutingTable, accounts: u64, lookups: u64) -> anyhow::Result<Looked> {
    let rng = Rng::from_seed(1);
    let each = |took: Duration| took.as_nanos() as f64 / lookups as f64;
    let some = |of: u64| (0..lookups).map(|_| rng.below(of)).collect::<Vec<_>>();
    let names: Vec<_> = some(accounts * BUCKETS_PER_ACCOUNT).into_iter().map(bucket).collect();
    let (bucket, found) =
        timed(env, || names.iter().filter(|name| table.buckets.get(black_box(name.as_str())).is_some()).count());
    ensure!(found as u64 == lookups, "{found} of {lookups} buckets were found");
    let names: Vec<_> = names.into_iter().map(|name| format!("{name}x")).collect();
    let (unknown, found) =
        timed(env, || names.iter().filter(|name| table.buckets.get(black_box(name.as_str())).is_some()).count());
    ensure!(found == 0, "{found} buckets were found that are not there");
    let keys = some(accounts * KEYS_PER_ACCOUNT).into_iter().map(key).collect::<anyhow::Result<Vec<_>>>()?;
    let (key, found) = timed(env, || keys.iter().filter(|key| table.keys.get(black_box(*key)).is_some()).count());
    ensure!(found as u64 == lookups, "{found} of {lookups} keys were found");
    let ids = some(accounts).into_iter().map(account).collect::<anyhow::Result<Vec<_>>>()?;
    let (account, found) = timed(env, || ids.iter().filter(|id| table.accounts.get(black_box(*id)).is_some()).count());
    ensure!(found as u64 == lookups, "{found} of {lookups} accounts were found");
    Ok(Looked { bucket: each(bucket), unknown: each(unknown), key: each(key), account: each(account) })
}

fn timed<T>(env: &Env, run: impl FnOnce() -> T) -> (Duration, T) {
    let began = env.clock.now();
    let value = run();
    (env.clock.now().saturating_duration_since(began), value)
}

fn peak_mib() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the kernel says no VmHWM")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib >> 10)
}

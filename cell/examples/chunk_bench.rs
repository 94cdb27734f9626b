//! Measures one node's chunk store on a real disk: chunks and MiB per second, latency, and syncs per chunk, at several sizes and numbers
//! of writers. Every put is on stable storage when it counts.
//!
//! `cargo run -p bulkhead-cell --example chunk_bench -- --dir /some/disk`

use bulkhead_cell::chunks::{
    ChunkId, LocalConfig, LocalStore,
    disk::{Disk, DiskFile, RealDisk},
    payload::{Chunk, Payload},
};
use bulkhead_model::{AccountId, NodeId};
use bulkhead_service::Env;
use bytes::Bytes;
use clap::Parser;
use std::{
    io::{self, IoSlice},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

#[derive(Parser)]
struct Arguments {
    /// Where the extents go; what is found there is removed.
    #[arg(long)]
    dir: PathBuf,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    #[arg(long, default_value_t = 1 << 30)]
    extent_bytes: u64,
    /// Chunk sizes in KiB.
    #[arg(long, value_delimiter = ',', default_value = "64,1024,4096")]
    sizes: Vec<u32>,
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    writers: Vec<usize>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    println!(
        "{:>9} {:>8} {:>9} {:>9} {:>9} {:>9} {:>11}",
        "chunk", "writers", "put/s", "MiB/s", "p50 ms", "p99 ms", "syncs/put"
    );
    for &kib in &arguments.sizes {
        for &writers in &arguments.writers {
            measure(&arguments, kib << 10, writers).await?;
        }
    }
    Ok(())
}

async fn measure(arguments: &Arguments, len: u32, writers: usize) -> anyhow::Result<()> {
    if arguments.dir.exists() {
        std::fs::remove_dir_all(&arguments.dir)?;
    }
    let env = Env::system();
    let disk = Arc::new(Counting { disk: RealDisk::open(&arguments.dir)?, syncs: Arc::default() });
    let config = LocalConfig { node: NodeId(1), extent_bytes: arguments.extent_bytes, chunk_bytes: len };
    let store = Arc::new(LocalStore::open(config, Arc::clone(&disk) as Arc<dyn Disk>, &env).await?);
    // The extent is created before the clock starts.
    put(&store, &env, u64::MAX, Bytes::from(vec![1; len as usize])).await?;
    disk.syncs.store(0, Ordering::Relaxed);
    let end = env.clock.now() + Duration::from_secs(arguments.seconds);
    let begun = env.clock.now();
    let mut noise = vec![0; len as usize];
    env.rng.fill(&mut noise);
    let noise = Bytes::from(noise);
    let writing = (0..writers).map(|writer| {
        let (store, env, noise) = (Arc::clone(&store), env.clone(), noise.clone());
        async move {
            let mut latencies = Vec::new();
            while env.clock.now() < end {
                let started = env.clock.now();
                let number = ((writer as u64) << 32) | latencies.len() as u64;
                put(&store, &env, number, noise.clone()).await?;
                latencies.push(env.clock.now().duration_since(started));
            }
            anyhow::Ok(latencies)
        }
    });
    let mut latencies = Vec::new();
    for writer in futures::future::join_all(writing).await {
        latencies.extend(writer?);
    }
    let seconds = env.clock.now().duration_since(begun).as_secs_f64();
    report(len, writers, seconds, latencies, disk.syncs.load(Ordering::Relaxed));
    store.shutdown().await;
    std::fs::remove_dir_all(&arguments.dir)?;
    Ok(())
}

async fn put(store: &LocalStore, env: &Env, number: u64, data: Bytes) -> anyhow::Result<()> {
    let id = ChunkId { blob: number.into(), index: 0 };
    let chunk = Chunk { id, account: AccountId::new(AccountId::FIRST)?, payload: Payload::seal(data) };
    Ok(store.put(chunk, env.clock.now() + Duration::from_secs(30)).await?)
}

fn report(len: u32, writers: usize, seconds: f64, mut latencies: Vec<Duration>, syncs: u64) {
    latencies.sort_unstable();
    let quantile =
        |of: usize| latencies.get(latencies.len() * of / 100).map_or(0.0, |latency| latency.as_secs_f64() * 1e3);
    let puts = latencies.len() as f64;
    println!(
        "{:>6}KiB {writers:>8} {:>9.0} {:>9.1} {:>9.2} {:>9.2} {:>11.3}",
        len >> 10,
        puts / seconds,
        puts * f64::from(len) / seconds / f64::from(1 << 20),
        quantile(50),
        quantile(99),
        syncs as f64 / puts,
    );
}

/// A disk that counts the syncs of its files.
struct Counting {
    disk: RealDisk,
    syncs: Arc<AtomicU64>,
}

impl Counting {
    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(CountingFile { file, syncs: Arc::clone(&self.syncs) })
    }
}

impl Disk for Counting {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.create(name, len)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.open(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}

struct CountingFile {
    file: Arc<dyn DiskFile>,
    syncs: Arc<AtomicU64>,
}

impl DiskFile for CountingFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn write_at(&self, buffers: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.file.write_at(buffers, offset)
    }

    fn read_at(&self, buffer: &mut Vec<u8>, len: usize, offset: u64) -> io::Result<()> {
        self.file.read_at(buffer, len, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.file.sync()
    }

    fn forget_cached(&self, range: std::ops::Range<u64>) -> io::Result<()> {
        self.file.forget_cached(range)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
}

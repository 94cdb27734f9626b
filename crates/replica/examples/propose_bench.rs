//! Proposals per second of three replicas in one process over loopback: `cargo run -p bulkhead-replica --example propose_bench`.
//!
//! 64 proposers, 4 KiB each, all on the leader. Prints the rate, the latency, and how many proposals shared one sync.

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/cluster/mod.rs"]
mod cluster;

use cluster::{Cluster, deadline, now, put};
use std::time::Duration;

const PROPOSERS: usize = 64;
const BYTES: usize = 4 << 10;
const RUN: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() {
    let cluster = Cluster::formed(64 << 20).await;
    let leader = cluster.leader().await;
    let replica = &cluster.node(leader.0).replica;
    let value = "x".repeat(BYTES);
    let (started, syncs) = (now(), replica.log_syncs());
    let proposers = (0..PROPOSERS).map(|proposer| {
        let value = &value;
        async move {
            let mut latencies = Vec::new();
            while started.elapsed() < RUN {
                let before = now();
                let command = put(&format!("{proposer}-{}", latencies.len() % 1000), value);
                replica.propose(command, deadline()).await.expect("proposed");
                latencies.push(before.elapsed());
            }
            latencies
        }
    });
    let mut latencies: Vec<Duration> = futures::future::join_all(proposers).await.into_iter().flatten().collect();
    latencies.sort();
    let (elapsed, syncs) = (started.elapsed(), replica.log_syncs() - syncs);
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
    let count = u64::try_from(latencies.len()).unwrap_or(u64::MAX);
    println!("{PROPOSERS} proposers of {BYTES} bytes, 3 replicas in this process, {} s", elapsed.as_secs());
    println!("proposals/s      {}", u128::from(count) * 1000 / elapsed.as_millis());
    println!("p50 / p99        {:?} / {:?}", at(50), at(99));
    println!("leader's syncs/s {}", u128::from(syncs) * 1000 / elapsed.as_millis());
    println!("proposals/sync   {}", count / syncs.max(1));
    cluster.stop().await;
}

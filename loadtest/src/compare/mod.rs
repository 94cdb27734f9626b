//! `compare`: the same work on two services by turns, A B B A, and what their ratio is worth.
//!
//! Speaks to any S3 endpoint. Closed loops: each client sends its next request when the last one was answered. The sides never run at the same
//! time; what one leaves to do in the background the other may feel, so there is a pause between windows. Nothing is repeated, errors are counted
//! and shown, and every byte read is compared.

mod case;
mod run;
mod side;
mod stats;
mod table;
mod work;

pub use case::{Axes, Case, Operation};
pub use run::{Compared, Window, compare};
pub use side::Side;
pub use stats::Ratio;

use crate::report::parse_size;
use anyhow::Context as _;
use case::Operation as Op;
use clap::Args;
use side::Said;
use std::{path::PathBuf, time::Duration};

#[derive(Debug, Args)]
pub struct Compare {
    /// http://HOST:PORT of side A, or the data directory of a fleet on this machine
    #[arg(long)]
    a: String,
    /// http://HOST:PORT of side B, or the data directory of a fleet on this machine
    #[arg(long)]
    b: String,
    #[arg(long, default_value = "A")]
    a_name: String,
    #[arg(long, default_value = "B")]
    b_name: String,
    #[arg(long, env = "COMPARE_A_ACCESS_KEY_ID")]
    a_access_key_id: Option<String>,
    #[arg(long, env = "COMPARE_A_SECRET_ACCESS_KEY", hide_env_values = true)]
    a_secret_access_key: Option<String>,
    #[arg(long, env = "COMPARE_A_REGION")]
    a_region: Option<String>,
    #[arg(long, env = "COMPARE_B_ACCESS_KEY_ID")]
    b_access_key_id: Option<String>,
    #[arg(long, env = "COMPARE_B_SECRET_ACCESS_KEY", hide_env_values = true)]
    b_secret_access_key: Option<String>,
    #[arg(long, env = "COMPARE_B_REGION")]
    b_region: Option<String>,
    /// Servers of side A on this machine, for their CPU time [default: those of the fleet]
    #[arg(long, value_delimiter = ',')]
    a_pids: Vec<u32>,
    /// Servers of side B on this machine, for their CPU time [default: those of the fleet]
    #[arg(long, value_delimiter = ',')]
    b_pids: Vec<u32>,
    /// Where side A keeps its data, for the flushes of the device below
    #[arg(long)]
    a_data: Option<PathBuf>,
    /// Where side B keeps its data, for the flushes of the device below
    #[arg(long)]
    b_data: Option<PathBuf>,
    /// What is measured
    #[arg(long, value_enum, value_delimiter = ',', default_value = "put,get,head,mixed,list,prefixes,delete")]
    operations: Vec<Op>,
    /// Object sizes
    #[arg(long, value_delimiter = ',', value_parser = parse_size, default_value = "4KiB,64KiB,1MiB,16MiB")]
    sizes: Vec<u64>,
    /// Numbers of clients
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    clients: Vec<usize>,
    /// Keys of the buckets that are listed; each is filled once
    #[arg(long, value_delimiter = ',', default_value = "10000,100000")]
    list_keys: Vec<u64>,
    /// Object size of the mix
    #[arg(long, value_parser = parse_size, default_value = "64KiB")]
    mixed_size: u64,
    /// Keys that are deleted in a window
    #[arg(long, default_value_t = 1_000)]
    delete_keys: u64,
    /// Seconds of a window; a fourth of it goes ahead as ramp-up
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Times A B B A; two pairs each
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// Between two windows, so that one side does not pay for what the other has left to do. Milliseconds
    #[arg(long, default_value_t = 300)]
    pause_ms: u64,
    /// Also write everything here, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

/// How windows are run.
#[derive(Debug, Clone, Copy)]
pub struct Windows {
    pub lasts: Duration,
    /// Times A B B A.
    pub rounds: u32,
    pub pause: Duration,
    /// Keys that are deleted in a window.
    pub delete_keys: u64,
}

/// Runs the comparison and prints its table.
///
/// # Errors
/// When a side cannot be used, or returned wrong bytes. Other errors of requests are counted.
pub async fn run(compare: &Compare) -> anyhow::Result<()> {
    anyhow::ensure!(compare.seconds > 0.0 && compare.seconds <= 600.0, "--seconds is above 0 and at most 600");
    anyhow::ensure!((1..=100).contains(&compare.rounds), "--rounds is 1 to 100");
    let [a, b] = [Side::open(compare.said_a(), 'A').await?, Side::open(compare.said_b(), 'B').await?];
    let windows = Windows {
        lasts: Duration::from_secs_f64(compare.seconds),
        rounds: compare.rounds,
        pause: Duration::from_millis(compare.pause_ms),
        delete_keys: compare.delete_keys,
    };
    let axes = Axes {
        operations: compare.operations.clone(),
        sizes: compare.sizes.clone(),
        clients: compare.clients.clone(),
        list_keys: compare.list_keys.clone(),
        mixed_bytes: compare.mixed_size,
    };
    println!("{}", table::head(&a.name, &b.name));
    let mut found = Vec::new();
    for case in axes.cases() {
        let compared = run::compare(case, [&a, &b], windows).await.with_context(|| case.to_string())?;
        println!("{}", table::line(&compared));
        found.push(compared);
        // What was measured is kept, whatever comes after it.
        if let Some(path) = &compare.json {
            let text = serde_json::to_vec_pretty(&found)?;
            std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
        }
    }
    println!("{}", table::foot());
    table::complain(&found)
}

impl Compare {
    fn said_a(&self) -> Said {
        Said {
            at: self.a.clone(),
            name: Some(self.a_name.clone()),
            access_key_id: self.a_access_key_id.clone(),
            secret_access_key: self.a_secret_access_key.clone(),
            region: self.a_region.clone(),
            pids: self.a_pids.clone(),
            data: self.a_data.clone(),
        }
    }

    fn said_b(&self) -> Said {
        Said {
            at: self.b.clone(),
            name: Some(self.b_name.clone()),
            access_key_id: self.b_access_key_id.clone(),
            secret_access_key: self.b_secret_access_key.clone(),
            region: self.b_region.clone(),
            pids: self.b_pids.clone(),
            data: self.b_data.clone(),
        }
    }
}

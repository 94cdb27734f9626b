//! Windows of one case, by turns on both sides.

use super::{
    Windows,
    case::Case,
    side::Side,
    stats::Ratio,
    work::{self, Client},
};
use crate::{
    clock,
    driver::{Pace, Sample, Worker as _, closed_loop},
    report::Cost,
    scenario::Meter,
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;

/// What one window showed.
#[derive(Debug, Clone, Serialize)]
pub struct Window {
    /// Of what the case counts.
    pub per_second: f64,
    pub operations: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub errors: BTreeMap<String, u64>,
    #[serde(flatten)]
    pub cost: Cost,
}

/// A case on both sides.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    pub case: Case,
    pub unit: &'static str,
    pub object_bytes: Option<u64>,
    /// In the order in which they were run; A and B of the same place are a pair.
    pub a: Vec<Window>,
    pub b: Vec<Window>,
    /// Absent where a window did nothing.
    pub ratio: Option<Ratio>,
}

/// Prepares what a case needs, and measures it: A B B A, as often as said.
///
/// # Errors
/// When a side cannot be prepared.
pub async fn compare(case: Case, sides: [&Side; 2], windows: Windows) -> anyhow::Result<Compared> {
    for side in sides {
        prepare(case, side).await?;
    }
    let mut found: [Vec<Window>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..windows.rounds {
        for number in [0, 1, 1, 0] {
            tokio::time::sleep(windows.pause).await;
            found[number].push(window(case, sides[number], windows).await?);
        }
    }
    let [a, b] = found;
    let pairs: Vec<(f64, f64)> = a.iter().zip(&b).map(|(a, b)| (a.per_second, b.per_second)).collect();
    let ratio = Ratio::of(&pairs);
    Ok(Compared { case, unit: case.unit(), object_bytes: case.object_bytes(), a, b, ratio })
}

async fn prepare(case: Case, side: &Side) -> anyhow::Result<()> {
    match case {
        Case::Get { bytes, .. } | Case::Head { bytes, .. } | Case::Mixed { bytes, .. } => {
            let keys = work::read_keys(bytes);
            let last = work::read_key(bytes, keys - 1);
            if !side.has(&last).await {
                side.fill(keys, move |number| work::read_key(bytes, number), bytes).await?;
            }
            Ok(())
        }
        Case::List { keys, .. } => {
            if !side.has(&work::listed_key(keys, keys - 1)).await {
                side.fill(keys, move |number| work::listed_key(keys, number), 0).await?;
            }
            Ok(())
        }
        Case::Put { .. } | Case::Delete { .. } => Ok(()),
    }
}

async fn window(case: Case, side: &Side, windows: Windows) -> anyhow::Result<Window> {
    let meter = Meter::of(side.pids.clone(), side.data.as_deref());
    let mut readings = Vec::with_capacity(2);
    let sample = if let Case::Delete { clients } = case {
        side.fill(windows.delete_keys, work::doomed_key, 64).await?;
        readings.push(meter.read());
        let sample = delete_all(side, case, clients, windows.delete_keys).await?;
        readings.push(meter.read());
        sample
    } else {
        let clients = (0..case.clients()).map(|index| Client::new(side, case, index)).collect();
        let pace = Pace { ramp_up: windows.lasts / 4, window: windows.lasts };
        closed_loop(clients, pace, || readings.push(meter.read())).await
    };
    let cost = match readings.as_slice() {
        [before, after] => after.since(before, &sample),
        _ => Cost::default(),
    };
    let counted = if case.unit() == "requests" { sample.operations } else { sample.bytes };
    let millis = |quantile| sample.latency.value_at_quantile(quantile) as f64 / 1_000.0;
    Ok(Window {
        per_second: counted as f64 / sample.seconds.max(f64::MIN_POSITIVE),
        operations: sample.operations,
        p50_ms: millis(0.5),
        p99_ms: millis(0.99),
        errors: sample.errors,
        cost,
    })
}

/// Deletes each key once; the time is that until the last is gone.
async fn delete_all(side: &Side, case: Case, clients: usize, keys: u64) -> anyhow::Result<Sample> {
    let next = Arc::new(AtomicU64::new(0));
    let begun = clock::now();
    let mut deleting = JoinSet::new();
    for _ in 0..clients {
        let (next, mut client) = (next.clone(), Client::new(side, case, 0));
        deleting.spawn(async move {
            let mut sample = Sample::empty();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= keys {
                    return sample;
                }
                let begun = clock::now();
                let done = client.turned_to(number).step().await;
                sample.record(done, clock::now() - begun);
            }
        });
    }
    let mut total = Sample::empty();
    while let Some(sample) = deleting.join_next().await {
        total.add(&sample?);
    }
    total.seconds = (clock::now() - begun).max(Duration::from_micros(1)).as_secs_f64();
    Ok(total)
}

//! Publishes what the cell holds, as this node has it, and how much the node is doing.

use crate::{admit::Admission, limits::GAUGE_INTERVAL, meta::index::IndexHandle};
use bulkhead_model::{api::cell::CellUsage, blueprint::Capacity};
use bulkhead_service::Env;
use metrics::gauge;

/// Publishes until the node stops.
pub async fn run(index: IndexHandle, admission: Admission, capacity: Capacity, env: Env) {
    let stopping = env.tasks.stopping();
    loop {
        match index.local().cell_usage() {
            Ok(usage) => publish(&usage, &capacity),
            Err(error) => tracing::error!(%error, "the cell's usage cannot be read"),
        }
        publish_load(&admission);
        tokio::select! {
            () = tokio::time::sleep(GAUGE_INTERVAL) => {}
            () = stopping.cancelled() => return,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and 2⁵³ bytes are exact")]
fn publish(usage: &CellUsage, capacity: &Capacity) {
    gauge!("bulkhead_cell_buckets").set(usage.buckets as f64);
    for (dimension, used, max) in [
        ("bytes", usage.bytes, capacity.bytes),
        ("objects", usage.objects, capacity.objects),
        ("accounts", usage.accounts, capacity.accounts),
    ] {
        gauge!("bulkhead_cell_used", "dimension" => dimension).set(used as f64);
        gauge!("bulkhead_cell_capacity", "dimension" => dimension).set(max as f64);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and these are small")]
fn publish_load(admission: &Admission) {
    let load = admission.load();
    gauge!("bulkhead_admission_limit_units").set(load.limit as f64);
    gauge!("bulkhead_admission_held_units").set(load.held as f64);
    gauge!("bulkhead_admission_queued").set(load.queued as f64);
}

//! A trace: one write, seen by a collector as one tree of spans from the router to the nodes that store it.

use crate::support::{
    collector::Collector,
    fleet::Fleet,
    suite::{Case, Verdict},
};
use anyhow::{Context, ensure};
use bulkhead_loadtest::{
    client::{Condition, PayloadHash, Put, Session},
    clock,
    faults::{ListedProcess, Role},
    scenario::first_bucket,
    workload::Content,
};
use futures::FutureExt;
use std::{collections::BTreeSet, fs, net::SocketAddr, path::Path, time::Duration};

const PATIENCE: Duration = Duration::from_secs(30);

pub const CASES: &[Case] = &[("one_trace_spans_router_leader_and_replicas", |fleet| trace(fleet).boxed_local())];

async fn trace(fleet: &Fleet) -> anyhow::Result<Verdict> {
    let collector = Collector::start().await?;
    export_to(fleet, collector.address()).await?;
    let (target, _) = fleet.site.new_account("traced").await?;
    first_bucket(&target, "traced").await?;
    // More than is inlined, so that chunks go to the replicas.
    let content = Content::of("traced", 1, 6 << 20);
    let put = Put { bucket: "traced", key: "traced", version: 1, content, condition: Condition::Always };
    Session::new(target, PayloadHash::Signed).put(&put).await.required("the traced write")?;
    let mut best = BTreeSet::new();
    let complete = clock::wait_until(PATIENCE, async || {
        for places in collector.traces().into_values() {
            if places.len() > best.len() {
                best = places;
            }
        }
        spans_all(&best)
    })
    .await;
    ensure!(complete, "no trace spans the router and three nodes; the widest has {best:?}");
    println!("one trace id in {best:?}");
    Ok(Verdict::Passed)
}

/// The router, and three nodes: the one that leads and those that keep a copy.
fn spans_all(places: &BTreeSet<String>) -> bool {
    let of = |service: &str| places.iter().filter(|place| place.starts_with(service)).count();
    of("bulkhead-router") == 1 && of("bulkhead-cell") == 3
}

/// Points router and nodes at the collector: in their configuration files, as an operator would.
async fn export_to(fleet: &Fleet, collector: SocketAddr) -> anyhow::Result<()> {
    let rows = fleet.cluster().list().await?;
    let traced: Vec<&ListedProcess> = rows.iter().filter(|row| row.role != Role::ControlPlane).collect();
    for row in &traced {
        let position = row.argv.iter().position(|argument| argument == "--config").context("no --config")?;
        let file = Path::new(row.argv.get(position + 1).context("--config names no file")?);
        let text = fs::read_to_string(file)?;
        fs::write(file, with_endpoint(&text, collector))?;
        fleet.cluster().kill(&[&row.name]).await?;
        fleet.cluster().start(&row.name).await?;
    }
    let missing = fleet.cluster().missing_after(PATIENCE).await?;
    ensure!(missing.is_empty(), "not ready with telemetry: {}", missing.join(", "));
    Ok(())
}

fn with_endpoint(config: &str, collector: SocketAddr) -> String {
    let setting = format!("[telemetry]\notlp_endpoint = \"http://{collector}\"");
    let kept: Vec<&str> = config.lines().filter(|line| !line.starts_with("otlp_endpoint")).collect();
    let kept = kept.join("\n");
    if kept.contains("[telemetry]") { kept.replace("[telemetry]", &setting) } else { format!("{kept}\n{setting}\n") }
}

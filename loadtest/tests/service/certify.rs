//! A quick certification of a cell that is empty, and what its certificate is refused for; and cells that are broken and must not be certified.

use crate::support::{
    fleet::Fleet,
    suite::{Case, Verdict},
};
use anyhow::{Context, ensure};
use bulkhead_loadtest::{certify::Subject, clock};
use bulkhead_model::{Blueprint, Certificate, api::drill::Fault};
use futures::FutureExt;
use std::{path::Path, process::Stdio, time::Duration};
use tokio::process::Command;

pub const CASES: &[Case] = &[
    ("a_quick_certificate_is_good_and_no_other", |fleet| quick(fleet).boxed_local()),
    ("a_cell_with_a_bucket_is_not_broken_on_purpose", |fleet| occupied(fleet).boxed_local()),
    ("a_cell_that_is_broken_is_not_certified_and_the_criterion_says_why", |fleet| broken(fleet).boxed_local()),
];

/// Much longer than any of these takes: a machine that is busy is slow.
const PATIENCE: Duration = Duration::from_secs(240);
/// What a quick certification may take, on a machine that is busy with nothing else: 20 s, and what its programs' start takes.
const QUICK: Duration = Duration::from_secs(30);

struct Ended {
    success: bool,
    said: String,
}

async fn loadtest(arguments: &[&str]) -> anyhow::Result<Ended> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead-loadtest"));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output =
        tokio::time::timeout(PATIENCE, command.output()).await.context("bulkhead-loadtest took too long")??;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok(Ended { success: output.status.success(), said })
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

/// The cell of the fleet that has no bucket; another case's account may have been placed in either.
async fn quick(fleet: &Fleet) -> anyhow::Result<Verdict> {
    let out = fleet.scratch().join("certified");
    let key = fleet.scratch().join("certify.key");
    let data = fleet.cluster().data();
    let begun = clock::now();
    let arguments = ["certify", "--cell", "c1", "--data", text(data), "--out", text(&out), "--signing-key", text(&key)];
    let ended = loadtest(&arguments).await?;
    println!("{}", ended.said);
    ensure!(ended.success, "{}", ended.said);
    let took = clock::now() - begun;
    ensure!(took < QUICK, "a quick certification took {took:?}");

    let (certificate, public) = (out.join("certificate.json"), fleet.scratch().join("certify.key.pub"));
    let blueprint = data.join("cells/c1/blueprint.toml");
    let verify = async |certificate: &Path, more: &[&str]| {
        let mut arguments = vec!["verify", text(certificate), "--key", text(&public)];
        arguments.extend(more);
        if !more.contains(&"--blueprint") {
            arguments.extend(["--blueprint", text(&blueprint)]);
        }
        loadtest(&arguments).await
    };
    let good = verify(&certificate, &["--cell", "c1"]).await?;
    ensure!(good.success && good.said.starts_with("good: cell c1"), "{}", good.said);

    let tampered = fleet.scratch().join("tampered.json");
    let mut changed = Certificate::parse(&std::fs::read(&certificate)?)?;
    changed.statement.expires.0 += 1;
    std::fs::write(&tampered, changed.to_json())?;
    let other_blueprint = fleet.scratch().join("other.toml");
    let mut other = Blueprint::parse(&std::fs::read_to_string(&blueprint)?)?;
    other.capacity.objects += 1;
    std::fs::write(&other_blueprint, toml::to_string(&other)?)?;
    let expired = (changed.statement.expires.0 + 1).to_string();
    for (why, certificate, more) in [
        ("it was tampered with", &tampered, vec![]),
        ("it expired", &certificate, vec!["--at", expired.as_str()]),
        ("it is of another blueprint", &certificate, vec!["--blueprint", text(&other_blueprint)]),
        ("it is of another build", &certificate, vec!["--build", "9.9.9"]),
        ("it is of another cell", &certificate, vec!["--cell", "c2"]),
    ] {
        let refused = verify(certificate, &more).await?;
        ensure!(!refused.success && refused.said.contains(why), "{why}: {}", refused.said);
    }
    let report = std::fs::read_to_string(out.join("report.html"))?;
    ensure!(report.contains("<svg") && !report.contains("NaN") && !report.contains("<script"), "the report is not one");
    let same = loadtest(&["diff", text(&certificate), text(&certificate)]).await?;
    ensure!(same.success, "{}", same.said);
    Ok(Verdict::Passed)
}

async fn occupied(fleet: &Fleet) -> anyhow::Result<Verdict> {
    let account = fleet.site.account("tenant").await?;
    bulkhead_loadtest::scenario::first_bucket(&account.target, &format!("tenant-{}", clock::stamp())).await?;
    let out = fleet.scratch().join("occupied");
    let data = fleet.cluster().data();
    let cell = account.cell.to_string();
    let ended = loadtest(&["certify", "--cell", &cell, "--data", text(data), "--out", text(&out)]).await?;
    ensure!(!ended.success && ended.said.contains("what serves tenants is not certified"), "{}", ended.said);
    let subject = Subject::local(fleet.cluster(), &account.cell).await?;
    for fault in [Fault::Kill, Fault::SlowDisk { ms: 1 }, Fault::DropChunks { drop: true }] {
        let refused = subject.fault(&subject.nodes[0], &fault).await;
        ensure!(
            refused.is_err_and(|error| format!("{error:#}").contains("is not marked")),
            "{fault:?} was not refused"
        );
    }
    ensure!(subject.statuses().await.len() == subject.nodes.len(), "a node that was not marked is gone");
    Ok(Verdict::Passed)
}

async fn broken(fleet: &Fleet) -> anyhow::Result<Verdict> {
    for (broken, phase) in [("slow-fsync", "hold"), ("drops-chunks", "hold"), ("no-admission", "isolation")] {
        let out = fleet.scratch().join(broken);
        let ended = loadtest(&["certify", "--private-cluster", "--broken", broken, "--out", text(&out)]).await?;
        ensure!(!ended.success, "a cell with {broken} was certified: {}", ended.said);
        let certificate = std::fs::read(out.join("certificate.json"));
        let certificate = certificate.with_context(|| format!("{broken}: no certificate: {}", ended.said))?;
        let certificate = Certificate::parse(&certificate)?;
        let failed: Vec<String> = certificate
            .statement
            .criteria
            .iter()
            .filter(|criterion| !criterion.passed)
            .map(|criterion| {
                format!("{} {}: {}, {}", criterion.phase, criterion.what, criterion.found, criterion.threshold)
            })
            .collect();
        println!("{broken}: {}", failed.join("; "));
        ensure!(failed.iter().any(|what| what.starts_with(phase)), "{broken} did not show in {phase}: {failed:?}");
    }
    Ok(Verdict::Passed)
}

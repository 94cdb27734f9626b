//! What the control plane does with cells and accounts, with real processes: it stamps the next cell in time, and nobody needs it to go on.

use crate::support::{
    fleet::Fleet,
    suite::{Case, Verdict},
};
use anyhow::{Context, ensure};
use bulkhead_loadtest::{
    client::{Condition, Outcome, PayloadHash, Put, Session},
    clock,
    faults::{Ground, PrivateCluster, Role, binaries},
    scenario::first_bucket,
    settings::NewAccount,
    workload::Content,
};
use bulkhead_model::api::control_plane::{CellState, CreatedAccount, Fleet as Shown};
use futures::FutureExt;
use std::time::Duration;

pub const CASES: &[Case] = &[
    ("an_account_is_bounded_suspended_and_purged", |fleet| bounded(fleet).boxed_local()),
    ("without_a_control_plane_everything_goes_on_but_creation", |fleet| static_stability(fleet).boxed_local()),
    ("the_next_cell_takes_accounts_before_anybody_is_refused", |_| next_cell().boxed_local()),
];

/// Of 14 GiB that a cell gives away: 112 accounts for each.
const QUOTA: &str = "134217728";
/// More than two cells take.
const ACCOUNTS_MAX: usize = 224;
/// How long the next account waits while the next cell is on its way: a hundred come while it is made, and no thousand.
const BETWEEN: Duration = Duration::from_millis(300);
/// How soon something that was changed holds everywhere.
const SOON: Duration = Duration::from_secs(20);

/// Accounts come, each with a quota that is reserved for it, until one lands in a cell that nobody asked for.
async fn next_cell() -> anyhow::Result<Verdict> {
    let ground = Ground { floor_percent: 100, ..Ground::default() };
    let private = PrivateCluster::up_on(&binaries()?, ground).await?;
    let cluster = private.cluster();
    let begun = clock::now();
    let mut stamped = None;
    for index in 0..=ACCOUNTS_MAX {
        let (name, email) = (format!("a{index}"), format!("a{index}@example.com"));
        let arguments = ["account", "create", "--name", &name, "--email", &email, "--bytes", QUOTA, "--json"];
        let created = cluster.command(&arguments).await.with_context(|| format!("account {index} was refused"))?;
        let created: CreatedAccount = serde_json::from_str(&created)?;
        if created.cell.as_str() == "c3" {
            stamped = Some(index);
            break;
        }
        let next = async || -> anyhow::Result<Option<CellState>> {
            let shown: Shown = serde_json::from_str(&cluster.command(&["fleet", "--json"]).await?)?;
            Ok(shown.cells.into_iter().find(|cell| cell.cell.as_str() == "c3").map(|cell| cell.state))
        };
        if next().await?.is_some() {
            clock::wait_until(BETWEEN, async || next().await.is_ok_and(|state| state == Some(CellState::Active))).await;
        }
    }
    let seconds = (clock::now() - begun).as_secs_f64();
    let index = stamped.with_context(|| format!("{ACCOUNTS_MAX} accounts, and no third cell\n{}", private.logs()))?;
    let shown: Shown = serde_json::from_str(&cluster.command(&["fleet", "--json"]).await?)?;
    println!(
        "account {index} went to c3 after {seconds:.1} s; headroom {}%, next: {}",
        shown.headroom_percent, shown.next
    );
    ensure!(shown.cells.len() == 3, "{} cells", shown.cells.len());
    Ok(Verdict::Passed)
}

/// Control plane gone: objects, a router and a leader that die; and what cannot be had says so.
async fn static_stability(fleet: &Fleet) -> anyhow::Result<Verdict> {
    let (target, cell) = fleet.site.new_account("static").await?;
    first_bucket(&target, "static").await?;
    let cluster = fleet.cluster();
    for process in cluster.of(Role::ControlPlane, None).await? {
        cluster.stop(&process.name).await?;
    }
    let outcome = gone(fleet, &target, &cell).await;
    for process in cluster.of(Role::ControlPlane, None).await? {
        cluster.start(&process.name).await?;
    }
    let missing = cluster.missing_after(SOON).await?;
    ensure!(missing.is_empty(), "not ready again: {missing:?}");
    outcome?;
    cluster.create_account(&format!("after-{}", clock::stamp())).await?;
    Ok(Verdict::Passed)
}

async fn gone(
    fleet: &Fleet,
    target: &std::sync::Arc<bulkhead_loadtest::client::Target>,
    cell: &bulkhead_model::CellId,
) -> anyhow::Result<()> {
    let cluster = fleet.cluster();
    let leader = cluster.leader(cell).await?.context("the cell has a leader")?;
    let router = cluster.of(Role::Router, None).await?.into_iter().next().context("there is a router")?;
    for (number, process) in [&leader.name, &router.name].into_iter().enumerate() {
        cluster.kill(&[process]).await?;
        cluster.start(process).await?;
        let key = format!("after-{process}");
        let content = Content::of(&key, 1, 10_000);
        let mut last = Ok(());
        let goes_on = clock::wait_until(SOON, async || {
            let mut session = Session::new(target.clone(), PayloadHash::Signed);
            let put = Put { bucket: "static", key: &key, version: 1, content, condition: Condition::Always };
            last = session.put(&put).await.required("a write").map(|_| ());
            last.is_ok()
        })
        .await;
        ensure!(goes_on, "{number}: no write after {process} died: {last:?}");
        let mut session = Session::new(target.clone(), PayloadHash::Signed);
        session.get("static", &key).await.required("a read")?.verify(content, 0).await.required("a read")??;
    }
    let mut session = Session::new(target.clone(), PayloadHash::Signed);
    match session.create_bucket("static-second").await {
        Outcome::Refused(refusal) if refusal.status == 503 => {}
        other => anyhow::bail!("a bucket without a control plane: {:?}", other.required("a bucket")),
    }
    for arguments in
        [&["account", "create", "--name", "x", "--email", "x@example.com"][..], &["cell", "stamp", "--name", "c9"][..]]
    {
        let said = cluster.command(arguments).await.err().context("it was done without a control plane")?.to_string();
        ensure!(said.contains("no control plane answers"), "{said}");
    }
    Ok(())
}

/// Quota, suspension, disabled key and purge, as a tenant meets them.
async fn bounded(fleet: &Fleet) -> anyhow::Result<Verdict> {
    let NewAccount { id, target, .. } = fleet.site.account("bounded").await?;
    let id = id.to_string();
    first_bucket(&target, "bounded").await?;
    let cluster = fleet.cluster();
    let key = target.credentials().access_key_id.clone();
    let mut session = Session::new(target.clone(), PayloadHash::Signed);
    let put = |key: &'static str, bytes| Put {
        bucket: "bounded",
        key,
        version: 1,
        content: Content::of(key, 1, bytes),
        condition: Condition::Always,
    };
    cluster.command(&["account", "quota", &id, "--bytes", "20000"]).await?;
    session.put(&put("fits", 20_000)).await.required("what fits")?;
    refused(session.put(&put("more", 1)).await, "QuotaExceeded")?;
    cluster.command(&["account", "quota", &id, "--bytes", "none"]).await?;
    session.put(&put("more", 1)).await.required("without a quota")?;
    for (lock, code, unlock) in [
        (["account", "suspend", &id, ""], "AccessDenied", ["account", "resume", &id, ""]),
        (["key", "disable", &id, &key], "AccessDenied", ["key", "enable", &id, &key]),
    ] {
        let command = async |words: [&str; 4]| {
            let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
            cluster.command(&words).await
        };
        command(lock).await?;
        // A follower may be a moment behind.
        let locked =
            clock::wait_until(SOON, async || refused(session.get("bounded", "fits").await, code).is_ok()).await;
        ensure!(locked, "{lock:?} locks nobody out");
        command(unlock).await?;
        let open =
            clock::wait_until(SOON, async || session.get("bounded", "fits").await.required("a read").is_ok()).await;
        ensure!(open, "{unlock:?} lets nobody in");
        session = Session::new(target.clone(), PayloadHash::Signed);
    }
    let purged = cluster.command(&["account", "delete", &id, "--purge"]).await?;
    ensure!(purged.contains("bucket bounded is deleted"), "{purged}");
    let listed = cluster.command(&["account", "list"]).await?;
    ensure!(!listed.contains(&id), "{listed}");
    Ok(Verdict::Passed)
}

fn refused<T>(outcome: Outcome<T>, code: &str) -> anyhow::Result<()> {
    match outcome {
        Outcome::Refused(refusal) if refusal.code == code => Ok(()),
        Outcome::Refused(refusal) => anyhow::bail!("refused with {} instead of {code}", refusal.code),
        Outcome::Ok(_) => anyhow::bail!("it was not refused with {code}"),
        other => other.map(|_| ()).required("a refusal"),
    }
}

//! An account far over its limit, and a request that ends the process which executes it: what the neighbours notice.

use crate::support::{
    fleet::Fleet,
    suite::{Case, Verdict},
};
use anyhow::{Context, ensure};
use bulkhead_loadtest::{
    client::{Call, Condition, Credentials, Outcome, Payload, PayloadHash, Put, Session, Target},
    clock,
    faults::{Cluster, Role},
    scenario::first_bucket,
    workload::Content,
};
use bulkhead_model::{AccountId, CellId};
use futures::{FutureExt, future::join_all};
use http::Method;
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

pub const CASES: &[Case] =
    &[("an_account_far_over_its_limit_gets_its_limit_and_its_neighbour_notices_nothing", |fleet| {
        over_the_limit(fleet).boxed_local()
    })];

/// By itself: its cluster's control plane is stopped, so that dead nodes are started by the case alone.
pub const POISON_CASES: &[Case] =
    &[("a_poison_request_restarts_no_node_twice_and_neighbours_are_served", |fleet| poison(fleet).boxed_local())];

const LIMIT: u64 = 50;
/// Ten times the limit, from so many clients.
const OFFERED: u64 = 500;
const CLIENTS: u64 = 50;
const SECONDS: u64 = 6;

struct Tenant {
    account: AccountId,
    cell: CellId,
    target: Arc<Target>,
}

async fn tenant(fleet: &Fleet, name: &str) -> anyhow::Result<Tenant> {
    let created = fleet.cluster().create_account(&format!("{name}-{}", clock::stamp())).await?;
    let credentials = Credentials {
        access_key_id: created.access_key_id.to_string(),
        secret_access_key: created.secret_access_key,
        region: fleet.target().credentials().region.clone(),
    };
    let target = Arc::new(fleet.target().signed_by(credentials));
    first_bucket(&target, &format!("{name}-{}", created.account_id)).await?;
    Ok(Tenant { account: created.account_id, cell: created.cell, target })
}

/// Two accounts that share a cell.
async fn neighbours(fleet: &Fleet, name: &str) -> anyhow::Result<(Tenant, Tenant)> {
    let first = tenant(fleet, name).await?;
    for n in 0..12 {
        let other = tenant(fleet, &format!("{name}-{n}")).await?;
        if other.cell == first.cell {
            return Ok((first, other));
        }
    }
    anyhow::bail!("thirteen accounts, and none in cell {} beside the first", first.cell)
}

/// What became of one client's requests.
#[derive(Debug, Default)]
struct Tally {
    accepted: u64,
    slowed: u64,
    without_retry_after: u64,
    other: BTreeSet<String>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.slowed += other.slowed;
        self.without_retry_after += other.without_retry_after;
        self.other.extend(other.other);
    }

    fn count<T>(&mut self, outcome: Outcome<T>) {
        match outcome {
            Outcome::Ok(_) => self.accepted += 1,
            Outcome::Refused(refusal) if refusal.status == 503 && refusal.code == "SlowDown" => {
                self.slowed += 1;
                self.without_retry_after += u64::from(refusal.retry_after.is_none());
            }
            other => drop(other.required("a write").map_err(|error| self.other.insert(error.to_string()))),
        }
    }
}

/// Small writes, `per_second` of them for so many seconds, evenly spread; whoever falls behind leaves some out.
async fn writes(tenant: &Tenant, bucket: &str, client: u64, per_second: f64, seconds: u64) -> Tally {
    let mut session = Session::new(tenant.target.clone(), PayloadHash::Signed);
    let mut tally = Tally::default();
    let begun = tokio::time::Instant::from_std(clock::now());
    let end = begun + Duration::from_secs(seconds);
    let mut ticks = tokio::time::interval_at(begun, Duration::from_secs_f64(1.0 / per_second));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while ticks.tick().await < end && tokio::time::Instant::from_std(clock::now()) < end {
        let key = format!("{client}");
        let content = Content::of(&key, 1, 1_024);
        let put = Put { bucket, key: &key, version: 1, content, condition: Condition::Always };
        tally.count(session.put(&put).await);
    }
    tally
}

async fn offered(tenant: &Tenant, bucket: &str, seconds: u64) -> Tally {
    let per_client = OFFERED as f64 / CLIENTS as f64;
    let mut all = Tally::default();
    for tally in join_all((0..CLIENTS).map(|client| writes(tenant, bucket, client, per_client, seconds))).await {
        all.add(tally);
    }
    all
}

async fn over_the_limit(fleet: &Fleet) -> anyhow::Result<Verdict> {
    let (noisy, quiet) = neighbours(fleet, "limited").await?;
    let bucket = format!("limited-{}", noisy.account);
    let quiet_bucket = format!("of-{}", quiet.account);
    first_bucket(&quiet.target, &quiet_bucket).await?;
    fleet.cluster().limit_account(noisy.account, &["--write-requests", &LIMIT.to_string()]).await?;
    // What was let through under the old limit is not counted.
    writes(&noisy, &bucket, 0, 1.0, 2).await;

    let begun = clock::now();
    let (noise, calm) =
        tokio::join!(offered(&noisy, &bucket, SECONDS), writes(&quiet, &quiet_bucket, 1, 20.0, SECONDS));
    let seconds = (clock::now() - begun).as_secs_f64();
    println!("{LIMIT}/s allowed, {OFFERED}/s offered for {seconds:.1} s: {noise:?}; the neighbour: {calm:?}");
    // A burst of one second, and one request of each node beyond it.
    let most = LIMIT as f64 * (seconds + 1.0) + 3.0;
    ensure!((noise.accepted as f64) <= most, "{} writes were accepted, at most {most:.0} may be", noise.accepted);
    // A machine that is busy offers less, and so less is accepted.
    let total = noise.accepted + noise.slowed;
    let least = (LIMIT as f64 * seconds * 0.6).min(total as f64 * 0.5);
    ensure!((noise.accepted as f64) >= least, "only {} writes were accepted, of {total}", noise.accepted);
    ensure!(noise.slowed > 0 && noise.without_retry_after == 0 && noise.other.is_empty(), "{noise:?}");
    ensure!(calm.slowed == 0 && calm.other.is_empty() && calm.accepted > 0, "the neighbour: {calm:?}");

    fleet.cluster().limit_account(noisy.account, &["--write-requests", "default"]).await?;
    let changed = clock::now();
    let mut freed = Tally::default();
    let in_force = clock::wait_until(Duration::from_secs(20), async || {
        freed = offered(&noisy, &bucket, 1).await;
        freed.slowed == 0 && freed.other.is_empty()
    })
    .await;
    let seconds = (clock::now() - changed).as_secs_f64();
    println!("the limit was lifted; {seconds:.1} s later a second without a refusal had passed: {freed:?}");
    ensure!(in_force, "the limit still holds 20 s after it was lifted: {freed:?}");
    Ok(Verdict::Passed)
}

const TRIES: usize = 50;
const POINT: &str = "poison-request";
/// One request may end two nodes, and what it is told of then ends no other.
const DEATHS_MAX: usize = 2;
/// How long a request that is sent again and again may be refused: less than a suspicion lasts, and long enough for an election.
const REFUSED_MAX: Duration = Duration::from_secs(30);

async fn poison(fleet: &Fleet) -> anyhow::Result<Verdict> {
    let (guilty, innocent) = neighbours(fleet, "poison").await?;
    let (bucket, other) = (format!("poison-{}", guilty.account), format!("of-{}", innocent.account));
    first_bucket(&innocent.target, &other).await?;
    let cluster = fleet.cluster();
    for process in cluster.of(Role::ControlPlane, None).await? {
        cluster.stop(&process.name).await?;
    }
    let nodes: Vec<String> =
        cluster.of(Role::Cell, Some(&guilty.cell)).await?.into_iter().map(|process| process.name).collect();
    for name in &nodes {
        cluster.stop(name).await?;
        cluster.start_to_fail(name, POINT, 1).await?;
    }
    ready(cluster, &nodes).await?;

    let is_over = Cell::new(false);
    let attack = async {
        let attacked = attack(cluster, &guilty, &bucket).await;
        is_over.set(true);
        attacked
    };
    let (attacked, calm, own) =
        tokio::join!(attack, patient(&innocent, &other, 3, &is_over), patient(&guilty, &bucket, 4, &is_over));
    let (answers, deaths) = attacked?;
    println!("{TRIES} times a poison request: {answers:?}; deaths: {deaths:?}; meanwhile {calm:?} and {own:?}");
    ensure!(deaths.values().all(|count| *count <= 1), "a node died more than once: {deaths:?}");
    ensure!((1..=DEATHS_MAX).contains(&deaths.len()), "{} nodes died, of {answers:?}", deaths.len());
    let (calm, own) = (calm.context("the neighbour")?, own.context("the account's other requests")?);
    ensure!(calm.accepted > 0 && own.accepted > 0, "nothing was accepted meanwhile: {calm:?}, {own:?}");
    ensure!(answers.get("403 RequestQuarantined").is_some_and(|count| *count > TRIES / 2), "{answers:?}");

    let calm = writes(&innocent, &other, 1, 20.0, 3).await;
    println!("the neighbour afterwards: {calm:?}");
    ensure!(calm.other.is_empty() && calm.slowed == 0 && calm.accepted > 0, "the neighbour: {calm:?}");
    // The guilty account itself is served, with everything but that request.
    let tally = writes(&guilty, &bucket, 2, 5.0, 1).await;
    ensure!(tally.other.is_empty() && tally.accepted > 0, "the account's other requests: {tally:?}");
    Ok(Verdict::Passed)
}

/// Sends the poison request again and again. Says how it was answered, and which nodes died how often.
async fn attack(
    cluster: &Cluster,
    guilty: &Tenant,
    bucket: &str,
) -> anyhow::Result<(BTreeMap<String, usize>, BTreeMap<String, usize>)> {
    let mut deaths: BTreeMap<String, usize> = BTreeMap::new();
    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    let mut sender = Session::new(guilty.target.clone(), PayloadHash::Signed);
    for _ in 0..TRIES {
        let call = Call::new(Method::PUT, bucket, "poison").header("x-amz-meta-bulkhead-poison", "1");
        let said = match sender.call(call.payload(Payload::whole(Content::of("poison", 1, 100)))).await {
            Outcome::Ok(_) => "accepted".to_owned(),
            Outcome::Refused(refusal) => format!("{} {}", refusal.status, refusal.code),
            Outcome::Unsent(_) => "unsent".to_owned(),
            Outcome::Unknown(_) => "unknown".to_owned(),
        };
        *answers.entry(said).or_default() += 1;
        revive(cluster, &guilty.cell, &mut deaths).await?;
    }
    Ok((answers, deaths))
}

/// What became of requests that were sent again until they were accepted.
#[derive(Debug, Default)]
struct Served {
    accepted: u64,
    tries: u64,
    /// The longest that one took, with all its tries.
    longest: Duration,
}

/// The very same small write, 20 times a second, each sent again until it is accepted, until it is over.
///
/// # Errors
/// When one is refused for what it is, or for too long.
async fn patient(tenant: &Tenant, bucket: &str, client: u64, is_over: &Cell<bool>) -> anyhow::Result<Served> {
    let mut session = Session::new(tenant.target.clone(), PayloadHash::Signed);
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (key, mut served) = (format!("{client}"), Served::default());
    let mut begun = clock::now();
    while !is_over.get() {
        ticks.tick().await;
        let content = Content::of(&key, 1, 1_024);
        let put = Put { bucket, key: &key, version: 1, content, condition: Condition::Always };
        served.tries += 1;
        let waited = match session.put(&put).await {
            Outcome::Ok(_) => {
                served.accepted += 1;
                served.longest = served.longest.max(clock::now() - begun);
                begun = clock::now();
                continue;
            }
            Outcome::Refused(refusal) => {
                ensure!(refusal.status >= 500, "a harmless request is refused: {refusal}");
                refusal.to_string()
            }
            Outcome::Unsent(why) => why,
            Outcome::Unknown(lost) => lost.to_string(),
        };
        ensure!(clock::now() - begun < REFUSED_MAX, "a harmless request waits for {REFUSED_MAX:?}: {waited}");
    }
    Ok(served)
}

/// Starts dead nodes again, ready to fail once more, and waits until all serve.
async fn revive(cluster: &Cluster, cell: &CellId, deaths: &mut BTreeMap<String, usize>) -> anyhow::Result<()> {
    let dead: Vec<String> = cluster
        .of(Role::Cell, Some(cell))
        .await?
        .into_iter()
        .filter(|process| !process.alive)
        .map(|process| process.name)
        .collect();
    for name in &dead {
        *deaths.entry(name.clone()).or_default() += 1;
        cluster.start_to_fail(name, POINT, 1).await.with_context(|| format!("starting {name} again"))?;
    }
    if dead.is_empty() { Ok(()) } else { ready(cluster, &dead).await }
}

/// Waits for these; others may be gone.
async fn ready(cluster: &Cluster, nodes: &[String]) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    let all = clock::wait_until(Duration::from_secs(60), async || {
        match cluster.missing_after(Duration::ZERO).await {
            Ok(rest) => missing = rest,
            Err(_) => return false,
        }
        missing.iter().all(|name| !nodes.contains(name))
    })
    .await;
    ensure!(all, "not ready: {missing:?}");
    Ok(())
}

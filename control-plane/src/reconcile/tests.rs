//! Whatever a crash leaves behind is brought to an end: one test for each point where a process may die.

use super::{accounts, claims};
use crate::{
    limits::{CLAIM_PENDING, CREATION_GRACE},
    store::{
        command::{Command, CreateAccount},
        keys::Unsettled,
        read,
    },
    testing::World,
};
use bulkhead_model::{AccessKeyId, AccountId, AccountLimits, ClaimId, api::control_plane::AccountState};
use http::StatusCode;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn account() -> AccountId {
    AccountId::new(AccountId::FIRST).expect("in range")
}

fn key(n: u64) -> AccessKeyId {
    format!("BK{n:018}").parse().expect("20 characters")
}

async fn reserve(world: &World) {
    let create = CreateAccount {
        account: account(),
        display_name: "Ada".into(),
        email: "ada@example.com".into(),
        candidates: vec!["c1".parse().expect("a label")],
        key: key(1),
        limits: AccountLimits::default(),
    };
    world.propose(Command::CreateAccount(create)).await;
}

async fn active_account(world: &World) {
    reserve(world).await;
    world.propose(Command::ActivateAccount { account: account(), key: key(1) }).await;
}

async fn settle_accounts(world: &World) {
    accounts::pass(&world.api.directory, &world.api.cells, world.api.env.clock.wall()).await.expect("readable");
}

async fn settle_claims(world: &World) {
    let before = world.api.env.clock.wall().minus(CLAIM_PENDING);
    claims::pass(&world.api.directory, &world.api.cells, before).await.expect("readable");
}

fn state(world: &World) -> Option<AccountState> {
    let record = read::account(&world.api.directory.local_view(), account()).expect("readable");
    record.map(|record| record.state)
}

fn unsettled(world: &World) -> Vec<Unsettled> {
    read::unsettled(&world.api.directory.local_view(), &[], 10).expect("readable")
}

#[tokio::test]
async fn a_creation_that_died_at_any_point_is_undone_after_the_grace_and_not_before() {
    for writes in 0..=2 {
        let world = World::start().await;
        reserve(&world).await;
        if writes >= 1 {
            world.cell.lock().accounts.insert(account());
        }
        if writes >= 2 {
            world.cell.lock().keys.insert(key(1), "s".repeat(40));
        }
        world.pass(CREATION_GRACE - SECOND);
        settle_accounts(&world).await;
        assert_eq!(state(&world), Some(AccountState::Creating), "after {writes} writes");
        world.pass(SECOND);
        settle_accounts(&world).await;
        assert_eq!(state(&world), None, "after {writes} writes");
        assert!(world.cell.lock().accounts.is_empty() && world.cell.lock().keys.is_empty());
        assert!(unsettled(&world).is_empty());
        reserve(&world).await;
    }
}

#[tokio::test]
async fn a_deletion_that_died_is_finished_also_when_the_cell_is_away_at_first() {
    let world = World::start().await;
    active_account(&world).await;
    world.cell.lock().accounts.insert(account());
    world.propose(Command::BeginDeleteAccount { account: account() }).await;
    world.cell.lock().broken = Some(StatusCode::FORBIDDEN);
    settle_accounts(&world).await;
    assert_eq!(state(&world), Some(AccountState::Deleting));
    world.cell.lock().broken = None;
    settle_accounts(&world).await;
    assert_eq!(state(&world), None);
    assert!(world.cell.lock().accounts.is_empty());
}

#[tokio::test]
async fn a_key_that_died_in_creation_or_deletion_is_gone_everywhere() {
    let world = World::start().await;
    active_account(&world).await;
    world.cell.lock().keys.extend([(key(2), "s".repeat(40)), (key(3), "s".repeat(40))]);
    for n in [2, 3] {
        world.propose(Command::CreateKey { account: account(), key: key(n) }).await;
    }
    world.propose(Command::ActivateKey { key: key(3) }).await;
    world.propose(Command::BeginDeleteKey { account: account(), key: key(3) }).await;
    world.pass(CREATION_GRACE);
    settle_accounts(&world).await;
    assert!(world.cell.lock().keys.is_empty() && unsettled(&world).is_empty());
    let record = read::account(&world.api.directory.local_view(), account()).expect("readable").expect("active");
    assert_eq!(record.keys, [key(1)]);
}

#[tokio::test]
async fn limits_that_the_cell_did_not_get_are_brought_to_it_and_the_latest_ones_hold() {
    let world = World::start().await;
    active_account(&world).await;
    world.cell.lock().accounts.insert(account());
    world.cell.lock().broken = Some(StatusCode::SERVICE_UNAVAILABLE);
    for writes in [50, 60] {
        let limits = AccountLimits { write_requests: Some(writes), ..AccountLimits::default() };
        world.propose(Command::SetLimits { account: account(), limits }).await;
    }
    world.cell.lock().broken = Some(StatusCode::FORBIDDEN);
    settle_accounts(&world).await;
    assert_eq!(unsettled(&world), [Unsettled::Limits(account())]);
    world.cell.lock().broken = None;
    settle_accounts(&world).await;
    let put = world.cell.lock().limits.get(&account()).copied().expect("told");
    assert_eq!((put.version, put.limits.write_requests), (2, Some(60)));
    let record = read::account(&world.api.directory.local_view(), account()).expect("readable").expect("there");
    assert_eq!((record.limits_version, record.limits_in_cell), (2, 2));
    assert!(unsettled(&world).is_empty());
}

#[tokio::test]
async fn a_pending_claim_is_committed_when_the_bucket_exists_and_released_when_it_never_will() {
    let world = World::start().await;
    active_account(&world).await;
    for bucket in ["photos", "films"] {
        world.propose(Command::ClaimBucket { bucket: bucket.into(), account: account() }).await;
    }
    world.cell.lock().buckets.insert("photos".into());
    world.pass(CLAIM_PENDING - SECOND);
    settle_claims(&world).await;
    assert!(world.cell.lock().settled.is_empty(), "a young claim may still be at work");
    world.pass(SECOND);
    settle_claims(&world).await;
    let view = world.api.directory.local_view();
    let photos = read::bucket(&view, "photos").expect("readable").expect("kept");
    assert_eq!((photos.claim, photos.committed), (ClaimId(1), true));
    assert_eq!(read::bucket(&view, "films").expect("readable"), None);
    assert!(unsettled(&world).is_empty());
    settle_claims(&world).await;
    assert_eq!(world.cell.lock().settled.len(), 2, "what is settled is not asked about again");
}

#[tokio::test]
async fn a_claim_stays_pending_while_its_cell_does_not_answer() {
    let world = World::start().await;
    active_account(&world).await;
    world.propose(Command::ClaimBucket { bucket: "photos".into(), account: account() }).await;
    world.cell.lock().broken = Some(StatusCode::NOT_FOUND);
    world.pass(CLAIM_PENDING);
    settle_claims(&world).await;
    assert!(read::bucket(&world.api.directory.local_view(), "photos").expect("readable").is_some());
}

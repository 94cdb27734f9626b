//! What follows from what cells use: closed and opened by themselves, and the next one stamped in time.

#![expect(clippy::disallowed_methods, reason = "json! unwraps inside")]

use super::headroom::{Headroom, HeadroomConfig};
use crate::testing::World;
use bulkhead_model::api::{
    cell::CellUsage,
    control_plane::{CellState, ClosedBy},
};
use http::{Method, StatusCode};
use serde_json::{Value, json};

const GIB: u64 = 1 << 30;

fn headroom(world: &World, floor_percent: u64, cells_max: u64) -> Headroom {
    let api = &world.api;
    Headroom {
        directory: api.directory.clone(),
        local: api.local.clone(),
        certifier: api.certifier.clone(),
        watch: api.watch.clone(),
        config: HeadroomConfig { floor_percent, cells_max, blueprint: "dev".into() },
        clock: api.env.clock.clone(),
    }
}

/// Has the pretended cell say that it holds so much, and looks.
async fn holds(world: &World, bytes: u64) {
    world.cell.lock().usage = CellUsage { bytes, ..CellUsage::default() };
    let cell = "c1".parse().expect("a label");
    world.api.watch.look(&world.api.cells, &cell, &world.record("c1")).await;
}

async fn create(world: &World, n: usize) -> (StatusCode, Value) {
    let body = json!({ "name": "a", "email": format!("a{n}@example.com") });
    world.call(Method::POST, "/v1/accounts", Some(body)).await
}

#[tokio::test]
async fn a_cell_that_is_seen_to_be_full_takes_nobody_and_opens_when_it_is_seen_to_be_well_below() {
    let world = World::start().await;
    let follow = headroom(&world, 0, 8);
    holds(&world, 14 * GIB).await;
    let (status, refused) = create(&world, 1).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "before anybody has closed it: {refused}");
    follow.pass().await.expect("readable");
    let closed = world.record("c1").state;
    assert!(
        matches!(&closed, CellState::Closed { by: ClosedBy::SoftLimit { why } } if why.contains("bytes")),
        "{closed:?}"
    );
    let (_, fleet) = world.call(Method::GET, "/v1/fleet", None).await;
    assert!(
        fleet["cells"][0]["next"].as_str().is_some_and(|next| next.starts_with("open again when it has room")),
        "{fleet}"
    );
    holds(&world, 13 * GIB).await;
    follow.pass().await.expect("readable");
    assert_eq!(world.record("c1").state, closed, "it would open and close with every object");
    holds(&world, 12 * GIB).await;
    follow.pass().await.expect("readable");
    assert_eq!(world.record("c1").state, CellState::Active);
    assert_eq!(create(&world, 2).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_cell_that_runs_another_build_is_closed_until_it_is_certified_for_it() {
    let world = World::start().await;
    let follow = headroom(&world, 0, 8);
    world.cell.lock().build = Some("0.2.0".into());
    holds(&world, 0).await;
    follow.pass().await.expect("readable");
    let closed = world.record("c1").state;
    let is_why = |why: &str| why.contains("another build, 0.1.0, and not of 0.2.0");
    assert!(matches!(&closed, CellState::Closed { by: ClosedBy::Certificate { why } } if is_why(why)), "{closed:?}");
    world.cell.lock().build = None;
    holds(&world, 0).await;
    follow.pass().await.expect("readable");
    assert_eq!(world.record("c1").state, CellState::Active, "its own build is back");
}

#[tokio::test]
async fn what_an_operator_closed_stays_closed_whatever_is_seen() {
    let world = World::start().await;
    let follow = headroom(&world, 0, 8);
    let by = || CellState::Closed { by: ClosedBy::Operator };
    world.advance("c1", by()).await;
    for bytes in [0, 20 * GIB, 0] {
        holds(&world, bytes).await;
        follow.pass().await.expect("readable");
        assert_eq!(world.record("c1").state, by());
    }
}

#[tokio::test]
async fn the_next_cell_is_requested_when_headroom_is_short_once_and_not_beyond_the_most() {
    let world = World::start().await;
    let follow = headroom(&world, 50, 2);
    holds(&world, 7 * GIB).await;
    follow.pass().await.expect("readable");
    let cells = async |world: &World| {
        let (_, listed) = world.call(Method::GET, "/v1/cells", None).await;
        listed
            .as_array()
            .expect("cells")
            .iter()
            .map(|cell| cell["cell"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(cells(&world).await, ["c1"], "half of what it gives away is left");
    holds(&world, 8 * GIB).await;
    for _ in 0..3 {
        follow.pass().await.expect("readable");
    }
    assert_eq!(cells(&world).await, ["c1", "c2"]);
    assert_eq!(world.record("c2").state, CellState::Requested);
    world.advance("c2", CellState::Failed { why: "w".into() }).await;
    follow.pass().await.expect("readable");
    assert_eq!(cells(&world).await, ["c1", "c2"], "another would fail likewise");
    assert_eq!(create(&world, 1).await.0, StatusCode::CREATED, "nobody was refused meanwhile");
}

#[tokio::test]
async fn a_closed_cell_of_which_nothing_is_known_stays_closed() {
    let world = World::start().await;
    let follow = headroom(&world, 0, 8);
    let closed = || CellState::Closed { by: ClosedBy::Certificate { why: "it ran another build".into() } };
    world.advance("c1", closed()).await;
    follow.pass().await.expect("readable");
    assert_eq!(world.record("c1").state, closed(), "nobody has looked at it");
    holds(&world, 0).await;
    follow.pass().await.expect("readable");
    assert_eq!(world.record("c1").state, closed(), "one look shows no rate");
    holds(&world, 0).await;
    follow.pass().await.expect("readable");
    assert_eq!(world.record("c1").state, CellState::Active);
}

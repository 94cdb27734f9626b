//! Settings through the API, on their way from cell to cell, and what machines are handed meanwhile.

#![expect(clippy::disallowed_methods, reason = "json! unwraps inside")]

use super::settings::pass;
use crate::testing::{MACHINE, World};
use bulkhead_model::{CellId, api::control_plane::SettingsFor};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

const SECOND_TRIES: &str = "/v1/settings/router.second-tries";
const RETRIES: &str = "/v1/settings/router.retry-percent";
const COMPACTION: &str = "/v1/settings/cell.compaction";

async fn put(world: &World, path: &str, body: Value) -> (StatusCode, Value) {
    world.call(Method::PUT, path, Some(body)).await
}

async fn show(world: &World, path: &str) -> Value {
    world.call(Method::GET, path, None).await.1
}

/// Has every cell seen, and one step taken.
async fn go_on(world: &World) {
    for name in ["c1", "c2"] {
        let cell: CellId = name.parse().expect("a label");
        world.api.watch.look(&world.api.cells, &cell, &world.record(name)).await;
    }
    pass(&world.api.directory, &world.api.watch, world.api.env.clock.wall()).await.expect("readable");
}

/// What the nodes of a cell, or with none a router, are handed.
async fn handed(world: &World, cell: Option<&str>, known: u64) -> SettingsFor {
    let cell = cell.map(|cell| format!("&cell={cell}")).unwrap_or_default();
    let path = format!("/v1/settings/for?known={known}{cell}");
    let (status, answer) = world.call_as(Some(MACHINE), Method::GET, &path, None).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    serde_json::from_value(answer).expect("settings")
}

async fn compaction(world: &World, cell: &str) -> String {
    let rules = handed(world, Some(cell), u64::MAX).await.rules.expect("another version");
    let held = rules.get("cell.compaction").and_then(|rule| rule.fleet.clone());
    held.map_or_else(|| "default".into(), |held| held.value.to_string())
}

async fn two_cells() -> World {
    let world = World::start().await;
    world.add_cell("c2", "us-east-1", 100).await;
    world
}

#[tokio::test]
async fn a_setting_is_given_to_the_next_cell_only_after_the_bake_and_holds_everywhere_in_the_end() {
    let world = two_cells().await;
    let (status, begun) = put(&world, COMPACTION, json!({ "value": "eager" })).await;
    assert_eq!(
        (status, &begun["version"], &begun["rollout"]["left"]),
        (StatusCode::OK, &json!(1), &json!(["c1", "c2"]))
    );
    assert_eq!(compaction(&world, "c1").await, "default", "nobody has it yet");
    go_on(&world).await;
    assert_eq!(
        (compaction(&world, "c1").await.as_str(), compaction(&world, "c2").await.as_str()),
        ("eager", "default")
    );
    world.pass(Duration::from_secs(59));
    go_on(&world).await;
    assert_eq!(compaction(&world, "c2").await, "default", "c1 is being watched");
    assert_eq!(show(&world, COMPACTION).await["next"], "watch the cells that have it");
    world.pass(Duration::from_secs(1));
    go_on(&world).await;
    assert_eq!(compaction(&world, "c2").await, "eager");
    world.pass(Duration::from_secs(60));
    go_on(&world).await;
    let shown = show(&world, COMPACTION).await;
    assert_eq!((&shown["rollout"], &shown["fleet"]["value"]), (&Value::Null, &json!("eager")), "{shown}");
    assert_eq!(compaction(&world, "c1").await, "eager");
    let routers = handed(&world, None, 0).await;
    assert!(routers.rules.is_some_and(|rules| rules.is_empty()), "routers do not read it");
    assert_eq!(handed(&world, None, routers.version).await.rules, None, "nothing new");
}

#[tokio::test]
async fn a_cell_that_is_less_well_takes_the_change_back_by_itself_and_says_why() {
    let world = two_cells().await;
    put(&world, COMPACTION, json!({ "value": "gentle" })).await;
    go_on(&world).await;
    assert_eq!(compaction(&world, "c1").await, "gentle");
    world.cell.lock().unready = true;
    go_on(&world).await;
    let shown = show(&world, COMPACTION).await;
    assert_eq!((&shown["rollout"], &shown["fleet"]), (&Value::Null, &Value::Null), "{shown}");
    assert_eq!(shown["note"], "rolled back by itself: cell c1 has 0 nodes ready, and had 1 before it");
    assert_eq!(compaction(&world, "c1").await, "default");
    let (_, log) = world.call(Method::GET, "/v1/audit", None).await;
    let last = log.as_array().and_then(|entries| entries.last()).cloned().unwrap_or_default();
    assert_eq!((&last["what"], &last["who"]), (&json!("RollBackSetting"), &json!("control-plane")), "{last}");
    put(&world, COMPACTION, json!({ "value": "gentle" })).await;
    go_on(&world).await;
    let next = &show(&world, COMPACTION).await["next"];
    assert_eq!(next, "wait until cell c1 is seen to be ready", "it is not begun with a cell that is not well");
}

#[tokio::test]
async fn a_critical_change_says_which_version_it_was_decided_on_and_a_stale_one_is_refused_with_the_current_one() {
    let world = two_cells().await;
    let (status, refused) = put(&world, RETRIES, json!({ "value": 5 })).await;
    assert_eq!((status, &refused["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("refused")), "{refused}");
    assert!(refused["message"].as_str().is_some_and(|why| why.contains("it is at version 0")), "{refused}");
    let at_once = |value: u64, version: u64| json!({ "value": value, "expected_version": version, "bake_seconds": 0 });
    assert_eq!(put(&world, RETRIES, at_once(5, 0)).await.0, StatusCode::OK);
    let (status, refused) = put(&world, RETRIES, at_once(7, 0)).await;
    assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("conflict")));
    assert!(refused["message"].as_str().is_some_and(|why| why.contains("is at version 1 now")), "{refused}");
    assert_eq!(show(&world, RETRIES).await["fleet"]["value"], 5);
    let rollback = format!("{RETRIES}/rollback");
    let (status, refused) = world.call(Method::POST, &rollback, Some(json!({ "expected_version": 0 }))).await;
    assert_eq!(status, StatusCode::CONFLICT, "{refused}");
    let (status, back) = world.call(Method::POST, &rollback, Some(json!({}))).await;
    assert_eq!((status, &back["fleet"], &back["note"]), (StatusCode::OK, &Value::Null, &json!("rolled back by admin")));
}

#[tokio::test]
async fn what_a_setting_may_not_be_is_refused_when_it_is_proposed() {
    let world = two_cells().await;
    let table = [
        (RETRIES, json!({ "value": 11, "expected_version": 0 }), "must be 0 to 10"),
        (SECOND_TRIES, json!({ "value": "some" }), "must be one of off, reads, all"),
        (SECOND_TRIES, json!({ "value": "off", "shares": [{ "percent": 101, "value": "all" }] }), "must be 1 to 100"),
        (SECOND_TRIES, json!({ "shares": [{ "percent": 10, "value": "all" }] }), "need a value for everyone else"),
        (COMPACTION, json!({ "value": "eager", "shares": [{ "percent": 1, "value": "gentle" }] }), "takes no shares"),
        (COMPACTION, json!({ "value": "eager", "bake_seconds": 9 }), "must be 10 to 86400, or 0"),
        (COMPACTION, json!({ "value": "eager", "target": { "wave": [] } }), "name at least one"),
        (COMPACTION, json!({ "value": "eager", "nonsense": 1 }), "unknown field"),
    ];
    for (path, body, why) in table {
        let (status, refused) = put(&world, path, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{refused}");
        assert!(refused["message"].as_str().is_some_and(|message| message.contains(why)), "{refused}");
    }
    let (status, refused) = put(&world, "/v1/settings/nonsense", json!({ "value": 1 })).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(refused["message"].as_str().is_some_and(|why| why.contains("router.second-tries")), "{refused}");
    let (_, all) = world.call(Method::GET, "/v1/settings", None).await;
    assert!(all.as_array().is_some_and(|all| all.iter().all(|one| one["version"] == 0)), "nothing was changed: {all}");
}

#[tokio::test]
async fn a_router_is_told_what_each_cell_has_with_the_shares_of_its_accounts() {
    let world = two_cells().await;
    let shares = json!([{ "percent": 10, "value": "reads" }]);
    let body = json!({ "value": "off", "shares": shares, "target": { "cell": "c2" }, "bake_seconds": 0 });
    assert_eq!(put(&world, SECOND_TRIES, body).await.0, StatusCode::OK);
    let rules = handed(&world, None, 0).await.rules.expect("new");
    let rule = rules.get("router.second-tries").expect("it is a router's");
    let c2 = rule.cells.get(&"c2".parse().expect("a label")).cloned().flatten().expect("said of it");
    assert_eq!((rule.fleet.as_ref(), c2.value.to_string(), c2.shares.len()), (None, "off".into(), 1));
    assert!(handed(&world, Some("c2"), 0).await.rules.is_some_and(|rules| rules.is_empty()), "nodes do not read it");
    let (status, _) = world.call_as(Some(MACHINE), Method::PUT, COMPACTION, Some(json!({ "value": "eager" }))).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "a machine changes nothing");
}

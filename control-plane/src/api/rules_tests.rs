//! What holds for every call: roles, the audit log, idempotency keys, the document; and what the gate and placement answer.

#![expect(clippy::disallowed_methods, reason = "json! unwraps inside")]

use crate::{
    dns::{DnsConfig, PublishedRouter},
    domain::gate::tests::{signed, statement},
    testing::{ADMIN, BLUEPRINT, BUILD, MACHINE, World},
};
use bulkhead_model::{
    Blueprint,
    api::control_plane::{CellState, ClosedBy, DnsName, DnsPage},
    certificate::Statement,
};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

fn account(name: &str, more: Value) -> Option<Value> {
    let mut body = json!({ "name": name, "email": format!("{name}@example.com") });
    if let (Some(fields), Value::Object(more)) = (body.as_object_mut(), more) {
        fields.extend(more);
    }
    Some(body)
}

fn message(answer: &Value) -> &str {
    answer["message"].as_str().unwrap_or_default()
}

async fn create(world: &World, name: &str, more: Value) -> (StatusCode, Value) {
    world.call(Method::POST, "/v1/accounts", account(name, more)).await
}

#[tokio::test]
async fn a_role_lets_its_holder_do_what_it_says_and_a_revoked_token_nothing() {
    let world = World::start().await;
    let mut tokens = Vec::new();
    for role in ["read-only", "operator"] {
        let wanted = json!({ "name": role, "role": role });
        let (status, created) = world.call(Method::POST, "/v1/tokens", Some(wanted)).await;
        assert_eq!(status, StatusCode::CREATED, "{created}");
        tokens.push(created["token"].as_str().expect("shown once").to_owned());
    }
    let [reader, operator] = &tokens[..] else { panic!("two") };
    let table = [
        (reader, Method::GET, "/v1/accounts", StatusCode::OK),
        (reader, Method::POST, "/v1/accounts", StatusCode::FORBIDDEN),
        (reader, Method::GET, "/v1/tokens", StatusCode::FORBIDDEN),
        (operator, Method::POST, "/v1/accounts", StatusCode::CREATED),
        (operator, Method::POST, "/v1/cells/c1/close", StatusCode::OK),
        (operator, Method::POST, "/v1/cells/c1/retire", StatusCode::FORBIDDEN),
        (operator, Method::DELETE, "/v1/tokens/read-only", StatusCode::FORBIDDEN),
    ];
    for (token, method, path, expected) in table {
        let body = account("ada", Value::Null).filter(|_| path == "/v1/accounts" && method == Method::POST);
        let (status, answer) = world.call_as(Some(token.as_str()), method.clone(), path, body).await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
        if status == StatusCode::FORBIDDEN {
            assert!(message(&answer).starts_with("this needs role "), "{answer}");
        }
    }
    assert_eq!(world.call(Method::DELETE, "/v1/tokens/operator", None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(
        world.call_as(Some(operator.as_str()), Method::GET, "/v1/accounts", None).await.0,
        StatusCode::UNAUTHORIZED
    );
    let (_, listed) = world.call(Method::GET, "/v1/tokens", None).await;
    assert!(!listed.to_string().contains(reader.as_str()) && listed[0]["role"] == "read-only", "{listed}");
}

#[tokio::test]
async fn every_change_is_in_the_audit_log_with_who_made_it_and_no_secret() {
    let world = World::start().await;
    let (_, token) = world.call(Method::POST, "/v1/tokens", Some(json!({ "name": "ci", "role": "operator" }))).await;
    let token = token["token"].as_str().expect("shown once");
    let (_, created) = world.call_as(Some(token), Method::POST, "/v1/accounts", account("ada", Value::Null)).await;
    let id = created["account_id"].as_str().expect("an id");
    let limits = Some(json!({ "write_requests": 7 }));
    world.call_as(Some(token), Method::PUT, &format!("/v1/accounts/{id}/limits"), limits).await;
    let (_, log) = world.call(Method::GET, "/v1/audit", None).await;
    let entries = log.as_array().expect("entries");
    let of = |target: &str, what: &str| {
        let found = entries.iter().find(|entry| entry["target"] == target && entry["what"] == what);
        found.unwrap_or_else(|| panic!("{what} of {target} is not in {log}")).clone()
    };
    let placed = of(&format!("account {id}"), "PlaceAccount");
    assert_eq!((&placed["who"], &placed["before"]), (&json!("ci"), &Value::Null));
    let limited = of(&format!("account {id}"), "SetLimits");
    assert!(limited["before"].as_str().is_some_and(|before| before.contains("\"write_requests\":null")));
    assert!(limited["after"].as_str().is_some_and(|after| after.contains("\"write_requests\":7")));
    assert_eq!(of("token ci", "CreateToken")["who"], "admin");
    assert_eq!(of("cell c1", "RequestCell")["who"], "control-plane");
    let all = log.to_string();
    for secret in [token, created["secret_access_key"].as_str().expect("shown"), ADMIN] {
        assert!(!all.contains(secret), "a secret is in the audit log");
    }
    let last = entries.last().expect("entries")["sequence"].as_u64().expect("a number");
    let (_, none) = world.call(Method::GET, &format!("/v1/audit?after={last}"), None).await;
    assert_eq!(none, json!([]));
}

#[tokio::test]
async fn a_write_under_a_key_is_carried_out_once_and_answered_alike_without_its_secret() {
    let world = World::start().await;
    let send = async |key: &str, name: &str| {
        let body = account(name, Value::Null);
        world.call_with(ADMIN, &[("idempotency-key", key)], Method::POST, "/v1/accounts", body).await
    };
    let (status, first) = send("k1", "ada").await;
    assert_eq!(status, StatusCode::CREATED);
    let (status, again) = send("k1", "ada").await;
    assert_eq!((status, &again["account_id"]), (StatusCode::CREATED, &first["account_id"]));
    assert_eq!(again["secret_access_key"], "", "a secret is shown once");
    let (status, other) = send("k1", "bob").await;
    assert_eq!((status, &other["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency_mismatch")));
    let (status, refused) = send("k2", "ada").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(send("k2", "ada").await, (status, refused), "a refusal is repeated too");
    let (status, _) = send("", "carl").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (_, accounts) = world.call(Method::GET, "/v1/accounts", None).await;
    assert_eq!(accounts.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_was_not_done_may_be_asked_again_under_the_same_key() {
    let world = World::start().await;
    let send = async || {
        let body = account("ada", Value::Null);
        world.call_with(ADMIN, &[("idempotency-key", "k1")], Method::POST, "/v1/accounts", body).await
    };
    world.advance("c1", CellState::Closed { by: ClosedBy::Operator }).await;
    assert_eq!(send().await.0, StatusCode::SERVICE_UNAVAILABLE);
    world.advance("c1", CellState::Active).await;
    assert_eq!(send().await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn the_document_describes_every_route_with_its_role_and_its_types() {
    let world = World::start().await;
    let (status, document) = world.call_as(None, Method::GET, "/v1/openapi.json", None).await;
    assert_eq!(status, StatusCode::OK);
    let paths = document["paths"].as_object().expect("paths");
    let mut calls = 0;
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().expect("operations") {
            calls += 1;
            // What is described is there: a stranger is turned away by it, and not by a route that does not exist.
            let concrete = path.replace(['{', '}'], "");
            let method = method.to_uppercase().parse::<Method>().expect("a method");
            let (status, _) = world.call_as(None, method.clone(), &concrete, None).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|summary| summary.ends_with('.')), "{path}");
            assert!(operation["x-role"].is_string() && operation["responses"]["default"].is_object(), "{path}");
        }
    }
    assert!(calls >= 45, "only {calls} calls are described");
    assert_eq!(paths["/v1/cells"]["post"]["responses"]["202"]["description"], "it is under way: watch the operation");
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let text = document.to_string();
    for part in text.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap_or_default();
        assert!(schemas.contains_key(name), "{name} is named and not described");
    }
}

#[tokio::test]
async fn a_cell_without_a_certificate_that_holds_takes_no_account_and_the_refusal_says_why() {
    let world = World::start().await;
    let hash = Blueprint::parse(BLUEPRINT).expect("valid").hash();
    let cell = "c1".parse().expect("a label");
    let now = world.api.env.clock.wall();
    let good = || statement(&cell, &hash, BUILD, now);
    let tampered = signed(Statement { build: "0.0.9".into(), ..good() }).replace("0.0.9", BUILD);
    let expired = now.plus(Duration::from_secs(1));
    let cases = [
        (signed(Statement { expires: expired, ..good() }), "expired"),
        (tampered, "tampered with"),
        (signed(Statement { build: "0.0.9".into(), ..good() }), "another build, 0.0.9"),
        (signed(Statement { cell: "c9".parse().expect("a label"), ..good() }), "another cell, c9"),
    ];
    for (document, reason) in cases {
        // As if it had been recorded by whoever did not look: it is judged again when an account comes.
        world.certify("c1", &document).await;
        world.pass(Duration::from_secs(2));
        world.api.watch.look(&world.api.cells, &cell, &world.record("c1")).await;
        let (status, refused) = create(&world, "ada", Value::Null).await;
        assert_eq!((status, &refused["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("no_room")), "{refused}");
        assert!(message(&refused).contains(reason), "{refused}");
        // Nor does the API take it.
        let document: Value = serde_json::from_str(&document).expect("JSON");
        let (status, refused) = world.call(Method::PUT, "/v1/cells/c1/certificate", Some(document)).await;
        assert_eq!((status, &refused["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("refused")), "{refused}");
        assert!(message(&refused).contains(reason), "{refused}");
    }
    let good: Value = serde_json::from_str(&signed(good())).expect("JSON");
    let (status, shown) = world.call(Method::PUT, "/v1/cells/c1/certificate", Some(good)).await;
    assert_eq!((status, &shown["refuses"]), (StatusCode::OK, &Value::Null), "{shown}");
    assert_eq!(create(&world, "ada", Value::Null).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn an_account_goes_where_it_may_and_why_is_on_record() {
    let world = World::start().await;
    world.add_cell("c2", "eu-west", 100).await;
    let (status, eu) = create(&world, "eu", json!({ "regions": ["eu-west"], "apart": "bank" })).await;
    assert_eq!((status, &eu["cell"]), (StatusCode::CREATED, &json!("c2")));
    let path = format!("/v1/accounts/{}/explain", eu["account_id"].as_str().expect("an id"));
    let (_, explained) = world.call(Method::GET, &path, None).await;
    assert_eq!(explained["placed"]["considered"][0]["cell"], "c2", "{explained}");
    assert_eq!(explained["placed"]["left_out"], json!([["c1", "it is in us-east-1"]]));
    let (status, refused) = create(&world, "eu2", json!({ "regions": ["eu-west"], "apart": "bank" })).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(message(&refused).contains("c2: it has an account of group bank"), "{refused}");
    let (_, apart) = create(&world, "us", json!({ "apart": "bank" })).await;
    assert_eq!(apart["cell"], "c1", "{apart}");
    let (status, refused) = create(&world, "big", json!({ "quota": { "bytes": 1_u64 << 40 } })).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(message(&refused).contains("bytes are wanted"), "{refused}");
    // What went leaves its place to another of the group.
    let path = format!("/v1/accounts/{}", eu["account_id"].as_str().expect("an id"));
    assert_eq!(world.call(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(create(&world, "eu2", json!({ "regions": ["eu-west"], "apart": "bank" })).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn quota_suspension_and_disabled_keys_reach_the_cell_and_what_it_missed_is_brought_to_it() {
    let world = World::start().await;
    let (_, created) = create(&world, "ada", json!({ "quota": { "bytes": 1000 } })).await;
    let (id, key) = (created["account_id"].as_str().expect("an id"), created["access_key_id"].as_str().expect("a key"));
    let account = id.parse().expect("an id");
    let in_cell = || world.cell.lock().settings.get(&account).cloned().expect("told");
    assert_eq!((in_cell().version, in_cell().quota.bytes), (1, Some(1000)));
    let call = async |method: Method, path: &str, body: Option<Value>| {
        let (status, answer) = world.call(method, &format!("/v1/accounts/{id}{path}"), body).await;
        (status, answer)
    };
    assert_eq!(call(Method::POST, "/suspend", None).await.1["state"], "suspended");
    assert!(in_cell().suspended);
    assert_eq!(call(Method::POST, "/resume", None).await.1["state"], "active");
    let (_, keys) = call(Method::POST, &format!("/keys/{key}/disable"), None).await;
    assert_eq!((&keys[0]["disabled"], in_cell().disabled_keys.len()), (&json!(true), 1));
    let (status, rotated) = call(Method::POST, &format!("/keys/{key}/rotate"), None).await;
    assert_eq!(status, StatusCode::CREATED, "{rotated}");
    world.cell.lock().broken = Some(StatusCode::FORBIDDEN);
    let (status, answer) = call(Method::PUT, "/quota", Some(json!({ "objects": 5 }))).await;
    assert_eq!((status, &answer["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("outcome_unknown")));
    world.cell.lock().broken = None;
    let now = world.api.env.clock.wall();
    crate::reconcile::accounts::pass(&world.api.directory, &world.api.cells, now).await.expect("readable");
    assert_eq!((in_cell().quota.objects, in_cell().quota.bytes, in_cell().suspended), (Some(5), None, false));
    assert_eq!(call(Method::GET, "", None).await.1["limits_in_force"], true);
}

#[tokio::test]
async fn a_cell_with_accounts_is_neither_drained_nor_retired_and_one_without_goes_for_good() {
    let world = World::start().await;
    let (_, created) = create(&world, "ada", Value::Null).await;
    let call = async |path: &str| world.call(Method::POST, &format!("/v1/cells/c1/{path}"), None).await;
    for path in ["drain", "retire", "teardown"] {
        let (status, refused) = call(path).await;
        assert_eq!(status, StatusCode::CONFLICT, "{path}: {refused}");
        assert!(message(&refused).contains("has 1 accounts"), "{path}: {refused}");
    }
    let path = format!("/v1/accounts/{}", created["account_id"].as_str().expect("an id"));
    assert_eq!(world.call(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    let (status, refused) = call("retire").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(message(&refused).contains("it is active") || message(&refused).contains("is active"), "{refused}");
    assert_eq!(call("drain").await.1["state"], "draining");
    let (_, table) = world.call(Method::GET, "/v1/routing", None).await;
    assert_eq!(create(&world, "bob", Value::Null).await.0, StatusCode::SERVICE_UNAVAILABLE);
    let (status, operation) = call("retire").await;
    assert_eq!((status, &operation["kind"]), (StatusCode::ACCEPTED, &json!("dismantle_cell")), "{table}");
}

#[tokio::test]
async fn each_account_has_a_name_that_leads_to_its_hand_of_routers() {
    let mut world = World::start().await;
    let (status, refused) = world.call(Method::GET, "/v1/dns", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(message(&refused).contains("no [dns]"), "{refused}");
    let routers = (1..=3_u8).map(|n| PublishedRouter { name: format!("router-{n}"), address: [192, 0, 2, n].into() });
    let zone = "a.example.org".to_owned();
    let dns = DnsConfig { zone, hand: 2, ttl_seconds: 60, routers: routers.collect() };
    world.publish_names(dns.clone());
    let mut accounts = Vec::new();
    for name in ["ada", "bob"] {
        let (_, created) = create(&world, name, Value::Null).await;
        accounts.push(created["account_id"].as_str().expect("an id").parse().expect("an id"));
    }
    accounts.sort_unstable();
    let (status, page) = world.call(Method::GET, "/v1/dns", None).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let page: DnsPage = serde_json::from_value(page).expect("a page");
    let expected = accounts.iter().map(|account| DnsName {
        account: *account,
        name: format!("{account}.a.example.org"),
        addresses: dns.addresses(*account),
    });
    assert_eq!(page.names, expected.collect::<Vec<_>>());
    assert_eq!(page.next, None, "there are no more");
    let (_, rest) = world.call(Method::GET, &format!("/v1/dns?after={}", accounts[0]), None).await;
    assert_eq!(rest["names"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_bucket_s_name_is_taken_away_by_an_administrator_or_a_machine_and_by_nobody_else() {
    let world = World::start().await;
    let made = json!({ "name": "ci", "role": "operator" });
    let (_, made) = world.call(Method::POST, "/v1/tokens", Some(made)).await;
    let operator = made["token"].as_str().expect("a token");
    let release = "/v1/buckets/photos?claim=1";
    let (status, refused) = world.call_as(Some(operator), Method::DELETE, release, None).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{refused}");
    let (status, _) = world.call_as(Some(MACHINE), Method::DELETE, release, None).await;
    assert_ne!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_quota_that_no_cell_holds_is_refused_and_reserves_nothing() {
    let world = World::start().await;
    let (_, created) = create(&world, "ada", Value::Null).await;
    let path = format!("/v1/accounts/{}/quota", created["account_id"].as_str().expect("an id"));
    let before = world.record("c1").more.reserved;
    let (status, refused) = world.call(Method::PUT, &path, Some(json!({ "bytes": u64::MAX }))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(message(&refused).contains("quota.bytes is 18446744073709551615, but must be at most"), "{refused}");
    assert_eq!(world.record("c1").more.reserved, before);
}

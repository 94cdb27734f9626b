//! The API as its callers meet it, on a real directory and a pretended cell.

use crate::{
    store::{keys::FAMILIES, read},
    testing::{MACHINE, World},
};
use bulkhead_model::routing::binary;
use bulkhead_replica::Reader as _;
use http::{Method, StatusCode};
use serde_json::Value;
use std::time::Duration;

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn ada() -> Option<Value> {
    Some(json(r#"{ "name": "Ada", "email": "ada@example.com" }"#))
}

fn code(body: &Value) -> &str {
    body["code"].as_str().unwrap_or_default()
}

async fn create(world: &World) -> String {
    let (status, created) = world.call(Method::POST, "/v1/accounts", ada()).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    created["account_id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn an_account_is_created_in_a_cell_and_its_secret_is_nowhere_else() {
    let world = World::start().await;
    let (status, created) = world.call(Method::POST, "/v1/accounts", ada()).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    let mut fields: Vec<_> = created.as_object().expect("an object").keys().map(String::as_str).collect();
    fields.sort_unstable();
    let expected =
        ["access_key_id", "account_id", "canonical_id", "cell", "display_name", "email", "secret_access_key"];
    assert_eq!(fields, expected);
    let secret = created["secret_access_key"].as_str().expect("a secret");
    assert_eq!(world.cell.lock().keys.values().collect::<Vec<_>>(), [secret]);
    let view = world.api.directory.local_view();
    for &family in FAMILIES {
        let mut cursor = view.cursor(family);
        cursor.seek(&[]).expect("readable");
        while let Some((key, value)) = cursor.entry() {
            let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!holds(key) && !holds(value), "the secret is in family {}", family.name);
            cursor.advance().expect("readable");
        }
    }
    let (_, listed) = world.call(Method::GET, "/v1/accounts", None).await;
    assert_eq!((&listed[0]["account_id"], &listed[0]["state"]), (&created["account_id"], &Value::from("active")));
}

#[tokio::test]
async fn the_router_learns_of_an_account_its_key_and_its_bucket_from_the_feed() {
    let world = World::start().await;
    let account = create(&world).await;
    let claim = Some(json(&format!(r#"{{ "bucket": "photos", "account": "{account}" }}"#)));
    let (status, claimed) = world.call_as(Some(MACHINE), Method::POST, "/v1/buckets", claim).await;
    assert_eq!((status, &claimed), (StatusCode::OK, &json(r#"{ "claim": 1 }"#)));
    let mut table = bulkhead_model::RoutingTable::default();
    while table.buckets.is_empty() {
        let path = format!("/v1/routing/changes?after={}", table.version);
        let (status, body) = world.call_as(Some(MACHINE), Method::GET, &path, None).await;
        assert_eq!((status, &body["reset"]), (StatusCode::OK, &Value::from(false)));
        let changes: bulkhead_model::api::control_plane::Changes = serde_json::from_value(body).expect("changes");
        changes.changes.into_iter().for_each(|change| table.apply(change));
    }
    let (_, full) = world.call_as(Some(MACHINE), Method::GET, "/v1/routing", None).await;
    assert_eq!(serde_json::from_value::<bulkhead_model::RoutingTable>(full).expect("a table"), table);
    assert_eq!((table.accounts.len(), table.keys.len(), table.cells.len()), (1, 1, 1));
    let bytes = world.bytes_as(binary::CONTENT_TYPE, "/v1/routing").await;
    let mut decoder = binary::Decoder::new(&bulkhead_model::RoutingTable::default());
    decoder.push(&bytes).expect("a table");
    assert_eq!(decoder.finish().expect("whole"), table);
}

#[tokio::test]
async fn a_waiting_feed_answers_as_soon_as_something_changes_and_a_version_from_the_future_is_reset() {
    let world = World::start().await;
    let version = read::meta(&world.api.directory.local_view()).expect("readable").routing_version;
    let path = format!("/v1/routing/changes?after={version}");
    let waiting = world.call(Method::GET, &path, None);
    let (answer, _account) = tokio::join!(waiting, create(&world));
    assert!(!answer.1["changes"].as_array().expect("changes").is_empty());
    let (_, future) = world.call(Method::GET, "/v1/routing/changes?after=999999", None).await;
    assert_eq!(future, json(r#"{ "reset": true, "changes": [] }"#));
}

#[tokio::test]
async fn each_token_opens_what_it_is_for() {
    let world = World::start().await;
    let table = [
        (None, "/v1/accounts", StatusCode::UNAUTHORIZED),
        (None, "/v1/routing", StatusCode::UNAUTHORIZED),
        (Some(MACHINE), "/v1/accounts", StatusCode::UNAUTHORIZED),
        (Some(MACHINE), "/v1/cells", StatusCode::UNAUTHORIZED),
        (Some(MACHINE), "/v1/routing", StatusCode::OK),
        (Some(MACHINE), "/v1/status", StatusCode::OK),
    ];
    for (token, path, expected) in table {
        let (status, _) = world.call_as(token, Method::GET, path, None).await;
        assert_eq!(status, expected, "{path} with {token:?}");
    }
}

#[tokio::test]
async fn what_is_refused_says_what_is_accepted() {
    let world = World::start().await;
    create(&world).await;
    let email = |email: &str| Some(json(&format!(r#"{{ "name": "x", "email": "{email}" }}"#)));
    let cases = [
        (Method::POST, "/v1/accounts", email("nobody"), StatusCode::BAD_REQUEST, "exactly one '@'"),
        (Method::POST, "/v1/accounts", email("ADA@example.com"), StatusCode::CONFLICT, "use another address"),
        (
            Method::POST,
            "/v1/accounts",
            Some(json(r#"{ "nom": "x" }"#)),
            StatusCode::BAD_REQUEST,
            "expected one of `name`, `email`",
        ),
        (Method::GET, "/v1/accounts/12", None, StatusCode::BAD_REQUEST, "exactly 12 decimal digits"),
        (Method::GET, "/v1/accounts/999999999999", None, StatusCode::NOT_FOUND, "there is no account"),
        (
            Method::POST,
            "/v1/cells",
            Some(json(r#"{ "name": "c2", "blueprint": "../x" }"#)),
            StatusCode::BAD_REQUEST,
            "blueprint's name",
        ),
        (
            Method::POST,
            "/v1/cells",
            Some(json(r#"{ "name": "c2", "blueprint": "big" }"#)),
            StatusCode::NOT_FOUND,
            "blueprint big",
        ),
        (Method::DELETE, "/v1/buckets/photos", None, StatusCode::BAD_REQUEST, "claim"),
        (Method::GET, "/v2", None, StatusCode::NOT_FOUND, "openapi.json"),
        (Method::PATCH, "/v1/accounts", None, StatusCode::METHOD_NOT_ALLOWED, "no such method"),
    ];
    for (method, path, body, expected, reason) in cases {
        let (status, answer) = world.call(method.clone(), path, body).await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
        assert!(
            answer["message"].as_str().is_some_and(|message| message.contains(reason)),
            "{method} {path}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_bucket_name_is_the_first_accounts_until_it_is_released() {
    let world = World::start().await;
    let first = create(&world).await;
    let (_, second) =
        world.call(Method::POST, "/v1/accounts", Some(json(r#"{ "name": "B", "email": "b@example.com" }"#))).await;
    let claim = |account: &Value| Some(json(&format!(r#"{{ "bucket": "photos", "account": {account} }}"#)));
    let (_, claimed) = world.call(Method::POST, "/v1/buckets", claim(&Value::from(first.clone()))).await;
    assert_eq!(claimed, json(r#"{ "claim": 1 }"#));
    let (status, refused) = world.call(Method::POST, "/v1/buckets", claim(&second["account_id"])).await;
    assert_eq!((status, code(&refused)), (StatusCode::CONFLICT, "conflict"));
    let delete = format!("/v1/accounts/{first}");
    assert_eq!(world.call(Method::DELETE, &delete, None).await.0, StatusCode::CONFLICT);
    let release = "/v1/buckets/photos?claim=1";
    assert_eq!(world.call(Method::DELETE, release, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(
        world.call(Method::POST, "/v1/buckets", claim(&second["account_id"])).await.1,
        json(r#"{ "claim": 2 }"#)
    );
    assert_eq!(world.call(Method::DELETE, &delete, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(world.cell.lock().accounts.len(), 1);
}

#[tokio::test]
async fn keys_come_and_go_with_their_secrets_in_the_cell_only() {
    let world = World::start().await;
    let path = format!("/v1/accounts/{}/keys", create(&world).await);
    let (status, created) = world.call(Method::POST, &path, None).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    let (_, listed) = world.call(Method::GET, &path, None).await;
    assert_eq!(listed.as_array().expect("keys").len(), 2);
    assert!(!listed.to_string().contains("secret"));
    let key = format!("{path}/{}", created["access_key_id"].as_str().expect("an id"));
    assert_eq!(world.call(Method::DELETE, &key, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(world.cell.lock().keys.len(), 1);
    assert_eq!(world.call(Method::DELETE, &key, None).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_cell_that_refuses_leaves_no_account_and_one_that_may_have_acted_leaves_it_to_be_undone() {
    let world = World::start().await;
    world.cell.lock().broken = Some(StatusCode::BAD_REQUEST);
    let (status, refused) = world.call(Method::POST, "/v1/accounts", ada()).await;
    assert_eq!((status, code(&refused)), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    let (_, listed) = world.call(Method::GET, "/v1/accounts", None).await;
    assert_eq!(listed[0]["state"], Value::from("deleting"));
    let settle = crate::reconcile::accounts::pass(&world.api.directory, &world.api.cells, world.api.env.clock.wall());
    world.cell.lock().broken = None;
    settle.await.expect("readable");
    assert_eq!(world.call(Method::GET, "/v1/accounts", None).await.1, Value::Array(Vec::new()));
    world.pass(Duration::from_secs(1));
    create(&world).await;
}

#[tokio::test]
async fn limits_are_set_at_creation_and_later_and_reach_the_cell() {
    let world = World::start().await;
    let wanted = json(r#"{ "name": "Ada", "email": "ada@example.com", "limits": { "write_requests": 50 } }"#);
    let (status, created) = world.call(Method::POST, "/v1/accounts", Some(wanted)).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    let path = format!("/v1/accounts/{}", created["account_id"].as_str().expect("an id"));
    let (_, shown) = world.call(Method::GET, &path, None).await;
    assert_eq!((&shown["limits"]["write_requests"], &shown["limits_in_force"]), (&50.into(), &true.into()));
    let in_cell = |world: &World| world.cell.lock().limits.values().next().copied().expect("told");
    assert_eq!((in_cell(&world).version, in_cell(&world).limits.write_requests), (1, Some(50)));

    let limits = format!("{path}/limits");
    let (status, shown) = world.call(Method::PUT, &limits, Some(json(r#"{ "list_requests": 7 }"#))).await;
    assert_eq!((status, &shown["limits"]["list_requests"]), (StatusCode::OK, &7.into()), "{shown}");
    assert_eq!((in_cell(&world).version, in_cell(&world).limits.write_requests), (2, None), "the whole is replaced");

    let (status, refused) = world.call(Method::PUT, &limits, Some(json(r#"{ "bytes_in": 1 }"#))).await;
    assert_eq!((status, code(&refused)), (StatusCode::BAD_REQUEST, "invalid"));
    world.cell.lock().broken = Some(StatusCode::FORBIDDEN);
    let (status, refused) = world.call(Method::PUT, &limits, Some(json(r#"{ "weight": 20 }"#))).await;
    assert_eq!((status, code(&refused)), (StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown"));
    let (_, shown) = world.call(Method::GET, &path, None).await;
    assert_eq!((&shown["limits"]["weight"], &shown["limits_in_force"]), (&20.into(), &false.into()));
}

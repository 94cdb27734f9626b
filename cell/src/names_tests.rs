//! The client of bucket names against a control plane that answers what a test tells it to.

#![expect(clippy::disallowed_methods, reason = "json! unwraps inside")]

use super::*;
use axum::{Json, Router, routing::post};
use bulkhead_service::{Env, client::Client};
use std::{net::SocketAddr, time::Duration};

async fn serve(env: &Env, app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let stopping = env.tasks.stopping();
    env.tasks.spawn("control plane", async move {
        let served = axum::serve(listener, app).with_graceful_shutdown(stopping.cancelled_owned());
        served.await.expect("the listener is ours");
    });
    address
}

fn answering(status: StatusCode, body: serde_json::Value) -> Router {
    let answer = (status, Json(body));
    let release = answer.clone();
    Router::new()
        .route("/v1/buckets", post(async move || answer))
        .route("/v1/buckets/{bucket}", axum::routing::delete(async move || release))
}

fn account() -> AccountId {
    AccountId::new(AccountId::FIRST).expect("in range")
}

fn names(addresses: &[SocketAddr], env: &Env) -> Names {
    Names::new(Endpoints::new(Client::new(None, None), addresses), env.clock.clone())
}

async fn claim(addresses: &[SocketAddr], env: &Env) -> Result<ClaimId, ClaimError> {
    names(addresses, env).claim("b", account(), env.clock.now() + Duration::from_secs(5)).await
}

#[tokio::test]
async fn each_answer_of_the_control_plane_has_its_meaning() {
    let env = Env::for_tests(1);
    let error = serde_json::json!({ "code": "invalid", "message": "why" });
    for (status, body, expected) in [
        (StatusCode::OK, serde_json::json!({ "claim": 7 }), Ok(ClaimId(7))),
        (StatusCode::CONFLICT, error.clone(), Err(ClaimError::Taken)),
        (StatusCode::BAD_REQUEST, error.clone(), Err(ClaimError::Invalid("why".into()))),
        (StatusCode::SERVICE_UNAVAILABLE, error, Err(ClaimError::Unavailable("why".into()))),
    ] {
        let address = serve(&env, answering(status, body)).await;
        assert_eq!(claim(&[address], &env).await, expected, "{status}");
    }
}

#[tokio::test]
async fn a_dead_address_is_passed_over() {
    let env = Env::for_tests(1);
    let dead: SocketAddr = "127.0.0.1:1".parse().expect("an address");
    let alive = serve(&env, answering(StatusCode::OK, serde_json::json!({ "claim": 7 }))).await;
    assert_eq!(claim(&[dead, alive], &env).await, Ok(ClaimId(7)));
    assert!(matches!(claim(&[dead], &env).await, Err(ClaimError::Unavailable(_))));
}

#[tokio::test]
async fn a_release_of_a_name_that_is_gone_is_done_and_a_failed_one_is_not() {
    let env = Env::for_tests(1);
    for (status, done) in
        [(StatusCode::NO_CONTENT, true), (StatusCode::NOT_FOUND, true), (StatusCode::SERVICE_UNAVAILABLE, false)]
    {
        let address = serve(&env, answering(status, serde_json::Value::Null)).await;
        let released = names(&[address], &env).release("b", ClaimId(1), env.clock.now() + Duration::from_secs(5)).await;
        assert_eq!(released.is_ok(), done, "{status}");
    }
}

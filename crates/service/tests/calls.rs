//! Calls between our own processes, over plain TCP.

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use bulkhead_model::{api::error::ApiError, headers};
use bulkhead_service::{
    Env,
    auth::Token,
    client::{Client, ClientError, Endpoints},
    http::{Options, Running, serve},
};
use http::Method;
use std::{net::SocketAddr, time::Duration};
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(10);
const NOTHING: Option<&()> = None;

fn token() -> Token {
    Token::new(&"t".repeat(32)).expect("long enough")
}

async fn describe(headers: HeaderMap, body: String) -> Json<Vec<String>> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned();
    Json(vec![header("authorization"), header("content-type"), header(headers::DEADLINE), body])
}

async fn conflict() -> (StatusCode, Json<ApiError>) {
    (StatusCode::CONFLICT, Json(ApiError { code: "conflict".into(), message: "the name is taken".into() }))
}

async fn start(options: Options) -> Running {
    let routes = Router::new()
        .route("/describe", post(describe))
        .route("/conflict", get(conflict))
        .route("/nothing", get(|| async { StatusCode::NO_CONTENT }))
        .route("/never", get(std::future::pending::<()>));
    let any = "127.0.0.1:0".parse().expect("an address");
    serve(&Env::for_tests(1), any, options, routes).await.expect("a free port")
}

/// An address where nobody listens.
async fn nowhere() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("bound")
}

#[tokio::test]
async fn a_call_carries_the_token_the_deadline_and_json() {
    let server = start(Options::new("test")).await;
    let client = Client::new(Some(&token()), None);
    let seen: Vec<String> =
        client.json(Method::POST, server.address, "/describe", Some(&[1, 2]), PATIENCE).await.expect("an answer");
    assert_eq!(seen, [&format!("Bearer {}", "t".repeat(32)), "application/json", "10000", "[1,2]"]);
    let () = client.json(Method::GET, server.address, "/nothing", NOTHING, PATIENCE).await.expect("no content");
}

#[tokio::test]
async fn an_error_tells_what_is_known() {
    let server = start(Options::new("test")).await;
    let client = Client::new(None, None);
    let refused = client.json::<(), ()>(Method::GET, server.address, "/conflict", None, PATIENCE).await;
    let refused = refused.expect_err("a conflict");
    assert_eq!(refused.status(), Some(StatusCode::CONFLICT));
    assert_eq!(refused.to_string(), "the name is taken (conflict) [409 Conflict]");
    assert!(!refused.certainly_not_sent());

    let unreachable = client.json::<(), ()>(Method::GET, nowhere().await, "/nothing", None, PATIENCE).await;
    assert!(unreachable.expect_err("nobody listens").certainly_not_sent());

    let short = Duration::from_millis(50);
    let late = client.json::<(), ()>(Method::GET, server.address, "/never", None, short).await;
    assert_eq!(late, Err(ClientError::TimedOut(short)));
}

#[tokio::test]
async fn a_connection_that_is_lost_leaves_the_outcome_open() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let client = Client::new(None, None);
    let call = client.json::<(), ()>(Method::POST, address, "/", None, PATIENCE);
    let hang_up = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1]).await.expect("a request");
    };
    let (outcome, ()) = tokio::join!(call, hang_up);
    let error = outcome.expect_err("no answer");
    assert!(matches!(error, ClientError::Lost(_)) && !error.certainly_not_sent(), "{error}");
}

#[tokio::test]
async fn a_write_goes_to_another_address_only_when_nothing_was_sent() {
    let server = start(Options::new("test")).await;
    let client = Client::new(None, None);
    let endpoints = Endpoints::new(client.clone(), &[nowhere().await, server.address]);
    let seen: Vec<String> =
        endpoints.json(Method::POST, "/describe", Some("hello"), PATIENCE).await.expect("the second answers");
    assert_eq!(seen[3], "\"hello\"");
    let none = Endpoints::new(client, &[]);
    assert!(none.json::<(), ()>(Method::GET, "/nothing", None, PATIENCE).await.is_err());
}

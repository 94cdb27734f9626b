//! Calls between our own processes, over plain TCP and over mutual TLS.

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
    tls::{self, TlsConfig},
};
use http::Method;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::{net::SocketAddr, path::Path, time::Duration};
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

/// Writes a CA and one identity for 127.0.0.1 below `dir`.
fn identity(dir: &Path, name: &str) -> TlsConfig {
    let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().expect("a key")).expect("a CA");
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let leaf = leaf.signed_by(&key, &ca).expect("a certificate");
    let file = |part: &str| dir.join(format!("{name}.{part}.pem"));
    let config = TlsConfig { certificate: file("crt"), key: file("key"), ca: file("ca") };
    std::fs::write(&config.certificate, leaf.pem()).expect("writable");
    std::fs::write(&config.key, key.serialize_pem()).expect("writable");
    std::fs::write(&config.ca, ca.pem()).expect("writable");
    config
}

#[tokio::test]
async fn only_a_client_with_a_certificate_of_the_ca_is_served() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (ours, theirs) = (identity(dir.path(), "ours"), identity(dir.path(), "theirs"));
    let tls = Some(tls::mutual_server(&ours).expect("an identity"));
    let server = start(Options { tls, ..Options::new("test") }).await;

    let client = Client::new(None, Some(tls::mutual_client(&ours).expect("an identity")));
    let () = client.json(Method::GET, server.address, "/nothing", NOTHING, PATIENCE).await.expect("one of us");

    let foreign = TlsConfig { ca: ours.ca.clone(), ..theirs };
    let stranger = Client::new(None, Some(tls::mutual_client(&foreign).expect("an identity")));
    assert!(stranger.json::<(), ()>(Method::GET, server.address, "/nothing", None, PATIENCE).await.is_err());
    let plain = Client::new(None, None);
    assert!(plain.json::<(), ()>(Method::GET, server.address, "/nothing", None, PATIENCE).await.is_err());
}

#[test]
fn a_file_without_a_key_is_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut config = identity(dir.path(), "ours");
    config.key = config.certificate.clone();
    let error = tls::mutual_server(&config).expect_err("no key").to_string();
    assert!(error.contains("ours.crt.pem") && error.contains("private key"), "{error}");
}

//! Spans reach a collector, and a trace crosses a hop. One test, because the process has one subscriber.

use axum::{Router, body::Bytes, http::HeaderMap, routing::post};
use bulkhead_service::{
    Env,
    client::Client,
    http::{Options, serve},
    telemetry::{self, Format, Identity, TelemetryConfig, trace_context},
};
use http::Method;
use std::{sync::Arc, time::Duration};
use tokio::sync::Mutex;
use tracing::Instrument as _;

const PATIENCE: Duration = Duration::from_secs(10);

/// Whether `needle` is in `haystack`: the protobuf of a span holds its name and ids as they are.
fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_crosses_a_hop_and_both_spans_are_exported() {
    let env = Env::for_tests(1);
    let exported = Arc::new(Mutex::new(Vec::<u8>::new()));
    let collected = Arc::clone(&exported);
    let collector = post(move |body: Bytes| async move { collected.lock().await.extend_from_slice(&body) });
    let hop = post(|headers: HeaderMap| async move {
        let span = tracing::info_span!("server side");
        trace_context::set_parent(&span, &headers);
        axum::Json(trace_context::trace_id(&span))
    });
    let routes = Router::new().route("/v1/traces", collector).route("/hop", hop);
    let any = "127.0.0.1:0".parse().expect("an address");
    let server = serve(&env, any, Options::new("test"), routes).await.expect("a free port");

    let config = TelemetryConfig {
        otlp_endpoint: Some(format!("http://{}", server.address)),
        log: "warn".into(),
        format: Format::Text,
    };
    let identity = Identity { service: "bulkhead-test", labels: vec![("cell", "c1".into())] };
    let telemetry = telemetry::init(&env, &config, &identity).expect("the first call");
    metrics::counter!("things").increment(3);
    assert!(telemetry.metrics().render().contains("things{service=\"bulkhead-test\",cell=\"c1\"} 3"));

    let span = tracing::info_span!("client side");
    let trace = trace_context::trace_id(&span).expect("a trace");
    let client = Client::new(None, None);
    let call = client.json::<(), String>(Method::POST, server.address, "/hop", None, PATIENCE);
    assert_eq!(call.instrument(span).await.expect("an answer"), trace, "the same trace on both sides");

    telemetry.shutdown().await;
    let exported = exported.lock().await;
    for expected in ["client side", "server side", "bulkhead-test", "bulkhead.cell"] {
        assert!(holds(&exported, expected.as_bytes()), "{expected} was not exported");
    }
    assert!(holds(&exported, &hex::decode(trace).expect("hex")), "the trace id was not exported");
}

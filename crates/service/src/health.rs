//! `/livez`, `/readyz` and `/metrics`: unauthenticated, and never shed.
//!
//! Ready means: may be sent work now. A process that is not ready names what it waits for.

use crate::telemetry::Metrics;
use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use http::header;
use serde::Serialize;
use std::sync::Arc;

/// What readiness waits for, asked on every call; empty means ready.
pub type Waits = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    waits_for: Vec<String>,
}

/// The three routes.
pub fn routes(metrics: Metrics, waits: Waits) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(move || std::future::ready(readiness(waits()))))
        .route("/metrics", get(move || std::future::ready(exposition(&metrics))))
}

fn readiness(waits_for: Vec<String>) -> impl IntoResponse {
    let ready = waits_for.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(Readiness { ready, waits_for }))
}

fn exposition(metrics: &Metrics) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    async fn ask(path: &str, waits_for: &'static [&'static str]) -> (StatusCode, String) {
        let waits: Waits = Arc::new(|| waits_for.iter().map(ToString::to_string).collect());
        let request = http::Request::get(path).body(axum::body::Body::empty()).expect("a request");
        let response = routes(Metrics::detached(), waits).oneshot(request).await.expect("infallible");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn readiness_names_what_it_waits_for() {
        let (status, body) = ask("/readyz", &["a leader"]).await;
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, r#"{"ready":false,"waits_for":["a leader"]}"#)
        );
        assert_eq!(ask("/readyz", &[]).await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_process_that_is_not_ready_is_still_alive() {
        assert_eq!(ask("/livez", &["a leader"]).await.0, StatusCode::OK);
    }
}

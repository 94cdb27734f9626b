//! How requests are taken apart: bodies and ids, refused in this API's own words, and a span for each request.

use super::error::Failure;
use axum::{
    extract::{FromRequest, MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use bulkhead_service::telemetry::trace_context;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use std::{fmt::Display, str::FromStr};
use tracing::Instrument as _;

/// A JSON body.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let body = Bytes::from_request(request, state).await.map_err(Failure::invalid)?;
        serde_json::from_slice(&body).map(Self).map_err(|error| Failure::invalid(format!("the body: {error}")))
    }
}

/// Reads an id from a path or query.
pub fn id<T: FromStr<Err: Display>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error: T::Err| Failure::invalid(error))
}

/// Gives each request a span that continues the caller's trace, and counts its answer.
pub async fn traced(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().to_string();
    let span = tracing::info_span!("api", %method, route);
    trace_context::set_parent(&span, request.headers());
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    span.in_scope(|| tracing::debug!(%method, route, status, "request"));
    metrics::counter!("api_requests", "method" => method, "route" => route, "status" => status.to_string())
        .increment(1);
    response
}

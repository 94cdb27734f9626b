//! `/v1/routing`: the published table and its feed. Called by routers.
//!
//! Routers ask for the table's binary form, which is sent piece by piece; JSON is for people, and for tables that are small.

use super::{Api, error::Failure};
use crate::limits::JSON_TABLE_ENTRIES_MAX;
use axum::{
    Json,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse as _, Response},
};
use bulkhead_model::{api::control_plane::Changes, routing::binary};
use bytes::Bytes;
use http::{HeaderMap, header};
use serde::Deserialize;
use std::convert::Infallible;

pub async fn table(State(api): State<Api>, headers: HeaderMap) -> Result<Response, Failure> {
    let table = api.publisher.table();
    let accepts = |accepted: &http::HeaderValue| accepted.as_bytes() == binary::CONTENT_TYPE.as_bytes();
    if headers.get_all(header::ACCEPT).iter().any(accepts) {
        let pieces = binary::pieces(&table).map(|piece| Ok::<_, Infallible>(Bytes::from(piece)));
        let body = Body::from_stream(futures::stream::iter(pieces));
        return Ok(([(header::CONTENT_TYPE, binary::CONTENT_TYPE)], body).into_response());
    }
    if table.len() > JSON_TABLE_ENTRIES_MAX {
        let (entries, accept) = (table.len(), binary::CONTENT_TYPE);
        return Err(Failure::invalid(format!(
            "the table has {entries} entries, and is answered as JSON up to {JSON_TABLE_ENTRIES_MAX}: ask for {accept}"
        )));
    }
    Ok(Json(table).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct After {
    after: u64,
}

pub async fn changes(
    State(api): State<Api>,
    query: Result<Query<After>, QueryRejection>,
) -> Result<Json<Changes>, Failure> {
    let Query(After { after }) = query.map_err(Failure::invalid)?;
    // A router that waits must not hold up the end of this process: it hears of no change, and asks elsewhere.
    let stopping = api.env.tasks.stopping();
    let news = stopping.run_until_cancelled(api.publisher.changes_after(&api.directory, after)).await;
    Ok(Json(news.transpose()?.unwrap_or_default()))
}

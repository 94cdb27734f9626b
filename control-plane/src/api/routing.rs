//! `/v1/routing`: the published table and its feed. Called by routers.

use super::{Api, error::Failure};
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use bulkhead_model::{RoutingTable, api::control_plane::Changes};
use serde::Deserialize;
use std::sync::Arc;

pub async fn table(State(api): State<Api>) -> Json<Arc<RoutingTable>> {
    Json(api.publisher.table())
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

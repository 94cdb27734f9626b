//! `/v1/status`: what this node knows of the control plane, in one answer.

use super::{Api, error::Failure};
use crate::store::{DirectoryError, read};
use axum::{Json, extract::State};
use bulkhead_model::api::control_plane::Status;

pub async fn show(State(api): State<Api>) -> Result<Json<Status>, Failure> {
    let meta = read::meta(&api.directory.local_view()).map_err(DirectoryError::from)?;
    Ok(Json(Status {
        build: env!("CARGO_PKG_VERSION").into(),
        node: api.node,
        leader: api.directory.replica().status().leader,
        accounts: meta.accounts,
        buckets: meta.buckets,
        cells: meta.cells,
        routing_version: meta.routing_version,
        uncertified: api.certifier.waives_any(),
    }))
}

//! `/v1/cells/{cell}/quarantine`: requests that ended processes of a cell and are refused there, and letting go of them.

use super::{Api, error::Failure, extract};
use crate::store::{DirectoryError, command::Refusal, read};
use axum::{
    Json,
    extract::{Path, State},
};
use bulkhead_model::{
    CellId,
    api::control_plane::{CellNode, NodeQuarantine},
};
use http::StatusCode;

pub async fn list(State(api): State<Api>, Path(cell): Path<String>) -> Result<Json<Vec<NodeQuarantine>>, Failure> {
    let id: CellId = extract::id(&cell)?;
    let nodes = nodes(&api, &id).await?;
    Ok(Json(api.cells.quarantine(&id, &nodes).await?))
}

/// Asked of every node: a shape may be refused on one of them alone.
pub async fn lift(State(api): State<Api>, Path((cell, shape)): Path<(String, String)>) -> Result<StatusCode, Failure> {
    let id: CellId = extract::id(&cell)?;
    if shape.len() != 16 || !shape.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::invalid(format!("{shape:?} is no shape: it has 16 hex digits")));
    }
    let nodes = nodes(&api, &id).await?;
    let lifted = nodes.iter().map(|node| api.cells.lift(&id, node.admin, &shape));
    let lifted = futures::future::join_all(lifted).await;
    if lifted.iter().any(Result::is_ok) {
        return Ok(StatusCode::NO_CONTENT);
    }
    let why: Vec<String> = lifted.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
    Err(Failure::not_found(format!("no node of cell {id} refuses {shape}: {}", why.join("; "))))
}

async fn nodes(api: &Api, cell: &CellId) -> Result<Vec<CellNode>, Failure> {
    let record = read::cell(&api.directory.view().await?, cell).map_err(DirectoryError::from)?;
    Ok(record.ok_or_else(|| Refusal::NoSuchCell(cell.clone()))?.nodes)
}

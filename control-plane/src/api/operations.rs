//! `/v1/operations`: long work, watched.

use super::{Api, error::Failure, extract};
use crate::{
    limits::AUDIT_PER_ANSWER,
    store::{
        DirectoryError,
        command::{Done, Refusal},
        read,
        record::OperationRecord,
    },
};
use axum::{
    Json,
    extract::{Path, State},
};
use bulkhead_model::api::control_plane::Operation;
use http::StatusCode;

pub async fn list(State(api): State<Api>) -> Result<Json<Vec<Operation>>, Failure> {
    let operations = read::operations(&api.directory.view().await?, AUDIT_PER_ANSWER)?;
    Ok(Json(operations.into_iter().map(|(id, record)| shown(id, record)).collect()))
}

pub async fn show(State(api): State<Api>, Path(operation): Path<String>) -> Result<Json<Operation>, Failure> {
    let id: u64 = extract::id(&operation)?;
    let record = read::operation(&api.directory.view().await?, id)?.ok_or(Refusal::NoSuchOperation(id))?;
    Ok(Json(shown(id, record)))
}

/// The answer to a request whose work goes on.
pub async fn accepted(api: &Api, done: Done) -> Result<(StatusCode, Json<Operation>), Failure> {
    let Done::Operation { operation } = done else {
        return Err(Failure::failed("the directory gave an unexpected answer"));
    };
    api.wake.notify_waiters();
    let record = read::operation(&api.directory.view().await?, operation).map_err(DirectoryError::from)?;
    let record = record.ok_or(Refusal::NoSuchOperation(operation))?;
    Ok((StatusCode::ACCEPTED, Json(shown(operation, record))))
}

fn shown(id: u64, record: OperationRecord) -> Operation {
    let OperationRecord { kind, target, state, steps, began, by } = record;
    Operation { id, kind, target, state, steps, began_at: began, by }
}

//! `/v1/buckets`: who owns a name. Called by cells.

use super::{
    Api,
    error::Failure,
    extract::{self, Body},
};
use crate::store::{
    DirectoryError,
    command::{Command, Done},
    read,
};
use axum::{
    Json,
    extract::{Path, Query, State},
};
use bulkhead_model::{
    ClaimId,
    api::control_plane::{Bucket, ClaimBucket, Claimed},
    names,
};
use http::StatusCode;
use serde::Deserialize;

pub async fn claim(State(api): State<Api>, Body(wanted): Body<ClaimBucket>) -> Result<Json<Claimed>, Failure> {
    names::check_bucket_name(&wanted.bucket).map_err(Failure::invalid)?;
    let command = Command::ClaimBucket { bucket: wanted.bucket, account: wanted.account };
    match api.directory.propose(command).await? {
        Done::Claimed { claim } => Ok(Json(Claimed { claim })),
        Done::Ok
        | Done::AccountPlaced { .. }
        | Done::Operation { .. }
        | Done::Setting { .. }
        | Done::First
        | Done::Again { .. } => Err(Failure::failed("the directory gave an unexpected answer")),
    }
}

pub async fn show(State(api): State<Api>, Path(bucket): Path<String>) -> Result<Json<Bucket>, Failure> {
    let record = read::bucket(&api.directory.view().await?, &bucket).map_err(DirectoryError::from)?;
    let record = record.ok_or_else(|| Failure::not_found("the bucket name is free"))?;
    Ok(Json(Bucket { bucket, account: record.account, claim: record.claim, committed: record.committed }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    claim: String,
}

pub async fn release(
    State(api): State<Api>,
    Path(bucket): Path<String>,
    query: Result<Query<Release>, axum::extract::rejection::QueryRejection>,
) -> Result<StatusCode, Failure> {
    let Query(Release { claim }) = query.map_err(Failure::invalid)?;
    let claim: ClaimId = extract::id(&claim)?;
    api.directory.propose(Command::ReleaseBucket { bucket, claim }).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! `/v1/audit`: who changed what, before and after.

use super::{Api, error::Failure};
use crate::{limits::AUDIT_PER_ANSWER, store::read};
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use bulkhead_model::api::control_plane::AuditEntry;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct After {
    #[serde(default)]
    after: u64,
}

pub async fn list(
    State(api): State<Api>,
    query: Result<Query<After>, QueryRejection>,
) -> Result<Json<Vec<AuditEntry>>, Failure> {
    let Query(After { after }) = query.map_err(Failure::invalid)?;
    let entries = read::audit(&api.directory.view().await?, after, AUDIT_PER_ANSWER)?;
    let shown = entries.into_iter().map(|(sequence, record)| AuditEntry {
        sequence,
        at: record.at,
        who: record.who,
        what: record.what,
        target: record.target,
        before: record.before,
        after: record.after,
    });
    Ok(Json(shown.collect()))
}

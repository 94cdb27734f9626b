//! Who belongs to the cell's group: nodes added and voters replaced, on the leader. The control plane decides when.

use super::{Admin, accounts::json, error::AdminError};
use axum::{body::Bytes, extract::State};
use bulkhead_model::api::cell::{Member, Voters};
use http::StatusCode;

/// `POST /admin/v1/members`
pub(super) async fn add(State(admin): State<Admin>, body: Bytes) -> Result<StatusCode, AdminError> {
    let member: Member = json(&body)?;
    admin.in_time(admin.index.replica().add_learner(&member)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /admin/v1/voters`
pub(super) async fn set_voters(State(admin): State<Admin>, body: Bytes) -> Result<StatusCode, AdminError> {
    let Voters { voters } = json(&body)?;
    admin.in_time(admin.index.replica().set_voters(&voters)).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Marking the node, breaking it, and the ballast of its cell. The guard is in [`crate::drill`].

use super::{Admin, accounts::json, error::AdminError};
use crate::{
    drill::DrillError,
    meta::{command::Command, record::Usage},
};
use axum::{Json, body::Bytes, extract::State};
use bulkhead_model::api::drill::{Ballast, DrillStatus, Fault, Mark};
use http::StatusCode;

/// `PUT /admin/v1/drill`
pub(super) async fn mark(State(admin): State<Admin>, body: Bytes) -> Result<StatusCode, AdminError> {
    let mark: Mark = json(&body)?;
    // Everything committed counts: a bucket that another node has made a moment ago is a tenant's.
    let usage = admin.index.read(admin.deadline()).await?.cell_usage()?;
    admin.drill.mark(mark, usage.buckets)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /admin/v1/drill`
pub(super) async fn show(State(admin): State<Admin>) -> Json<DrillStatus> {
    Json(admin.drill.status())
}

/// `DELETE /admin/v1/drill`: also when the mark is over, since the ballast may be left.
pub(super) async fn end(State(admin): State<Admin>) -> Result<StatusCode, AdminError> {
    admin.drill.end();
    if admin.index.read(admin.deadline()).await?.ballast()? != Usage::default() {
        admin.execute(Command::SetBallast { ballast: Usage::default() }).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /admin/v1/drill/fault`
pub(super) async fn fault(State(admin): State<Admin>, body: Bytes) -> Result<StatusCode, AdminError> {
    let fault: Fault = json(&body)?;
    let known = admin.index.replica().status();
    let members: Vec<_> =
        known.members.iter().chain(&known.learners).map(|member| (member.node, member.peer)).collect();
    admin.drill.execute(&fault, &members)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /admin/v1/drill/ballast`
pub(super) async fn ballast(State(admin): State<Admin>, body: Bytes) -> Result<StatusCode, AdminError> {
    let Ballast { bytes, objects } = json(&body)?;
    if !admin.drill.is_certifying() {
        return Err(DrillError::NotCertifying.into());
    }
    admin.execute(Command::SetBallast { ballast: Usage { bytes, objects } }).await?;
    Ok(StatusCode::NO_CONTENT)
}

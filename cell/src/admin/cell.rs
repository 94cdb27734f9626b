//! The cell as a whole: forming its group, its status, the claims on its bucket names.

use super::{Admin, accounts::json, error::AdminError};
use crate::meta::command::{Command, Done};
use axum::{Json, body::Bytes, extract::State};
use bulkhead_model::api::cell::{ClaimSettled, Form, NodeStatus, SettleClaim};
use http::StatusCode;

/// `POST /admin/v1/form`
pub(super) async fn form(State(admin): State<Admin>, body: Bytes) -> Result<StatusCode, AdminError> {
    let Form { members } = json(&body)?;
    admin.index.replica().form(&members).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /admin/v1/status`: what this node knows by itself, without asking its peers.
pub(super) async fn status(State(admin): State<Admin>) -> Result<Json<NodeStatus>, AdminError> {
    let known = admin.index.replica().status();
    let waits_for = (admin.waits)();
    let missing_copies = missing_copies(&admin);
    let identity = admin.identity;
    Ok(Json(NodeStatus {
        cell: identity.cell,
        node: identity.node,
        az: identity.az,
        blueprint_hash: identity.blueprint_hash,
        build: identity.build,
        ready: waits_for.is_empty(),
        waits_for,
        leader: known.leader,
        term: known.term,
        applied: known.applied,
        members: known.members,
        learners: known.learners,
        wiped: known.wiped,
        missing_copies,
        usage: admin.index.local().cell_usage()?,
    }))
}

/// Copies this node should have and does not. Not known before all its chunks were compared with the index under the present
/// topology: a node that has just joined lacks what it has not heard of.
fn missing_copies(admin: &Admin) -> Option<u64> {
    let is_known = admin.figures.covers(admin.chunks.topology().as_ref());
    is_known.then(|| admin.chunks.repairs().here() as u64)
}

/// `POST /admin/v1/claims/settle`
pub(super) async fn settle_claim(State(admin): State<Admin>, body: Bytes) -> Result<Json<ClaimSettled>, AdminError> {
    let SettleClaim { bucket, account: _, claim } = json(&body)?;
    match admin.execute(Command::SettleClaim { name: bucket, claim }).await? {
        Done::ClaimSettled { exists: true } => Ok(Json(ClaimSettled::Exists)),
        Done::ClaimSettled { exists: false } => Ok(Json(ClaimSettled::Absent)),
        Done::Ok
        | Done::EpochOpened { .. }
        | Done::BucketCreated { .. }
        | Done::BucketDeleted
        | Done::ObjectPut { .. }
        | Done::ObjectsDeleted(_)
        | Done::UploadCreated { .. }
        | Done::PartPut { .. }
        | Done::UploadCompleted { .. } => Err(AdminError::Unexpected),
    }
}

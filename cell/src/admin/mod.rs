//! The admin API: what the control plane and operators ask of a node (`bulkhead_model::api::cell`), and its health.
//!
//! Every call but `status`, `storage`, `load` and those of the quarantine is answered after commit. Knows no objects.

mod accounts;
mod cell;
mod drill;
mod error;
mod load;
mod members;
mod quarantine;
mod storage;

#[cfg(test)]
mod tests;

use crate::{
    admit::Admission,
    chunks::ChunkStore,
    drill::Drill,
    jobs::figures::Figures,
    limits::{ADMIN_BODY_BYTES_MAX, ADMIN_PATIENCE},
    meta::{
        command::{Command, Done},
        index::{IndexHandle, Origin},
        seal::CellKey,
    },
    poison::Poison,
};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    routing::{delete, get, post, put},
};
use bulkhead_model::{Az, CellId, Limits, NodeId};
use bulkhead_replica::MembershipError;
use bulkhead_service::{
    Env,
    auth::{self, Token},
    health::{self, Waits},
    telemetry::Metrics,
};
use error::AdminError;
use std::sync::Arc;
use tokio::time::Instant;

/// Which node this is, and of what.
#[derive(Debug, Clone)]
pub struct Identity {
    pub cell: CellId,
    pub node: NodeId,
    pub az: Az,
    pub blueprint_hash: String,
    pub build: String,
}

/// What the admin API needs of its node.
#[derive(Clone)]
pub struct Admin {
    pub identity: Identity,
    pub index: IndexHandle,
    pub chunks: ChunkStore,
    /// What the jobs have found and done.
    pub figures: Arc<Figures>,
    /// Who is let in, who waits, who is refused.
    pub admission: Admission,
    pub cell_key: CellKey,
    /// What holds for an account of which nothing is set.
    pub account_limits: Limits,
    pub poison: Poison,
    /// Whether it may be broken on purpose.
    pub drill: Drill,
    pub env: Env,
    /// What readiness waits for.
    pub waits: Waits,
}

impl Admin {
    /// Until when a call may take that begins now.
    fn deadline(&self) -> Instant {
        self.env.clock.now() + ADMIN_PATIENCE
    }

    /// A change of the membership, which goes on by itself when it takes longer than a call may.
    async fn in_time(&self, change: impl Future<Output = Result<(), MembershipError>>) -> Result<(), AdminError> {
        match tokio::time::timeout_at(self.deadline(), change).await {
            Ok(changed) => Ok(changed?),
            Err(_) => Err(AdminError::Unconfirmed),
        }
    }

    async fn execute(&self, command: Command) -> Result<Done, AdminError> {
        Ok(self.index.execute(Origin::default(), command, self.deadline()).await??)
    }
}

/// All routes of the admin listener: the API, behind one of `tokens`, and health, for anyone.
pub fn routes(admin: Admin, tokens: Arc<[Token]>, metrics: Metrics) -> Router {
    let health = health::routes(metrics, Arc::clone(&admin.waits));
    Router::new()
        .route("/admin/v1/form", post(cell::form))
        .route("/admin/v1/status", get(cell::status))
        .route("/admin/v1/storage", get(storage::show))
        .route("/admin/v1/load", get(load::show))
        .route("/admin/v1/quarantine", get(quarantine::list))
        .route("/admin/v1/quarantine/{shape}", delete(quarantine::lift))
        .route("/admin/v1/drill", put(drill::mark).get(drill::show).delete(drill::end))
        .route("/admin/v1/drill/fault", post(drill::fault))
        .route("/admin/v1/drill/ballast", put(drill::ballast))
        .route("/admin/v1/claims/settle", post(cell::settle_claim))
        .route("/admin/v1/members", post(members::add))
        .route("/admin/v1/voters", put(members::set_voters))
        .route("/admin/v1/accounts/{account}", put(accounts::put).get(accounts::show).delete(accounts::delete))
        .route("/admin/v1/accounts/{account}/limits", put(accounts::put_limits))
        .route("/admin/v1/accounts/{account}/settings", put(accounts::put_settings))
        .route("/admin/v1/accounts/{account}/keys/{key}", put(accounts::put_key).delete(accounts::delete_key))
        .route_layer(from_fn_with_state(tokens, auth::require))
        .layer(DefaultBodyLimit::max(ADMIN_BODY_BYTES_MAX))
        .with_state(admin)
        .merge(health)
}

//! Requests that this node refuses because they ended processes, and letting go of them.

use super::{Admin, error::AdminError};
use crate::poison::{Refused, Scope};
use axum::{
    Json,
    extract::{Path, State},
};
use bulkhead_model::api::cell::{QuarantineScope, Quarantined};
use http::StatusCode;

/// `GET /admin/v1/quarantine`
pub(super) async fn list(State(admin): State<Admin>) -> Json<Vec<Quarantined>> {
    Json(admin.poison.refused().into_iter().map(shown).collect())
}

/// `DELETE /admin/v1/quarantine/{shape}`: here at once, on the other nodes within seconds.
pub(super) async fn lift(State(admin): State<Admin>, Path(shape): Path<String>) -> Result<StatusCode, AdminError> {
    let hash = u64::from_str_radix(&shape, 16)
        .map_err(|_| AdminError::Invalid(format!("{shape:?} is no shape: it has 16 hex digits")))?;
    if admin.poison.lift(hash) { Ok(StatusCode::NO_CONTENT) } else { Err(AdminError::NoSuchShape) }
}

fn shown(refused: Refused) -> Quarantined {
    Quarantined {
        shape: format!("{:016x}", refused.hash),
        account: refused.account,
        operation: refused.operation,
        deaths: refused.deaths,
        until: refused.until,
        scope: match refused.scope {
            Scope::Here => QuarantineScope::Node,
            Scope::Alone => QuarantineScope::Alone,
            Scope::Cell => QuarantineScope::Cell,
        },
    }
}

//! The control plane's API, `/v1`: one file per resource, on the table in [`bulkhead_model::api::control_plane`].
//!
//! Translates between HTTP and the directory; decisions are in [`crate::domain`] and [`crate::store::apply`].

mod accounts;
mod buckets;
mod cells;
mod error;
mod extract;
mod keys;
mod quarantine;
mod routing;
mod status;

#[cfg(test)]
mod tests;

use crate::{cells::Cells, limits::BODY_BYTES_MAX, publish::Publisher, store::Directory};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{delete, get, post, put},
};
use bulkhead_model::NodeId;
use bulkhead_service::{
    Env,
    auth::{self, Token},
};
use error::Failure;
use std::{path::PathBuf, sync::Arc};
use tokio::sync::Notify;

/// What the handlers work with. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    pub directory: Directory,
    pub publisher: Arc<Publisher>,
    pub cells: Cells,
    pub env: Env,
    /// This node of the control plane.
    pub node: NodeId,
    /// Where blueprints are found, each in `<name>.toml`.
    pub blueprints: PathBuf,
    /// Wakes the reconcilers before their time.
    pub wake: Arc<Notify>,
}

/// Who may call.
pub struct Tokens {
    /// Everything.
    pub admin: Token,
    /// Routing, buckets and status: for routers and cells.
    pub machine: Token,
}

impl Api {
    /// All routes, each behind its tokens.
    pub fn router(self, tokens: Tokens) -> Router {
        let admin: Arc<[Token]> = Arc::new([tokens.admin.clone()]);
        let machine: Arc<[Token]> = Arc::new([tokens.admin, tokens.machine]);
        let for_admins = Router::new()
            .route("/v1/accounts", post(accounts::create).get(accounts::list))
            .route("/v1/accounts/{account}", get(accounts::show).delete(accounts::delete))
            .route("/v1/accounts/{account}/limits", put(accounts::set_limits))
            .route("/v1/accounts/{account}/keys", post(keys::create).get(keys::list))
            .route("/v1/accounts/{account}/keys/{key}", delete(keys::delete))
            .route("/v1/cells", post(cells::stamp).get(cells::list))
            .route("/v1/cells/{cell}", get(cells::show))
            .route("/v1/cells/{cell}/nodes/{node}/replace", post(cells::replace))
            .route("/v1/cells/{cell}/storage", get(cells::storage))
            .route("/v1/cells/{cell}/load", get(cells::load))
            .route("/v1/cells/{cell}/quarantine", get(quarantine::list))
            .route("/v1/cells/{cell}/quarantine/{shape}", delete(quarantine::lift))
            .route_layer(middleware::from_fn_with_state(admin, auth::require));
        let for_machines = Router::new()
            .route("/v1/buckets", post(buckets::claim))
            .route("/v1/buckets/{bucket}", get(buckets::show).delete(buckets::release))
            .route("/v1/routing", get(routing::table))
            .route("/v1/routing/changes", get(routing::changes))
            .route("/v1/status", get(status::show))
            .route_layer(middleware::from_fn_with_state(machine, auth::require));
        for_admins
            .merge(for_machines)
            .fallback(async || Failure::not_found("there is no such resource; all of them are below /v1"))
            .method_not_allowed_fallback(async || Failure::method_not_allowed())
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(middleware::from_fn(extract::traced))
            .with_state(self)
    }
}

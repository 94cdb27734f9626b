//! The control plane's API, `/v1`: one file per resource, on the types in [`bulkhead_model::api::control_plane`].
//!
//! Translates between HTTP and the directory; decisions are in [`crate::domain`] and [`crate::store::apply`].

mod access;
mod accounts;
mod audit;
mod buckets;
mod cells;
mod dns;
mod error;
mod extract;
mod fleet;
mod idempotency;
mod keys;
mod openapi;
mod operations;
mod quarantine;
mod routes;
mod routing;
mod settings;
mod status;
mod tokens;

#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod tests;

pub use access::Tokens;

use crate::{
    cells::Cells,
    certification::Certifier,
    dns::DnsConfig,
    limits::BODY_BYTES_MAX,
    provision::local::Local,
    publish::Publisher,
    reconcile::{headroom::HeadroomConfig, watch::Watch},
    store::Directory,
};
use access::Gatekeeper;
use axum::{Json, Router, extract::DefaultBodyLimit, middleware};
use bulkhead_model::{
    AccountLimits, NodeId, RoutingTable,
    api::control_plane::{
        Account, AuditEntry, Bucket, Cell, CellLoad, CellStorage, Changes, ClaimBucket, Claimed, CreateAccount,
        CreateToken, CreatedAccount, CreatedKey, CreatedToken, DnsPage, Explained, Fleet, Key, NodeQuarantine,
        Operation, Quota, RollBackSetting, SetSetting, Setting, SettingsFor, StampCell, Status, Token,
    },
};
use bulkhead_service::Env;
use error::Failure;
use routes::{Call, Routes};
use std::{path::PathBuf, sync::Arc};
use tokio::sync::Notify;

/// What the handlers work with. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    pub directory: Directory,
    pub publisher: Arc<Publisher>,
    pub cells: Cells,
    pub local: Local,
    pub certifier: Certifier,
    pub watch: Watch,
    pub headroom: HeadroomConfig,
    /// The names that are published, if any are.
    pub dns: Option<Arc<DnsConfig>>,
    pub env: Env,
    /// This node of the control plane.
    pub node: NodeId,
    /// Where blueprints are found, each in `<name>.toml`.
    pub blueprints: PathBuf,
    /// Wakes the reconcilers before their time.
    pub wake: Arc<Notify>,
}

impl Api {
    /// All routes, each behind what it demands of its caller.
    pub fn router(self, tokens: Tokens) -> Router {
        let gatekeeper = Arc::new(Gatekeeper { tokens, directory: self.directory.clone() });
        let routes = of_cells(of_accounts(Routes::new(gatekeeper)));
        let (router, calls) = of_machines(of_settings(of_the_fleet(routes))).finish();
        let document = Arc::new(openapi::document(&calls));
        router
            // Open to all: it says what this program answers, and nothing of a fleet.
            .route("/v1/openapi.json", axum::routing::get(async move || Json(document.as_ref().clone())))
            .fallback(async || Failure::not_found("there is no such resource; GET /v1/openapi.json names all of them"))
            .method_not_allowed_fallback(async || Failure::method_not_allowed())
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(middleware::from_fn(extract::traced))
            .with_state(self)
    }
}

fn of_accounts(routes: Routes) -> Routes {
    routes
        .call(
            Call::post("/v1/accounts", "Create an account with a first key. The secret is shown this once.")
                .takes::<CreateAccount>()
                .answers_with::<CreatedAccount>(201),
            accounts::create,
        )
        .call(Call::get("/v1/accounts", "All accounts.").answers::<Vec<Account>>(), accounts::list)
        .call(Call::get("/v1/accounts/{account}", "One account.").answers::<Account>(), accounts::show)
        .call(
            Call::get("/v1/accounts/{account}/explain", "Why it lives where it does.").answers::<Explained>(),
            accounts::explain,
        )
        .call(
            Call::put("/v1/accounts/{account}/limits", "Replace what it may ask for.")
                .takes::<AccountLimits>()
                .answers::<Account>(),
            accounts::set_limits,
        )
        .call(
            Call::put("/v1/accounts/{account}/quota", "Replace what it may hold.")
                .takes::<Quota>()
                .answers::<Account>(),
            accounts::set_quota,
        )
        .call(
            Call::post("/v1/accounts/{account}/suspend", "Refuse its requests; everything it holds stays.")
                .answers::<Account>(),
            accounts::suspend,
        )
        .call(
            Call::post("/v1/accounts/{account}/resume", "Let a suspended account go on.").answers::<Account>(),
            accounts::resume,
        )
        .call(
            Call::delete("/v1/accounts/{account}", "Delete an account that has no buckets, and its keys."),
            accounts::delete,
        )
        .call(
            Call::post("/v1/accounts/{account}/purge", "Delete everything it holds, then the account.")
                .admin()
                .answers_with::<Operation>(202),
            accounts::purge,
        )
        .call(
            Call::post("/v1/accounts/{account}/keys", "Create another key. The secret is shown this once.")
                .answers_with::<CreatedKey>(201),
            keys::create,
        )
        .call(Call::get("/v1/accounts/{account}/keys", "Its keys, without secrets.").answers::<Vec<Key>>(), keys::list)
        .call(
            Call::delete("/v1/accounts/{account}/keys/{key}", "Delete a key; whoever uses it is locked out."),
            keys::delete,
        )
        .call(
            Call::post("/v1/accounts/{account}/keys/{key}/disable", "Refuse requests signed with it.")
                .answers::<Vec<Key>>(),
            keys::disable,
        )
        .call(
            Call::post("/v1/accounts/{account}/keys/{key}/enable", "Let a disabled key go on.").answers::<Vec<Key>>(),
            keys::enable,
        )
        .call(
            Call::post("/v1/accounts/{account}/keys/{key}/rotate", "Create a key in its stead, and disable it.")
                .answers_with::<CreatedKey>(201),
            keys::rotate,
        )
}

fn of_cells(routes: Routes) -> Routes {
    let cell = |call: Call| call.answers::<Cell>();
    let work = |call: Call| call.answers_with::<Operation>(202);
    routes
        .call(
            work(
                Call::post("/v1/cells", "Stamp a cell out of a blueprint. Asked again, it goes on.")
                    .takes::<StampCell>(),
            ),
            cells::stamp,
        )
        .call(Call::get("/v1/cells", "All cells.").answers::<Vec<Cell>>(), cells::list)
        .call(cell(Call::get("/v1/cells/{cell}", "One cell.")), cells::show)
        .call(work(Call::post("/v1/cells/{cell}/resume", "Go on with a cell that failed.")), cells::resume)
        .call(
            work(Call::post("/v1/cells/{cell}/teardown", "Remove a cell that never took an account.").admin()),
            cells::teardown,
        )
        .call(cell(Call::post("/v1/cells/{cell}/close", "Let it take no new accounts.")), cells::close)
        .call(cell(Call::post("/v1/cells/{cell}/open", "Let it take accounts again.")), cells::open)
        .call(cell(Call::post("/v1/cells/{cell}/drain", "Close a cell without accounts for good.")), cells::drain)
        .call(work(Call::post("/v1/cells/{cell}/retire", "Remove a drained cell.").admin()), cells::retire)
        .call(
            Call::get("/v1/cells/{cell}/certificate", "Its certificate, as it was signed.")
                .answers::<serde_json::Value>(),
            cells::certificate,
        )
        .call(
            cell(
                Call::put("/v1/cells/{cell}/certificate", "Put a certificate beside it, if that holds.")
                    .takes::<serde_json::Value>(),
            ),
            cells::put_certificate,
        )
        .call(
            Call::post("/v1/cells/{cell}/nodes/{node}/replace", "Replace a node by one with a fresh id.")
                .answers_with::<Cell>(202),
            cells::replace,
        )
        .call(
            Call::get("/v1/cells/{cell}/storage", "How its chunks are, node by node.").answers::<CellStorage>(),
            cells::storage,
        )
        .call(Call::get("/v1/cells/{cell}/load", "What its nodes execute.").answers::<CellLoad>(), cells::load)
        .call(
            Call::get("/v1/cells/{cell}/quarantine", "Requests that ended processes there and are refused.")
                .answers::<Vec<NodeQuarantine>>(),
            quarantine::list,
        )
        .call(Call::delete("/v1/cells/{cell}/quarantine/{shape}", "Let go of one of them."), quarantine::lift)
}

fn of_the_fleet(routes: Routes) -> Routes {
    routes
        .call(
            Call::get("/v1/fleet", "Every cell against what it may hold, and what is next.").answers::<Fleet>(),
            fleet::show,
        )
        .call(
            Call::get("/v1/dns", "The names of accounts and the routers they lead to, 1,000 at a time.")
                .query("after", "names behind this account's")
                .answers::<DnsPage>(),
            dns::list,
        )
        .call(Call::get("/v1/operations", "The last operations.").answers::<Vec<Operation>>(), operations::list)
        .call(Call::get("/v1/operations/{operation}", "One operation.").answers::<Operation>(), operations::show)
        .call(
            Call::get("/v1/audit", "Who changed what, oldest first.")
                .query("after", "entries after this sequence number")
                .answers::<Vec<AuditEntry>>(),
            audit::list,
        )
        .call(
            Call::post("/v1/tokens", "Make a token. It is shown this once.")
                .admin()
                .takes::<CreateToken>()
                .answers_with::<CreatedToken>(201),
            tokens::create,
        )
        .call(Call::get("/v1/tokens", "All tokens by name and role.").admin().answers::<Vec<Token>>(), tokens::list)
        .call(Call::delete("/v1/tokens/{token}", "Revoke a token.").admin(), tokens::revoke)
}

fn of_settings(routes: Routes) -> Routes {
    let setting = |call: Call| call.answers::<Setting>();
    routes
        .call(
            Call::get("/v1/settings", "All settings, what is said of them, and what is being done.")
                .answers::<Vec<Setting>>(),
            settings::list,
        )
        .call(setting(Call::get("/v1/settings/{setting}", "One setting.")), settings::show)
        .call(
            setting(Call::put("/v1/settings/{setting}", "Change a setting, cell by cell.").takes::<SetSetting>()),
            settings::set,
        )
        .call(
            setting(
                Call::post("/v1/settings/{setting}/rollback", "Take back what is on its way, or else the last change.")
                    .takes::<RollBackSetting>(),
            ),
            settings::roll_back,
        )
        .call(
            Call::get("/v1/settings/for", "What a router, or the nodes of a cell, hold.")
                .machines()
                .query("known", "the version that is known: nothing more is answered while it is the last")
                .query("cell", "the cell; without it, for a router")
                .answers::<SettingsFor>(),
            settings::for_machines,
        )
}

fn of_machines(routes: Routes) -> Routes {
    routes
        .call(
            // A name that is taken away by hand is somebody's data out of reach.
            Call::post("/v1/buckets", "Claim a bucket name for an account.")
                .admin()
                .machines()
                .takes::<ClaimBucket>()
                .answers::<Claimed>(),
            buckets::claim,
        )
        .call(Call::get("/v1/buckets/{bucket}", "Who owns a name.").machines().answers::<Bucket>(), buckets::show)
        .call(
            Call::delete("/v1/buckets/{bucket}", "Release a claim.")
                .admin()
                .machines()
                .query("claim", "the claim's number"),
            buckets::release,
        )
        .call(Call::get("/v1/routing", "The whole routing table.").machines().answers::<RoutingTable>(), routing::table)
        .call(
            Call::get("/v1/routing/changes", "The next changes of it; waits for the first.")
                .machines()
                .query("after", "the version that is known")
                .answers::<Changes>(),
            routing::changes,
        )
        .call(Call::get("/v1/status", "What this node knows.").machines().answers::<Status>(), status::show)
}

//! A control plane that publishes the table it is given.

use super::any;
use axum::{
    Json, Router,
    extract::{Query, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use bulkhead_model::{
    RoutingTable,
    api::control_plane::Changes,
    routing::{Change, Versioned, binary},
};
use bulkhead_service::{
    Env,
    http::{Options, Running, serve},
};
use http::{HeaderMap, HeaderValue, header};
use std::{collections::HashMap, net::SocketAddr, sync::Arc};
use tokio::sync::watch;

#[derive(Debug, Default)]
struct Published {
    table: RoutingTable,
    changes: Vec<Versioned>,
    /// Answers the table as JSON whatever it is asked for, as builds before the binary form do.
    is_old: bool,
}

type Shared = Arc<watch::Sender<Published>>;

pub struct ControlPlane {
    published: Shared,
    running: Running,
}

impl ControlPlane {
    pub async fn start(table: RoutingTable) -> Self {
        let published = Arc::new(watch::Sender::new(Published { table, ..Published::default() }));
        let routes = Router::new()
            .route("/v1/routing", get(full))
            .route("/v1/routing/changes", get(changes))
            .with_state(Arc::clone(&published));
        let running = serve(&Env::for_tests(3), any(), Options::new("api"), routes).await.expect("a free port");
        Self { published, running }
    }

    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// Publishes a whole table; the feed says nothing of it.
    pub fn replace(&self, table: RoutingTable) {
        self.published.send_modify(|published| published.table = table);
    }

    /// Becomes a build that knows no other form of the table than JSON.
    pub fn grow_old(&self) {
        self.published.send_modify(|published| published.is_old = true);
    }

    /// Publishes a change through the feed.
    pub fn change(&self, change: Change) {
        self.published.send_modify(|published| {
            let change = Versioned { version: published.table.version + 1, change };
            published.table.apply(change.clone());
            published.changes.push(change);
        });
    }

    pub async fn stop(self) {
        self.running.stop().await;
    }
}

async fn full(State(published): State<Shared>, headers: HeaderMap) -> Response {
    let published = published.borrow();
    let accepts = |accepted: &HeaderValue| accepted.as_bytes() == binary::CONTENT_TYPE.as_bytes();
    if published.is_old || !headers.get_all(header::ACCEPT).iter().any(accepts) {
        return Json(&published.table).into_response();
    }
    let bytes: Vec<u8> = binary::pieces(&published.table).flatten().collect();
    ([(header::CONTENT_TYPE, binary::CONTENT_TYPE)], bytes).into_response()
}

async fn changes(State(published): State<Shared>, Query(query): Query<HashMap<String, u64>>) -> Json<Changes> {
    let after = query.get("after").copied().unwrap_or_default();
    let mut published = published.subscribe();
    let is_new = |published: &Published| published.changes.iter().any(|change| change.version > after);
    let published = published.wait_for(is_new).await.expect("the control plane lives");
    let changes = published.changes.iter().filter(|change| change.version > after).cloned().collect();
    Json(Changes { reset: false, changes })
}

//! A control plane that publishes the table it is given.

use super::any;
use axum::{
    Json, Router,
    extract::{Query, State},
    routing::get,
};
use bulkhead_model::{
    RoutingTable,
    api::control_plane::Changes,
    routing::{Change, Versioned},
};
use bulkhead_service::{
    Env,
    http::{Options, Running, serve},
};
use std::{collections::HashMap, net::SocketAddr, sync::Arc};
use tokio::sync::watch;

#[derive(Debug, Default)]
struct Published {
    table: RoutingTable,
    changes: Vec<Versioned>,
}

type Shared = Arc<watch::Sender<Published>>;

pub struct ControlPlane {
    published: Shared,
    running: Running,
}

impl ControlPlane {
    pub async fn start(table: RoutingTable) -> Self {
        let published = Arc::new(watch::Sender::new(Published { table, changes: Vec::new() }));
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

async fn full(State(published): State<Shared>) -> Json<RoutingTable> {
    Json(published.borrow().table.clone())
}

async fn changes(State(published): State<Shared>, Query(query): Query<HashMap<String, u64>>) -> Json<Changes> {
    let after = query.get("after").copied().unwrap_or_default();
    let mut published = published.subscribe();
    let is_new = |published: &Published| published.changes.iter().any(|change| change.version > after);
    let published = published.wait_for(is_new).await.expect("the control plane lives");
    let changes = published.changes.iter().filter(|change| change.version > after).cloned().collect();
    Json(Changes { reset: false, changes })
}

//! The router's admin listener: health and metrics.

use crate::routing::Table;
use bulkhead_service::{
    health::{self, Waits},
    telemetry::Metrics,
};
use std::sync::Arc;

/// `/livez`, `/readyz` and `/metrics`. Ready means: has a routing table, of whatever age.
pub fn routes(metrics: Metrics, table: Arc<Table>) -> axum::Router {
    let waits: Waits = Arc::new(move || {
        let empty = table.load().version == 0;
        if empty { vec!["a routing table".to_owned()] } else { Vec::new() }
    });
    health::routes(metrics, waits)
}

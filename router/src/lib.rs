//! The router: finds the account's cell, streams bytes both ways, picks a healthy node.
//!
//! Must not know S3's semantics beyond what names a bucket and a key, nor storage.

pub mod admin;
pub mod config;
pub mod error;
pub mod limits;
pub mod phases;
pub mod routing;
pub mod upstream;

use bulkhead_model::RoutingTable;
use bulkhead_service::{
    Env,
    client::{Client, Endpoints},
    config::{ConfigError, read_token},
    http::{Handler, Options, RequestBody, Running, serve},
    settings::Live,
    shutdown,
    telemetry::Metrics,
    tls::{TlsError, Wire},
};
use config::Config;
use http::Request;
use phases::answer::AnswerBody;
use routing::{SavedError, Sync, Table};
use std::{convert::Infallible, net::SocketAddr, sync::Arc};
use tokio::sync::Semaphore;
use upstream::Upstreams;

/// What serving a request needs.
#[derive(Debug)]
pub struct Router {
    pub env: Env,
    pub domains: Vec<String>,
    pub table: Arc<Table>,
    pub upstreams: Arc<Upstreams>,
    /// One for each request in flight.
    pub slots: Arc<Semaphore>,
    /// Bytes of bodies that may be held for all cells together.
    pub held_bytes: Arc<Semaphore>,
    pub settings: Live,
    /// One for each request that waits for a key or a bucket to become known.
    pub unknown: Semaphore,
}

impl Router {
    /// A router that starts from the table `saved`, finds cells at `upstreams` and looks after them from now on.
    pub fn new(env: Env, domains: Vec<String>, saved: RoutingTable, upstreams: Upstreams, settings: Live) -> Arc<Self> {
        let upstreams = Arc::new(upstreams);
        let reconciled = Arc::clone(&upstreams);
        let on_publish = Box::new(move |table: &RoutingTable| reconciled.reconcile(table));
        let table = Arc::new(Table::new(saved, on_publish));
        Arc::clone(&upstreams).start_judging();
        Arc::new(Self {
            env,
            domains,
            table,
            upstreams,
            slots: Arc::new(Semaphore::new(limits::IN_FLIGHT_MAX)),
            held_bytes: Arc::new(Semaphore::new(limits::HELD_BYTES_MAX)),
            settings,
            unknown: Semaphore::new(limits::UNKNOWN_WAITING_MAX),
        })
    }

    /// What serves the requests of clients.
    pub fn handler(self: Arc<Self>) -> impl Handler<AnswerBody> {
        tower::service_fn(move |request: Request<RequestBody>| {
            let router = Arc::clone(&self);
            async move { Ok::<_, Infallible>(phases::serve(&router, request).await) }
        })
    }
}

/// Why a router could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot listen on {address}: {why}")]
    Listen { address: SocketAddr, why: std::io::Error },
}

/// A router that serves.
#[derive(Debug)]
pub struct Started {
    env: Env,
    s3: Running,
    admin: Running,
    pub table: Arc<Table>,
}

impl Started {
    /// Where clients come.
    pub fn s3(&self) -> SocketAddr {
        self.s3.address
    }

    /// Where health and metrics are.
    pub fn admin(&self) -> SocketAddr {
        self.admin.address
    }

    /// Lets the requests in flight end, then stops. Says whether everything ended in time.
    pub async fn stop(self) -> bool {
        shutdown::drain(&self.env, vec![self.s3, self.admin], limits::SHUTDOWN_PATIENCE).await
    }
}

/// Starts a router with the table it saved last, and keeps that up to date from then on.
///
/// # Errors
/// When a file it needs cannot be read or an address cannot be bound.
pub async fn start(env: Env, config: &Config, metrics: Metrics) -> Result<Started, StartError> {
    let wire = Wire::open(config.tls.as_ref(), &[config.admin], &env)?;
    let token = read_token(&config.control_plane_token_file)?;
    let control_plane = Endpoints::new(Client::new(Some(&token), wire.client()), &config.control_plane);
    let upstreams = Upstreams::new(env.clone(), wire.client());
    let settings = Live::open(&config.data, None);
    env.tasks.spawn("settings", settings.clone().follow(control_plane.clone(), env.clone()));
    let router = Router::new(env.clone(), config.domains.clone(), saved_table(config), upstreams, settings);
    let table = Arc::clone(&router.table);
    let sync = Sync { env: env.clone(), table: Arc::clone(&table), control_plane, data: config.data.clone() };
    sync.start();
    let refused = |address: SocketAddr| move |why| StartError::Listen { address, why };
    let options = Options {
        connections_max: limits::CONNECTIONS_MAX,
        connections_per_source_max: config.connections_per_source_max,
        ..Options::new("s3")
    };
    let s3 = serve(&env, config.s3, options, router.handler()).await.map_err(refused(config.s3))?;
    let admin = admin::routes(metrics, Arc::clone(&table));
    let admin =
        serve(&env, config.admin, Options::new("admin").over(&wire), admin).await.map_err(refused(config.admin))?;
    Ok(Started { env, s3, admin, table })
}

/// The saved table. One that cannot be used is reported and passed over: the control plane has a better one.
fn saved_table(config: &Config) -> RoutingTable {
    let unusable = |error: &SavedError| tracing::error!(%error, "starting without a routing table");
    routing::load(&config.data).inspect_err(unusable).ok().flatten().unwrap_or_default()
}

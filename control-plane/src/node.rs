//! One node of the control plane, wired: directory, publisher, API, reconcilers. Decides nothing.

use crate::{
    api::{Api, Tokens},
    cells::Cells,
    certification::Certifier,
    config::Config,
    limits::{DIRECTORY_CACHE_BYTES, DIRECTORY_CHECKPOINT_LOG_BYTES, RECONCILE_INTERVAL, SHUTDOWN_PATIENCE},
    provision::local::{Local, files::Surroundings},
    reconcile::{
        Rhythm, accounts, cells::CellKeeper, claims, headroom::Headroom, purge::Purger, settings, watch::Watch,
    },
    store::{Directory, apply::DirectoryMachine},
};
use bulkhead_model::api::cell::Member;
use bulkhead_replica::{FormError, OpenError, Replica, ReplicaConfig};
use bulkhead_service::{
    Env,
    config::{self, ConfigError},
    health,
    http::{self, Options, Running},
    shutdown,
    telemetry::Metrics,
    tls::{TlsError, Wire},
};
use std::sync::Arc;
use tokio::sync::Notify;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the directory cannot be opened: {0}")]
    Open(#[from] OpenError),
    #[error(transparent)]
    Form(#[from] FormError),
    #[error("a listener cannot be opened: {0}")]
    Listen(#[from] std::io::Error),
}

/// A running node.
pub struct Node {
    env: Env,
    replica: Replica,
    api: Running,
    peer: Running,
}

impl Node {
    /// Opens the directory, forms it when this node is the first, serves, and starts the reconcilers.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config, env: Env, metrics: Metrics) -> Result<Self, StartError> {
        let tokens = Tokens {
            admin: config::read_token(&config.token_file)?,
            machine: config::read_token(&config.machine_token_file)?,
        };
        let wire = Wire::open(config.tls.as_ref(), &[config.api, config.peer], &env)?;
        let replica = open(&config, &wire, &env).await?;
        let peer = http::serve(&env, config.peer, Options::new("peer").over(&wire), replica.peer_api()).await?;
        match config.voters() {
            alone if alone.len() == 1 => replica.form(&alone).await?,
            // The others may start later than this one.
            voters if config.forms_group() => env.tasks.spawn("form", form(replica.clone(), voters, env.clone())),
            _ => {}
        }
        let directory = Directory::new(replica.clone(), env.clone());
        let surroundings = Surroundings {
            control_plane: vec![config.api],
            machine_token_file: config.machine_token_file.clone(),
            tls: config.tls.clone(),
            rng: env.rng.clone(),
        };
        let key_file = config.certification.key_file.clone();
        let local = Local::new(config.provision.local.clone(), surroundings, config.blueprints.clone(), key_file);
        let certifier = Certifier::new(&config.certification, env.clock.clone())?;
        if certifier.waives_any() {
            tracing::warn!("cells of the blueprint dev take accounts without a certificate: this is for tests");
        }
        let api = Api {
            cells: Cells::new(directory.clone(), local.tokens(), wire.clone(), env.clone()),
            directory,
            local,
            certifier,
            watch: Watch::new(env.clock.clone()),
            headroom: config.headroom,
            dns: config.dns.map(Arc::new),
            publisher: Arc::default(),
            env: env.clone(),
            node: config.node,
            blueprints: config.blueprints,
            wake: Arc::new(Notify::new()),
        };
        start_background(&api);
        let waits = waits(replica.clone());
        let routes = api.router(tokens).merge(health::routes(metrics, waits));
        let api = http::serve(&env, config.api, Options::new("api").over(&wire), routes).await?;
        Ok(Self { env, replica, api, peer })
    }

    /// Serves until the process is asked to stop or can go on no more, then drains.
    ///
    /// # Errors
    /// When signals cannot be received, or consensus has ended after an error of the disk.
    pub async fn run(self) -> std::io::Result<()> {
        let end = tokio::select! {
            requested = shutdown::requested() => requested,
            why = self.replica.ended() => Err(std::io::Error::other(format!("consensus has ended: {why}"))),
        };
        if let Err(error) = &end {
            tracing::error!(%error, "the node ends");
        }
        self.stop().await;
        end
    }

    /// Drains and ends everything. Cells' processes go on.
    pub async fn stop(self) {
        // Long polls and background work end first, or draining would wait for them.
        self.env.tasks.stopping().cancel();
        shutdown::drain(&self.env, vec![self.api, self.peer], SHUTDOWN_PATIENCE).await;
        self.replica.shutdown().await;
    }
}

/// Forms the group once all its members answer, unless it is formed.
async fn form(replica: Replica, voters: Vec<Member>, env: Env) {
    let stopping = env.tasks.stopping();
    while let Err(error) = replica.form(&voters).await {
        tracing::info!(%error, "the directory's group is not formed yet");
        if stopping.run_until_cancelled(tokio::time::sleep(RECONCILE_INTERVAL)).await.is_none() {
            return;
        }
    }
}

async fn open(config: &Config, wire: &Wire, env: &Env) -> Result<Replica, StartError> {
    let peer_token = config.peer_token_file.as_deref().map(config::read_token).transpose()?;
    let replica = ReplicaConfig {
        dir: config.data.join("directory"),
        node: config.node,
        az: config.az.clone(),
        peer: config.peer,
        cache_bytes: DIRECTORY_CACHE_BYTES,
        checkpoint_log_bytes: DIRECTORY_CHECKPOINT_LOG_BYTES,
        peer_token,
        wire: wire.clone(),
    };
    Ok(Replica::open(replica, Arc::new(DirectoryMachine), env.clone()).await?)
}

fn start_background(api: &Api) {
    let rhythm = || Rhythm::new(api.directory.clone(), api.env.clone(), Arc::clone(&api.wake));
    let (directory, cells, env) = (api.directory.clone(), api.cells.clone(), api.env.clone());
    let tasks = &api.env.tasks;
    tasks.spawn("publish", Arc::clone(&api.publisher).run(directory.clone(), env.clone()));
    tasks.spawn("reconcile accounts", accounts::run(rhythm(), directory.clone(), cells.clone(), env.clone()));
    tasks.spawn("reconcile claims", claims::run(rhythm(), directory.clone(), cells.clone(), env.clone()));
    tasks.spawn("purge accounts", Purger::new(directory.clone(), cells.clone(), env.clone()).run(rhythm()));
    let (local, certifier, watch) = (api.local.clone(), api.certifier.clone(), api.watch.clone());
    let headroom = Headroom {
        directory: directory.clone(),
        local: local.clone(),
        certifier: certifier.clone(),
        watch: watch.clone(),
        config: api.headroom.clone(),
        clock: env.clock.clone(),
    };
    tasks.spawn("roll out settings", settings::run(rhythm(), directory.clone(), watch.clone(), env.clone()));
    tasks.spawn("watch cells", watch.run(directory.clone(), cells.clone(), env.clone()));
    tasks.spawn("follow headroom", headroom.run(rhythm()));
    tasks.spawn("reconcile cells", CellKeeper::new(directory, cells, local, certifier, env).run(rhythm()));
}

fn waits(replica: Replica) -> health::Waits {
    Arc::new(move || if replica.status().ready { Vec::new() } else { vec!["the directory's group".into()] })
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;

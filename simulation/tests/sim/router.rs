//! A router of the simulation: the real one, on a machine of its own, with a table that reaches it after a while.
//!
//! What it saved outlives it. How it fetches the table is not simulated: the world hands it over.

use crate::{
    entropy::mixed,
    host::Up,
    line::{Door, Exchange},
    net::{Act, CLIENTS, HostId, Message, S3_PORT, Wires, address},
};
use bulkhead_model::RoutingTable;
use bulkhead_router::{Router, upstream::Upstreams};
use bulkhead_service::{
    http::{Options, serve_connection},
    settings::Live,
};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// A router, up or down.
pub struct RouterHost {
    pub id: HostId,
    seed: u64,
    lives: u64,
    pub up: Option<Up>,
    /// The router of the process that runs; its door keeps it.
    running: Weak<Router>,
    /// The newest table that it ever had.
    saved: Arc<Mutex<RoutingTable>>,
}

impl RouterHost {
    /// One that has never run, with a first table.
    pub fn new(id: HostId, seed: u64, table: RoutingTable) -> Self {
        let seed = mixed(seed ^ mixed(id as u64));
        Self { id, seed, lives: 0, up: None, running: Weak::new(), saved: Arc::new(Mutex::new(table)) }
    }

    /// Powers up and serves.
    pub fn start(&mut self, now: u64, wires: &Wires) {
        self.lives += 1;
        let up = Up::bare(now, mixed(self.seed ^ self.lives));
        let dial = Exchange { host: self.id, wires: wires.clone(), clock: up.clock.clone() };
        let (env, saved) = (up.env.clone(), self.saved.lock().clone());
        let router = up.runtime.block_on(async move {
            let upstreams = Upstreams::over(env.clone(), Arc::new(dial));
            Router::new(env, Vec::new(), saved, upstreams, Live::default())
        });
        drop(up.door.set(door(&router)));
        self.running = Arc::downgrade(&router);
        self.up = Some(up);
    }

    /// Goes down.
    pub fn stop(&mut self) {
        self.up = None;
    }

    /// Sends it a table, which takes so many milliseconds.
    pub fn tell(&self, table: RoutingTable, delay: u64, wires: &Wires) {
        let (running, saved) = (Weak::clone(&self.running), Arc::clone(&self.saved));
        let label = format!("table {}", table.version);
        let act = Act::End(Box::new(move || {
            // Its process has ended: the next one is told anew.
            let Some(router) = running.upgrade() else { return };
            if router.table.replace(table.clone()).is_ok() {
                router.table.heard(true);
                *saved.lock() = table;
            }
        }));
        wires.send_late(Message { from: CLIENTS, to: self.id, label, act, of: None }, delay);
    }
}

/// How it serves a client's connection: as its listener does.
fn door(router: &Arc<Router>) -> Door {
    let (env, handler) = (router.env.clone(), Arc::clone(router).handler());
    Arc::new(move |line| {
        let (env, handler, caller) = (env.clone(), handler.clone(), line.caller());
        Box::pin(async move {
            serve_connection(&env, line, address(S3_PORT, caller), &Options::new("s3"), handler).await;
        })
    })
}

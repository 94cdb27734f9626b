//! One node of a cell: its address, what it is busy with, how fast and how well it is.

use super::{health::Health, latency::Latency};
use crate::limits;
use bulkhead_model::routing::NodeRoute;
use http::uri::Authority;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// One node of a cell.
#[derive(Debug)]
pub struct Node {
    pub route: NodeRoute,
    pub authority: Authority,
    in_flight: AtomicUsize,
    pub latency: Latency,
    health: Mutex<Health>,
}

impl Node {
    pub(super) fn new(route: &NodeRoute) -> Self {
        Self {
            authority: Authority::try_from(route.s3.to_string()).expect("a socket address is an authority"),
            route: route.clone(),
            in_flight: AtomicUsize::new(0),
            latency: Latency::default(),
            health: Mutex::default(),
        }
    }

    /// How it is doing.
    pub fn health(&self) -> Health {
        *self.health.lock()
    }

    /// Changes how it is doing. Says whether that took it out of use.
    pub(super) fn change_health(&self, change: impl FnOnce(Health) -> Health) -> bool {
        let mut health = self.health.lock();
        let before = *health;
        *health = change(before);
        before == Health::Good && *health != Health::Good
    }

    /// Tries under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// It owes answers and has given none for a while.
    pub fn is_silent(&self, now: Duration) -> bool {
        self.in_flight() > 0 && self.latency.age(now) > limits::LEADER_SILENCE_MAX
    }

    /// Counts a try until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }
}

/// One try under way at a node.
#[derive(Debug)]
pub struct InFlight(Arc<Node>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

//! One node of a cell: its address, what it is busy with, what it owes, how fast and how well it is.

use super::{
    breaker::Circuit,
    guard::{Breaker, Pass},
    health::{Pace, Standing},
    latency::Latency,
};
use crate::limits;
use bulkhead_model::routing::NodeRoute;
use http::uri::Authority;
use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// One node of a cell. Times are since the start of the router, except where they are moments.
#[derive(Debug)]
pub struct Node {
    pub route: NodeRoute,
    pub authority: Authority,
    pub latency: Latency,
    pub breaker: Breaker,
    in_flight: AtomicUsize,
    /// Tries that wait for the beginning of an answer and have nothing more to send.
    owed: AtomicUsize,
    /// When it last began an answer, or began to owe one. Nanoseconds.
    heard: AtomicU64,
    /// When it last began an answer, to a request or a probe. Nanoseconds.
    answered: AtomicU64,
    reads: Latency,
    reads_since_judgement: AtomicU64,
    /// Judgements in a row that found it slow.
    slow_judgements: AtomicU32,
    probing: AtomicBool,
}

impl Node {
    pub(super) fn new(route: &NodeRoute) -> Self {
        Self {
            authority: Authority::try_from(route.s3.to_string()).expect("a socket address is an authority"),
            route: route.clone(),
            latency: Latency::default(),
            breaker: Breaker::new(&limits::NODE_BREAKER),
            in_flight: AtomicUsize::new(0),
            owed: AtomicUsize::new(0),
            heard: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            reads: Latency::default(),
            reads_since_judgement: AtomicU64::new(0),
            slow_judgements: AtomicU32::new(0),
            probing: AtomicBool::new(false),
        }
    }

    /// How its breaker stands beside those of its peers.
    pub fn standing(&self, now: Instant) -> Standing<'_> {
        let circuit = self.breaker.circuit();
        Standing { az: &self.route.az, circuit, admits: circuit == Circuit::CALM || self.breaker.admits(now) }
    }

    /// Tries under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// It owes answers and has begun none for a while.
    pub fn is_silent(&self, now: Duration) -> bool {
        let since = || now.saturating_sub(Duration::from_nanos(self.heard.load(Ordering::Relaxed)));
        self.owed.load(Ordering::Relaxed) > 0 && since() > limits::SILENCE_MAX
    }

    /// Counts a try until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>, pass: Pass) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight { node: Arc::clone(self), pass }
    }

    /// It owes an answer until the guard is dropped.
    pub(super) fn owe(&self, now: Duration) -> Owed<'_> {
        if self.owed.fetch_add(1, Ordering::Relaxed) == 0 {
            self.heard.store(nanoseconds(now), Ordering::Relaxed);
        }
        Owed(self)
    }

    /// It has begun an answer.
    pub(super) fn hear(&self, now: Duration) {
        self.heard.store(nanoseconds(now), Ordering::Relaxed);
        self.answered.store(nanoseconds(now), Ordering::Relaxed);
    }

    /// It has begun an answer after that.
    pub(super) fn answered_since(&self, then: Duration) -> bool {
        self.answered.load(Ordering::Relaxed) > nanoseconds(then)
    }

    /// Notes how long a read took.
    pub(super) fn observe_read(&self, took: Duration, now: Duration) {
        self.reads.observe(took.as_secs_f64(), now);
        self.reads_since_judgement.fetch_add(1, Ordering::Relaxed);
    }

    /// What is known of its reads.
    pub(super) fn pace(&self, now: Duration) -> Pace {
        Pace { mean: self.reads.seconds(now), samples: self.reads_since_judgement.load(Ordering::Relaxed) }
    }

    /// The mean of its reads as it was when it last had one, seconds; 0 when it had none.
    pub(super) fn usual_read(&self) -> f64 {
        self.reads.mean()
    }

    /// Notes a judgement. Says how many in a row have found it slow.
    pub(super) fn judged(&self, slow: bool) -> u32 {
        self.reads_since_judgement.store(0, Ordering::Relaxed);
        if slow {
            self.slow_judgements.fetch_add(1, Ordering::Relaxed) + 1
        } else {
            self.slow_judgements.store(0, Ordering::Relaxed);
            0
        }
    }

    /// Takes the right to probe it; one probe at a time.
    pub(super) fn may_probe(&self) -> bool {
        !self.probing.swap(true, Ordering::Relaxed)
    }

    /// Gives it back.
    pub(super) fn probe_ended(&self) {
        self.probing.store(false, Ordering::Relaxed);
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// One try under way at a node.
#[derive(Debug)]
pub struct InFlight {
    node: Arc<Node>,
    pass: Pass,
}

impl InFlight {
    /// The node.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }
}

impl Deref for InFlight {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.node.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.node.breaker.ended(self.pass);
    }
}

/// One answer that a node owes.
#[derive(Debug)]
pub(super) struct Owed<'a>(&'a Node);

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        self.0.owed.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Node {
        Node::new(&NodeRoute {
            node: bulkhead_model::NodeId(1),
            az: "az-a".parse().expect("a label"),
            s3: "127.0.0.1:1".parse().expect("an address"),
        })
    }

    #[test]
    fn silence_begins_when_an_answer_is_owed_and_ends_with_one() {
        let (node, second) = (node(), Duration::from_secs(1));
        assert!(!node.is_silent(second * 100), "it owes nothing");
        let _owed = node.owe(second * 100);
        assert!(!node.is_silent(second * 101) && node.is_silent(second * 102));
        let _another = node.owe(second * 102);
        assert!(node.is_silent(second * 102), "a further request is no answer");
        node.hear(second * 102);
        assert!(!node.is_silent(second * 103));
    }

    #[test]
    fn a_node_has_answered_when_it_did_and_not_when_it_was_asked() {
        let (node, second) = (node(), Duration::from_secs(1));
        let _owed = node.owe(second * 2);
        assert!(!node.answered_since(second));
        node.hear(second * 3);
        assert!(node.answered_since(second * 2) && !node.answered_since(second * 4));
    }
}

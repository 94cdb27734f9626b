//! Looks after the nodes: probes those that are left alone or suspected, finds those that are slow beside their peers, and opens
//! and tries the breakers of whole cells.
//!
//! A node is taken for silent only when it does not answer a probe either: in an election every node holds requests back, and
//! yet is well.

use super::{
    Node, Upstreams,
    body::TryBody,
    breaker::{Circuit, Why},
    cell::Cell,
    health,
};
use crate::limits;
use http::{Method, Request, Uri, header};
use std::sync::Arc;

impl Upstreams {
    /// Starts looking after the nodes.
    pub fn start_judging(self: Arc<Self>) {
        let stopping = self.env.tasks.stopping();
        self.env.clone().tasks.spawn("judge nodes", async move {
            let mut ticks = tokio::time::interval(limits::JUDGE_EVERY);
            while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
                for cell in self.cells.load_full().values() {
                    self.judge(cell);
                }
            }
        });
    }

    fn judge(self: &Arc<Self>, cell: &Arc<Cell>) {
        let (now, uptime) = (self.env.clock.now(), self.uptime());
        for node in &cell.nodes {
            if node.breaker.circuit().probe_is_due(now) || node.is_silent(uptime) {
                self.probe(cell, node);
            }
        }
        self.judge_pace(cell);
        cell.judge(now);
    }

    /// Leaves a node alone when several judgements in a row have found it slow.
    fn judge_pace(&self, cell: &Cell) {
        let (now, uptime) = (self.env.clock.now(), self.uptime());
        let paces: Vec<_> = cell.nodes.iter().map(|node| node.pace(uptime)).collect();
        let outlier = health::outlier(&paces);
        for (index, (node, pace)) in cell.nodes.iter().zip(&paces).enumerate() {
            let is_slow = outlier == Some(index);
            if pace.samples >= limits::SLOW_SAMPLES_MIN && node.judged(is_slow) >= limits::SLOW_JUDGEMENTS && is_slow {
                cell.trip(node, Why::Slow, now);
                cell.forget_leader(node.route.node);
            }
        }
    }

    /// Whether an answer of a node that is on trial for being slow was slow again.
    pub(super) fn is_slow_again(&self, cell: &Cell, node: &Node, seconds: f64) -> bool {
        let Circuit::HalfOpen { why: Why::Slow, .. } = node.breaker.circuit() else { return false };
        let uptime = self.uptime();
        let fastest = cell
            .nodes
            .iter()
            .filter(|peer| peer.route.node != node.route.node)
            .map(|peer| peer.pace(uptime).mean)
            .fold(f64::INFINITY, f64::min);
        health::is_slow(seconds, fastest)
    }

    /// Asks a node for a sign of life, unless it is being asked.
    pub fn probe(self: &Arc<Self>, cell: &Arc<Cell>, node: &Arc<Node>) {
        if !node.may_probe() {
            return;
        }
        let (upstreams, cell, node) = (Arc::clone(self), Arc::clone(cell), Arc::clone(node));
        self.env.tasks.spawn("probe", async move {
            let asked = tokio::time::timeout(limits::PROBE_PATIENCE, upstreams.send(upstreams.question(&node))).await;
            let answered = matches!(asked, Ok(Ok(_)));
            if answered {
                node.hear(upstreams.uptime());
            }
            cell.probed(&node, answered, upstreams.env.clock.now());
            node.probe_ended();
        });
    }

    /// Any answer to it will do. It is signed by nobody, and touches nothing.
    fn question(&self, node: &Node) -> Request<TryBody> {
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(node.authority.clone()).path_and_query("/");
        let mut request = Request::new(TryBody::Whole(None));
        *request.method_mut() = Method::HEAD;
        *request.uri_mut() = uri.build().expect("scheme, authority and path are all there and valid");
        // The next probe is to show that a connection can be made, too.
        request.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        request
    }
}

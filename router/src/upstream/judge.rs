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
    pub(super) fn is_slow_again(cell: &Cell, node: &Node, seconds: f64) -> bool {
        let Circuit::HalfOpen { why: Why::Slow, .. } = node.breaker.circuit() else { return false };
        is_slow_beside_peers(cell, node, seconds)
    }

    /// Whether reads of a node have been slow of late, beside what is usual at its peers.
    pub(super) fn is_slow_of_late(&self, cell: &Cell, node: &Node) -> bool {
        is_slow_beside_peers(cell, node, node.pace(self.uptime()).mean)
    }

    /// Asks a node for a sign of life, unless it is being asked.
    pub fn probe(self: &Arc<Self>, cell: &Arc<Cell>, node: &Arc<Node>) {
        if !node.may_probe() {
            return;
        }
        let (upstreams, cell, node) = (Arc::clone(self), Arc::clone(cell), Arc::clone(node));
        self.env.tasks.spawn("probe", async move {
            let asked_at = upstreams.uptime();
            let asked = tokio::time::timeout(limits::PROBE_PATIENCE, upstreams.send(upstreams.question(&node))).await;
            let answered = matches!(asked, Ok(Ok(_)));
            if answered {
                node.hear(upstreams.uptime());
            }
            // A probe may be late on a machine that is busy: whoever answers others meanwhile is there.
            if answered || !node.answered_since(asked_at) {
                cell.probed(&node, answered, upstreams.env.clock.now());
            }
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

/// Whether a read that takes so many seconds at a node is slow beside what is usual at its peers. Those of which nothing is known
/// judge nobody, and what is known of them does not fade: it would make every node look slow beside peers that rest.
fn is_slow_beside_peers(cell: &Cell, node: &Node, seconds: f64) -> bool {
    let peers = cell.nodes.iter().filter(|peer| peer.route.node != node.route.node);
    let known: Vec<f64> = peers.map(|peer| peer.usual_read()).filter(|mean| *mean > 0.0).collect();
    health::median(known).is_some_and(|median| health::is_slow(seconds, median))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::{NodeId, RoutingTable, routing::NodeRoute};
    use bulkhead_service::Env;
    use std::time::Duration;

    #[tokio::test]
    async fn a_node_is_slow_beside_peers_that_are_known_and_beside_no_others() {
        let upstreams = Upstreams::new(Env::for_tests(1), None);
        let nodes = (1..=3).map(|id| NodeRoute {
            node: NodeId(id),
            az: format!("az-{id}").parse().expect("a label"),
            s3: format!("127.0.0.1:{id}").parse().expect("an address"),
        });
        let mut table = RoutingTable::default();
        table.cells.insert("c1".parse().expect("a label"), nodes.collect());
        upstreams.reconcile(&table);
        let cell = upstreams.cell(&"c1".parse().expect("a label")).expect("in the table");
        let [node, peer, _] = cell.nodes.as_slice() else { panic!("three nodes") };
        assert!(!is_slow_beside_peers(&cell, node, 9.0), "nothing is known of its peers");
        peer.observe_read(Duration::from_millis(200), Duration::ZERO);
        assert!(!is_slow_beside_peers(&cell, node, 0.5));
        assert!(is_slow_beside_peers(&cell, node, 0.7));
    }
}

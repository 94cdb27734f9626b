//! The cells and their nodes, what is known of each, and the connections to them.
//!
//! What is known of a node outlives changes of the table: it is dropped only when the node leaves or moves to another address.

use super::{
    balance::{self, Candidate, Wish},
    body::TryBody,
    cell::{Cell, Standing},
    guard::Pass,
    health,
    node::{InFlight, Node},
};
use arc_swap::ArcSwap;
use bulkhead_model::{CellId, NodeId, RoutingTable};
use bulkhead_service::{Env, client};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// All cells, and the connections to them.
#[derive(Debug)]
pub struct Upstreams {
    pub(super) cells: ArcSwap<HashMap<CellId, Arc<Cell>>>,
    connections: legacy::Client<client::Connector, TryBody>,
    pub scheme: http::uri::Scheme,
    pub(super) env: Env,
    start: Instant,
}

impl Upstreams {
    /// No cells yet. Speaks TLS to all of them when `tls` is given.
    pub fn new(env: Env, tls: Option<rustls::ClientConfig>) -> Self {
        let scheme = if tls.is_some() { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP };
        let connections = client::pool(tls);
        let start = env.clock.now();
        Self { cells: ArcSwap::default(), connections, scheme, env, start }
    }

    /// Takes over the cells of a table.
    pub fn reconcile(&self, table: &RoutingTable) {
        let before = self.cells.load();
        let cells = table.cells.iter().map(|(id, routes)| {
            let known = before.get(id);
            let nodes = routes.iter().map(|route| {
                let same = known.and_then(|cell| cell.nodes.iter().find(|node| node.route == *route));
                same.map_or_else(|| Arc::new(Node::new(route)), Arc::clone)
            });
            let nodes = nodes.collect();
            let standing = known.map_or_else(|| Arc::new(Standing::new(&self.env)), |cell| cell.standing());
            (id.clone(), Arc::new(Cell::new(id.clone(), nodes, standing)))
        });
        self.cells.store(Arc::new(cells.collect()));
    }

    /// A cell by its id.
    pub fn cell(&self, id: &CellId) -> Option<Arc<Cell>> {
        self.cells.load().get(id).cloned()
    }

    /// Sends one try. The answer's head is returned whatever its status.
    ///
    /// # Errors
    /// When no answer began.
    pub async fn send(&self, request: Request<TryBody>) -> Result<Response<Incoming>, legacy::Error> {
        self.connections.request(request).await
    }

    /// The node for the next try, `None` when the cell has no nodes. `tried` are the nodes that have had one.
    pub fn choose(&self, cell: &Cell, tried: &[NodeId], wish: Wish) -> Option<InFlight> {
        let (now, uptime) = (self.env.clock.now(), self.uptime());
        let standings: Vec<_> = cell.nodes.iter().map(|node| node.standing(now)).collect();
        let leader = cell.leader();
        let candidates: Vec<Candidate> = cell
            .nodes
            .iter()
            .enumerate()
            .map(|(index, node)| {
                let usable = health::is_usable(&standings, index) && !node.is_silent(uptime);
                Candidate {
                    usable,
                    tried: tried.contains(&node.route.node),
                    is_leader: node.route.node.0 == leader,
                    is_on_trial: standings[index].is_on_trial(),
                    latency: node.latency.seconds(uptime),
                    in_flight: node.in_flight(),
                }
            })
            .collect();
        let index = balance::choose(&candidates, wish, |bound| self.env.rng.below(bound))?;
        let node = cell.nodes.get(index)?;
        // Between the look and the choice others may have taken the room of a trial.
        let pass: Pass = node.breaker.pass(now).unwrap_or_else(|| node.breaker.force(now));
        Some(node.begin(pass))
    }

    /// Notes how long a node took to begin an answer.
    pub fn observe(&self, cell: &Cell, node: &Node, is_read: bool, took: Duration) {
        let uptime = self.uptime();
        node.latency.observe(took.as_secs_f64(), uptime);
        if is_read {
            node.observe_read(took, uptime);
            if self.is_slow_again(cell, node, took.as_secs_f64()) {
                cell.trip(node, super::breaker::Why::Slow, self.env.clock.now());
            }
        }
    }

    /// Notes that an answer has begun.
    pub(super) fn heard(&self, cell: &Cell, node: &Node) {
        node.hear(self.uptime());
        cell.answered(node, self.env.clock.now());
    }

    pub(super) fn uptime(&self) -> Duration {
        self.env.clock.now().saturating_duration_since(self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::breaker::Why, *};
    use bulkhead_model::{headers, routing::NodeRoute};
    use http::HeaderMap;

    const ANY: Wish = Wish { leader: false, trial: false };

    fn unreachable(upstreams: &Upstreams, cell: &Cell, index: usize) {
        cell.trip(&cell.nodes[index], Why::Unreachable, upstreams.env.clock.now());
    }

    fn table(addresses: &[&str]) -> RoutingTable {
        let nodes = addresses.iter().zip(1..).map(|(address, id)| NodeRoute {
            node: NodeId(id),
            az: format!("az-{id}").parse().expect("a label"),
            s3: address.parse().expect("an address"),
        });
        let mut table = RoutingTable::default();
        table.cells.insert("c1".parse().expect("a label"), nodes.collect());
        table
    }

    fn upstreams(addresses: &[&str]) -> (Upstreams, Arc<Cell>) {
        let upstreams = Upstreams::new(Env::for_tests(1), None);
        upstreams.reconcile(&table(addresses));
        let cell = upstreams.cell(&"c1".parse().expect("a label")).expect("in the table");
        (upstreams, cell)
    }

    fn says(word: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(headers::NODE), word.parse().expect("a value"))])
    }

    #[tokio::test]
    async fn what_is_known_of_a_node_survives_a_new_table() {
        let (upstreams, cell) = upstreams(&["127.0.0.1:1", "127.0.0.1:2"]);
        unreachable(&upstreams, &cell, 0);
        unreachable(&upstreams, &cell, 1);
        upstreams.reconcile(&table(&["127.0.0.1:1", "127.0.0.1:3"]));
        let cell = upstreams.cell(&cell.id).expect("in the table");
        let now = upstreams.env.clock.now();
        assert!(!cell.nodes[0].breaker.admits(now));
        assert!(cell.nodes[1].breaker.admits(now), "another address is another node");
    }

    #[tokio::test]
    async fn small_writes_follow_the_leader() {
        let (upstreams, cell) = upstreams(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
        let (upstreams, cell) = (&upstreams, &cell);
        let chosen = |leader| {
            let wish = Wish { leader, trial: false };
            (0..50).map(move |_| upstreams.choose(cell, &[], wish).expect("a node").route.node.0)
        };
        cell.hear(NodeId(2), &says("2 leader"));
        assert!(chosen(true).all(|node| node == 2));
        assert!(chosen(false).any(|node| node != 2));
        cell.hear(NodeId(2), &says("2 follower"));
        assert!(chosen(true).any(|node| node != 2));
    }

    #[tokio::test]
    async fn a_node_that_is_left_alone_gets_no_request() {
        let (upstreams, cell) = upstreams(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
        unreachable(&upstreams, &cell, 1);
        let mut chosen = (0..50).map(|_| upstreams.choose(&cell, &[], ANY).expect("a node").route.node.0);
        assert!(chosen.all(|node| node != 2));
    }

    #[tokio::test]
    async fn a_node_that_is_back_gets_one_request_at_a_time_until_it_has_answered_some() {
        let (upstreams, cell) = upstreams(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
        unreachable(&upstreams, &cell, 1);
        cell.probed(&cell.nodes[1], true, upstreams.env.clock.now());
        let wish = Wish { leader: false, trial: true };
        let at_once: Vec<_> = (0..50).map(|_| upstreams.choose(&cell, &[], wish).expect("a node")).collect();
        assert_eq!(at_once.iter().filter(|chosen| chosen.route.node.0 == 2).count(), 1);
    }

    #[tokio::test]
    async fn a_node_that_owes_answers_for_long_gets_no_request() {
        tokio::time::pause();
        let (upstreams, cell) = upstreams(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
        let _owed = cell.nodes[1].owe(upstreams.uptime());
        tokio::time::advance(crate::limits::SILENCE_MAX + Duration::from_millis(1)).await;
        assert!((0..50).all(|_| upstreams.choose(&cell, &[], ANY).expect("a node").route.node.0 != 2));
    }
}

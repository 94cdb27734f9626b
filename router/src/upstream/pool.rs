//! The cells and their nodes, what is known of each, and the connections to them.
//!
//! What is known of a node outlives changes of the table: it is dropped only when the node leaves or moves to another address.

use super::{
    balance::{self, Candidate},
    body::TryBody,
    health,
    node::Node,
    retry::Budget,
};
use crate::limits;
use arc_swap::ArcSwap;
use bulkhead_model::{CellId, NodeId, RoutingTable, headers};
use bulkhead_service::{Env, client};
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpStream, sync::Semaphore, time::Instant};

/// No node has this id, so that it can stand for "not known" in an atomic.
const NOBODY: u64 = u64::MAX;

/// All cells, and the connections to them.
#[derive(Debug)]
pub struct Upstreams {
    cells: ArcSwap<HashMap<CellId, Arc<Cell>>>,
    connections: legacy::Client<client::Connector, TryBody>,
    pub scheme: http::uri::Scheme,
    env: Env,
    start: Instant,
}

/// One cell.
#[derive(Debug)]
pub struct Cell {
    pub id: CellId,
    pub nodes: Vec<Arc<Node>>,
    standing: Arc<Standing>,
}

/// What is known of a cell as a whole.
#[derive(Debug)]
struct Standing {
    /// The leader, by its own last word.
    leader: AtomicU64,
    budget: Budget,
    slots: Arc<Semaphore>,
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
            let standing = known.map_or_else(|| Arc::new(Standing::new(&self.env)), |cell| Arc::clone(&cell.standing));
            (id.clone(), Arc::new(Cell { id: id.clone(), nodes, standing }))
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
    pub fn choose(&self, cell: &Cell, tried: &[NodeId], prefer_leader: bool) -> Option<Arc<Node>> {
        let now = self.uptime();
        let health: Vec<_> = cell.nodes.iter().map(|node| (&node.route.az, node.health())).collect();
        let usable = health::usable(&health);
        let leader = cell.standing.leader.load(Ordering::Relaxed);
        let candidates: Vec<Candidate> = cell
            .nodes
            .iter()
            .zip(usable)
            .map(|(node, usable)| Candidate {
                usable,
                tried: tried.contains(&node.route.node),
                is_leader: node.route.node.0 == leader && !node.is_silent(now),
                latency: node.latency.seconds(now),
                in_flight: node.in_flight(),
            })
            .collect();
        let index = balance::choose(&candidates, prefer_leader, |bound| self.env.rng.below(bound))?;
        cell.nodes.get(index).cloned()
    }

    /// Notes how long a node took to begin an answer.
    pub fn observe(&self, node: &Node, took: Duration) {
        node.latency.observe(took.as_secs_f64(), self.uptime());
    }

    /// Notes that a node could not be reached.
    pub fn unreachable(&self, cell: &Cell, node: &Node) {
        let now = self.env.clock.now();
        if node.change_health(|health| health.unreachable(now)) {
            tracing::warn!(cell = %cell.id, node = %node.route.node, address = %node.route.s3, "a node is left alone");
        }
    }

    /// Starts looking after nodes that are left alone.
    pub fn start_probing(self: Arc<Self>) {
        let stopping = self.env.tasks.stopping();
        self.env.clone().tasks.spawn("probe nodes", async move {
            let mut ticks = tokio::time::interval(limits::PROBE_EVERY);
            while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
                let cells = self.cells.load_full();
                let probes = cells.values().flat_map(|cell| cell.nodes.iter().map(|node| self.probe(cell, node)));
                futures::future::join_all(probes).await;
            }
        });
    }

    async fn probe(&self, cell: &Cell, node: &Node) {
        if !node.health().probe_is_due(self.env.clock.now()) {
            return;
        }
        let connected = tokio::time::timeout(limits::PROBE_PATIENCE, TcpStream::connect(node.route.s3)).await;
        let reached = matches!(connected, Ok(Ok(_)));
        let now = self.env.clock.now();
        node.change_health(|health| health.probed(reached, now));
        if reached {
            tracing::info!(cell = %cell.id, node = %node.route.node, "a node is back");
        }
    }

    fn uptime(&self) -> Duration {
        self.env.clock.now().saturating_duration_since(self.start)
    }
}

impl Standing {
    fn new(env: &Env) -> Self {
        Self {
            leader: AtomicU64::new(NOBODY),
            budget: Budget::new(env.clock.now()),
            slots: Arc::new(Semaphore::new(limits::IN_FLIGHT_PER_CELL_MAX)),
        }
    }
}

impl Cell {
    /// The cell's retries.
    pub fn budget(&self) -> &Budget {
        &self.standing.budget
    }

    /// The cell's share of this router's slots.
    pub fn slots(&self) -> Arc<Semaphore> {
        Arc::clone(&self.standing.slots)
    }

    /// Takes a node's word on whether it leads from the headers of its answer.
    pub fn hear(&self, node: NodeId, answer: &HeaderMap) {
        let Some(word) = answer.get(headers::NODE).and_then(|value| value.to_str().ok()) else { return };
        let leads = word.ends_with(" leader");
        let leader = &self.standing.leader;
        if leads {
            leader.store(node.0, Ordering::Relaxed);
        } else {
            self.forget_leader(node);
        }
    }

    /// The node no longer leads, as far as can be told.
    pub fn forget_leader(&self, node: NodeId) {
        // It fails when another node is thought to lead, and that stays so.
        let _ = self.standing.leader.compare_exchange(node.0, NOBODY, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::health::Health, *};
    use bulkhead_model::routing::NodeRoute;

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
        upstreams.unreachable(&cell, &cell.nodes[0]);
        upstreams.unreachable(&cell, &cell.nodes[1]);
        upstreams.reconcile(&table(&["127.0.0.1:1", "127.0.0.1:3"]));
        let cell = upstreams.cell(&cell.id).expect("in the table");
        assert_ne!(cell.nodes[0].health(), Health::Good);
        assert_eq!(cell.nodes[1].health(), Health::Good, "another address is another node");
    }

    #[tokio::test]
    async fn small_writes_follow_the_leader() {
        let (upstreams, cell) = upstreams(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
        let (upstreams, cell) = (&upstreams, &cell);
        let chosen = |prefer| (0..50).map(move |_| upstreams.choose(cell, &[], prefer).expect("a node").route.node.0);
        cell.hear(NodeId(2), &says("2 leader"));
        assert!(chosen(true).all(|node| node == 2));
        assert!(chosen(false).any(|node| node != 2));
        cell.hear(NodeId(2), &says("2 follower"));
        assert!(chosen(true).any(|node| node != 2));
    }

    #[tokio::test]
    async fn a_node_that_is_left_alone_gets_no_request() {
        let (upstreams, cell) = upstreams(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
        upstreams.unreachable(&cell, &cell.nodes[1]);
        let mut chosen = (0..50).map(|_| upstreams.choose(&cell, &[], false).expect("a node").route.node.0);
        assert!(chosen.all(|node| node != 2));
    }
}

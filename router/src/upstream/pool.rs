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
use crate::limits;
use arc_swap::ArcSwap;
use bulkhead_model::{AccountId, CellId, NodeId, RoutingTable};
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
        Self::with(env, scheme, client::Connector::network(tls))
    }

    /// No cells yet. `dial` opens the connections to them, with no network in between.
    pub fn over(env: Env, dial: Arc<dyn client::Dial>) -> Self {
        Self::with(env, http::uri::Scheme::HTTP, client::Connector::Other(dial))
    }

    fn with(env: Env, scheme: http::uri::Scheme, connector: client::Connector) -> Self {
        let connections = client::pool(connector, Some(limits::UPSTREAM_BUFFER_BYTES));
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

    /// The node for the next try of a request of `account`, `None` when the cell has no nodes. `tried` are the nodes that have had
    /// one.
    pub fn choose(&self, cell: &Cell, account: AccountId, tried: &[NodeId], wish: Wish) -> Option<InFlight> {
        let (now, uptime) = (self.env.clock.now(), self.uptime());
        let standings: Vec<_> = cell.nodes.iter().map(|node| node.standing(now)).collect();
        let (leader, hand) = (cell.leader(), cell.hand(account));
        let candidates: Vec<Candidate> = cell
            .nodes
            .iter()
            .enumerate()
            .map(|(index, node)| {
                let id = node.route.node;
                let in_hand = hand.as_ref().is_none_or(|hand| hand.values().any(|dealt| *dealt == id));
                // A leader that is slow is led around where that is possible: it may hand over, or be found out.
                let is_leader = in_hand && id.0 == leader && !self.is_slow_of_late(cell, node);
                Candidate {
                    usable: health::is_usable(&standings, index) && !node.is_silent(uptime),
                    is_alive: standings[index].is_alive(),
                    in_hand,
                    tried: tried.contains(&id),
                    is_leader,
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
            if Self::is_slow_again(cell, node, took.as_secs_f64()) {
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
    use std::collections::BTreeSet;

    const ANY: Wish = Wish { leader: false, trial: false, explore: false };

    fn account(n: u64) -> AccountId {
        AccountId::new(AccountId::FIRST + n).expect("in range")
    }

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
            let wish = Wish { leader, ..ANY };
            (0..50).map(move |_| upstreams.choose(cell, account(0), &[], wish).expect("a node").route.node.0)
        };
        cell.hear(NodeId(2), &says("2 leader"));
        assert!(chosen(true).all(|node| node == 2));
        assert!(chosen(false).any(|node| node != 2));
        cell.hear(NodeId(2), &says("2 follower"));
        assert!(chosen(true).any(|node| node != 2));
    }

    #[tokio::test]
    async fn a_leader_whose_reads_are_slow_beside_its_peers_is_not_preferred() {
        let (upstreams, cell) = upstreams(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
        cell.hear(NodeId(2), &says("2 leader"));
        for (node, millis) in cell.nodes.iter().zip([5, 500, 5]) {
            node.observe_read(Duration::from_millis(millis), upstreams.uptime());
        }
        let wish = Wish { leader: true, ..ANY };
        let mut chosen = (0..50).map(|_| upstreams.choose(&cell, account(0), &[], wish).expect("a node").route.node.0);
        assert!(chosen.any(|node| node != 2));
    }

    #[tokio::test]
    async fn an_accounts_requests_go_to_its_hand_and_fall_open_when_all_of_it_is_dead() {
        let mut table = RoutingTable::default();
        let nodes = (1..=9_u64).map(|id| NodeRoute {
            node: NodeId(id),
            az: format!("az-{}", id % 3).parse().expect("a label"),
            s3: format!("127.0.0.1:{id}").parse().expect("an address"),
        });
        table.cells.insert("c1".parse().expect("a label"), nodes.collect());
        let upstreams = Upstreams::new(Env::for_tests(1), None);
        upstreams.reconcile(&table);
        let cell = upstreams.cell(&"c1".parse().expect("a label")).expect("in the table");
        let hand: BTreeSet<u64> = cell.hand(account(0)).expect("dealt").values().map(|node| node.0).collect();
        let chosen = || -> BTreeSet<u64> {
            (0..200).map(|_| upstreams.choose(&cell, account(0), &[], ANY).expect("a node").route.node.0).collect()
        };
        assert_eq!((hand.len(), chosen()), (3, hand.clone()));
        let mut left = hand.clone();
        for dead in &hand {
            assert_eq!(chosen(), left);
            unreachable(&upstreams, &cell, (*dead - 1) as usize);
            left.remove(dead);
        }
        let others = chosen();
        assert!(others.len() > 1 && others.is_disjoint(&hand), "{others:?}");
    }

    #[tokio::test]
    async fn a_node_that_is_left_alone_gets_no_request() {
        let (upstreams, cell) = upstreams(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
        unreachable(&upstreams, &cell, 1);
        let mut chosen = (0..50).map(|_| upstreams.choose(&cell, account(0), &[], ANY).expect("a node").route.node.0);
        assert!(chosen.all(|node| node != 2));
    }

    #[tokio::test]
    async fn a_node_that_is_back_gets_one_request_at_a_time_until_it_has_answered_some() {
        let (upstreams, cell) = upstreams(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
        unreachable(&upstreams, &cell, 1);
        cell.probed(&cell.nodes[1], true, upstreams.env.clock.now());
        let wish = Wish { trial: true, ..ANY };
        let at_once: Vec<_> =
            (0..50).map(|_| upstreams.choose(&cell, account(0), &[], wish).expect("a node")).collect();
        assert_eq!(at_once.iter().filter(|chosen| chosen.route.node.0 == 2).count(), 1);
    }

    #[tokio::test]
    async fn a_node_that_owes_answers_for_long_gets_no_request() {
        tokio::time::pause();
        let (upstreams, cell) = upstreams(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
        let _owed = cell.nodes[1].owe(upstreams.uptime());
        tokio::time::advance(limits::SILENCE_MAX + Duration::from_millis(1)).await;
        assert!((0..50).all(|_| upstreams.choose(&cell, account(0), &[], ANY).expect("a node").route.node.0 != 2));
    }
}

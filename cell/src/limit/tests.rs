//! The nodes of a cell as its accounts meet them: together they let through what the limit says.

use super::*;
use bulkhead_service::env::Clock;

fn account(n: u64) -> AccountId {
    AccountId::new(AccountId::FIRST + n).expect("in range")
}

/// Nodes that lend to each other whenever the test says so. Time is tokio's, paused.
struct Cell {
    nodes: Vec<Limiter>,
    limits: Arc<Mutex<Limits>>,
}

impl Cell {
    async fn of(nodes: u32, limits: Limits) -> Self {
        let limits = Arc::new(Mutex::new(limits));
        let limiter = |_| {
            let limits = Arc::clone(&limits);
            let limiter = Limiter::new(Arc::new(move |_| *limits.lock()), Clock::system());
            limiter.0.nodes.store(nodes, Ordering::Relaxed);
            limiter
        };
        let cell = Self { nodes: (0..nodes).map(limiter).collect(), limits: Arc::clone(&limits) };
        // Past the start, when nobody knows what was lent before.
        tokio::time::advance(LOAN_LENT).await;
        cell
    }

    /// One round: every node asks every other.
    fn exchange(&self) {
        for (node, limiter) in self.nodes.iter().enumerate() {
            let (asked, demands) = (limiter.0.clock.now(), limiter.close_round());
            for (peer, other) in self.nodes.iter().enumerate().filter(|(peer, _)| *peer != node) {
                let loans = other.lend(NodeId(node as u64 + 1), demands.clone());
                limiter.borrow(NodeId(peer as u64 + 1), loans, asked);
            }
        }
    }

    /// Offers so many writes a second to each node, evenly spread, for so many seconds. Answers how many passed on each.
    async fn offer(&self, per_second: &[u64], seconds: u64) -> Vec<u64> {
        const STEPS: u64 = 50;
        let mut passed = vec![0; self.nodes.len()];
        for step in 0..seconds * STEPS {
            for (node, limiter) in self.nodes.iter().enumerate() {
                let due = per_second[node] * (step + 1) / STEPS - per_second[node] * step / STEPS;
                passed[node] +=
                    (0..due).filter(|_| limiter.enter(account(1), Dimension::Writes, 0).is_ok()).count() as u64;
            }
            tokio::time::advance(Duration::from_millis(1_000 / STEPS)).await;
            if step % STEPS == STEPS - 1 {
                self.exchange();
            }
        }
        passed
    }
}

fn fifty() -> Limits {
    Limits { write_requests: 50, ..Limits::default() }
}

#[tokio::test(start_paused = true)]
async fn the_nodes_of_a_cell_together_let_through_the_limit_and_one_burst() {
    for offered in [[200, 200, 200], [600, 0, 0], [500, 50, 0], [0, 10, 590]] {
        let cell = Cell::of(3, fifty()).await;
        let passed: u64 = cell.offer(&offered, 10).await.into_iter().sum();
        assert!(passed <= 50 * 10 + 50 + 3, "{offered:?}: {passed} passed");
        assert!(passed >= 50 * 10 * 8 / 10, "{offered:?}: {passed} passed");
    }
}

#[tokio::test(start_paused = true)]
async fn the_share_follows_the_traffic_and_comes_back_when_peers_fall_silent() {
    let cell = Cell::of(3, fifty()).await;
    cell.offer(&[500, 0, 0], 5).await;
    let share = |cell: &Cell| {
        let (now, table) = (cell.nodes[0].0.clock.now(), cell.nodes[0].0.table.lock());
        table.accounts[&account(1)].ledger.share(Dimension::Writes, 3, now)
    };
    assert!(share(&cell) > WHOLE * 9 / 10, "{}", share(&cell));
    tokio::time::advance(LOAN_LENT).await;
    assert_eq!(share(&cell), share::equal(3));
    let moved = cell.offer(&[0, 500, 0], 10).await;
    assert!(moved[1] > 50 * 10 / 2, "{moved:?}");
}

#[tokio::test(start_paused = true)]
async fn a_changed_limit_holds_within_a_look() {
    let cell = Cell::of(1, fifty()).await;
    cell.offer(&[500], 2).await;
    cell.limits.lock().write_requests = 200;
    tokio::time::advance(LIMITS_LOOK).await;
    let passed = cell.offer(&[500], 4).await[0];
    assert!((780..=1_000).contains(&passed), "{passed}");
}

#[tokio::test(start_paused = true)]
async fn one_account_s_excess_is_no_other_s() {
    let cell = Cell::of(3, fifty()).await;
    cell.offer(&[500, 500, 500], 2).await;
    for limiter in &cell.nodes {
        assert!((0..10).any(|_| limiter.enter(account(1), Dimension::Writes, 0).is_err()));
        assert!(limiter.enter(account(2), Dimension::Writes, 0).is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_repetition_is_let_in_over_the_limit_and_what_it_takes_is_owed() {
    let cell = Cell::of(1, Limits { write_requests: 10, ..Limits::default() }).await;
    let node = &cell.nodes[0];
    let until_refused = || (0..1_000).find_map(|_| node.enter(account(1), Dimension::Writes, 0).err());
    assert!(matches!(until_refused(), Some(Refused::Over(_))));
    let again: Vec<_> = (0..20).map(|_| node.readmit(account(1), Dimension::Writes, 0)).collect();
    assert!(again.iter().all(Result::is_ok));
    tokio::time::advance(Duration::from_millis(1_900)).await;
    assert!(node.enter(account(1), Dimension::Writes, 0).is_err(), "two seconds' worth is owed");
    tokio::time::advance(Duration::from_millis(300)).await;
    assert!(node.enter(account(1), Dimension::Writes, 0).is_ok());
}

#[tokio::test(start_paused = true)]
async fn uploads_that_begin_together_are_charged_before_they_flow() {
    let cell = Cell::of(1, Limits { bytes_in: 1 << 20, ..Limits::default() }).await;
    let enter = || cell.nodes[0].enter(account(1), Dimension::Writes, 4 << 20);
    let first = enter().expect("nothing is owed");
    assert!(enter().is_err(), "the first will bring four seconds' worth");
    assert!(first.came(1 << 20) > Duration::from_millis(300), "no more than what is free comes at once");
    drop(first);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(enter().is_ok(), "what did not come is given back");
}

#[tokio::test(start_paused = true)]
async fn accounts_that_are_idle_leave_and_the_table_is_bounded() {
    let cell = Cell::of(1, fifty()).await;
    for n in 0..ACCOUNTS_ACTIVE_MAX as u64 {
        assert!(cell.nodes[0].enter(account(n), Dimension::Reads, 0).is_ok());
    }
    let another = account(ACCOUNTS_ACTIVE_MAX as u64);
    assert_eq!(cell.nodes[0].enter(another, Dimension::Reads, 0).err(), Some(Refused::TooManyAccounts));
    for _ in 0..12 {
        tokio::time::advance(Duration::from_secs(1)).await;
        cell.exchange();
    }
    assert_eq!(cell.nodes[0].active(), 0);
    assert!(cell.nodes[0].enter(another, Dimension::Reads, 0).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_just_begun_takes_only_what_it_never_lends() {
    let limiter = Limiter::new(Arc::new(|_| fifty()), Clock::system());
    limiter.0.nodes.store(3, Ordering::Relaxed);
    let passed =
        |limiter: &Limiter| (0..100).filter(|_| limiter.enter(account(1), Dimension::Writes, 0).is_ok()).count();
    assert!(passed(&limiter) <= 2, "a floor of 3% of 50");
    tokio::time::advance(LOAN_LENT + Duration::from_secs(1)).await;
    assert!((16..=17).contains(&passed(&limiter)), "a third of 50");
}

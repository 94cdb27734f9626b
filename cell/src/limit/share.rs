//! A node's share of an account's limits: an equal part, of which it lends to the nodes where more of the traffic arrives.
//!
//! The shares of all nodes never sum to more than the whole, whatever messages are lost or late: a lender uses less from the
//! moment it lends, and a loan ends at the borrower before it ends at the lender. Who hears nothing is left with its equal part.
//! Pure: time is handed in.
//!
//! ```text
//!  own part ──lend──► less here, from now until LOAN_LENT has passed
//!                └──► more there, until LOAN_BORROWED after the borrower asked, which was earlier
//! ```

use crate::limits::{LIMIT_FLOOR_PARTS, LOAN_BORROWED, LOAN_LENT, LOANS_PER_PEER_MAX};
use bulkhead_model::{Limit, NodeId};
use tokio::time::Instant;

/// Millionths of a limit.
pub type Share = u32;

/// All of it.
pub const WHOLE: Share = 1_000_000;

/// A limit that is shared among the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    Reads,
    Writes,
    Lists,
    Deletes,
    BytesIn,
    BytesOut,
    Concurrent,
}

/// How many there are.
pub const DIMENSIONS: usize = 7;

/// A figure for each dimension, in the order of [`Dimension::ALL`].
pub type PerDimension = [u32; DIMENSIONS];

impl Dimension {
    /// All of them.
    pub const ALL: [Self; DIMENSIONS] =
        [Self::Reads, Self::Writes, Self::Lists, Self::Deletes, Self::BytesIn, Self::BytesOut, Self::Concurrent];

    /// Its place in a [`PerDimension`].
    pub fn index(self) -> usize {
        match self {
            Self::Reads => 0,
            Self::Writes => 1,
            Self::Lists => 2,
            Self::Deletes => 3,
            Self::BytesIn => 4,
            Self::BytesOut => 5,
            Self::Concurrent => 6,
        }
    }

    /// The limit that it is of.
    pub fn limit(self) -> Limit {
        match self {
            Self::Reads => Limit::ReadRequests,
            Self::Writes => Limit::WriteRequests,
            Self::Lists => Limit::ListRequests,
            Self::Deletes => Limit::DeleteRequests,
            Self::BytesIn => Limit::BytesIn,
            Self::BytesOut => Limit::BytesOut,
            Self::Concurrent => Limit::ConcurrentRequests,
        }
    }
}

/// The part that each of `nodes` nodes has of its own.
pub fn equal(nodes: u32) -> Share {
    WHOLE / nodes.max(1)
}

/// What a node never lends, so that the first requests that arrive there are not all refused.
pub fn floor(nodes: u32) -> Share {
    equal(nodes) / LIMIT_FLOOR_PARTS
}

/// What serves a demand for a limit of `limit`, and half as much again: demand is known a round late.
fn need(demand: u32, limit: u64) -> u64 {
    u64::from(WHOLE) * u64::from(demand) * 3 / limit.max(1).saturating_mul(2)
}

/// What a node with demand `own` should lend to each of the others of `nodes`, by their demands for a limit of `limit`. While all
/// needs fit the limit, no more than what is needed and an equal part of the rest, so that each is left with something for traffic that
/// moves there. Else so much that every node that lends what it should leaves each with the floor and with the rest by demand.
pub fn lend(nodes: u32, own: u32, others: &[u32], limit: u64) -> Vec<Share> {
    let (equal, floor) = (u64::from(equal(nodes)), u64::from(floor(nodes)));
    let all = u64::from(own) + others.iter().map(|demand| u64::from(*demand)).sum::<u64>();
    if all == 0 {
        return vec![0; others.len()];
    }
    let needed = others.iter().map(|demand| need(*demand, limit)).fold(need(own, limit), u64::saturating_add);
    let rest = u64::from(WHOLE).checked_sub(needed).map(|rest| rest / u64::from(nodes.max(1)));
    let spread = (equal - floor) * u64::from(nodes.max(1));
    let target = |demand: u32| match rest {
        Some(rest) => (need(demand, limit) + rest).max(floor),
        None => floor + spread * u64::from(demand) / all,
    };
    let surplus = equal.saturating_sub(target(own));
    let missing: Vec<u64> = others.iter().map(|demand| target(*demand).saturating_sub(equal)).collect();
    let missing_in_all = missing.iter().sum::<u64>().max(1);
    let part = |missing: u64| Share::try_from((surplus * missing / missing_in_all).min(missing)).unwrap_or(0);
    missing.into_iter().map(part).collect()
}

/// What was lent to a peer, or borrowed from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Loan {
    peer: NodeId,
    amounts: PerDimension,
    until: Instant,
}

/// The loans of one account on one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Several for one peer: an earlier one that was larger counts until it has ended.
    lent: Vec<Loan>,
    /// At most one of each peer.
    borrowed: Vec<Loan>,
}

impl Ledger {
    /// This node's share now.
    pub fn share(&self, dimension: Dimension, nodes: u32, now: Instant) -> Share {
        let borrowed = self.borrowed.iter().filter(|loan| loan.until > now);
        let borrowed: Share = borrowed.map(|loan| loan.amounts[dimension.index()]).sum();
        let lent = self.lent_to_all_but(None, dimension, now);
        (equal(nodes).saturating_sub(lent).max(floor(nodes)) + borrowed).min(WHOLE)
    }

    /// Lends what is wanted, as far as it is still there. Answers what the peer may use from when it asked.
    pub fn lend(&mut self, peer: NodeId, wanted: PerDimension, nodes: u32, now: Instant) -> PerDimension {
        self.lent.retain(|loan| loan.until > now);
        if self.lent.iter().filter(|loan| loan.peer == peer).count() >= LOANS_PER_PEER_MAX {
            return [0; DIMENSIONS];
        }
        let mut amounts = [0; DIMENSIONS];
        for dimension in Dimension::ALL {
            let others = self.lent_to_all_but(Some(peer), dimension, now);
            let free = (equal(nodes) - floor(nodes)).saturating_sub(others);
            amounts[dimension.index()] = wanted[dimension.index()].min(free);
        }
        if amounts != [0; DIMENSIONS] {
            self.lent.push(Loan { peer, amounts, until: now + LOAN_LENT });
        }
        amounts
    }

    /// Takes what `peer` lent for a question asked at `asked`. It takes the place of what the peer lent before.
    pub fn borrow(&mut self, peer: NodeId, amounts: PerDimension, asked: Instant) {
        self.borrowed.retain(|loan| loan.peer != peer && loan.until > asked);
        if amounts != [0; DIMENSIONS] {
            self.borrowed.push(Loan { peer, amounts, until: asked + LOAN_BORROWED });
        }
    }

    /// Nothing is lent or borrowed.
    pub fn is_settled(&self, now: Instant) -> bool {
        self.lent.iter().chain(&self.borrowed).all(|loan| loan.until <= now)
    }

    fn lent_to_all_but(&self, except: Option<NodeId>, dimension: Dimension, now: Instant) -> Share {
        let mut most: Vec<(NodeId, Share)> = Vec::new();
        for loan in self.lent.iter().filter(|loan| loan.until > now && Some(loan.peer) != except) {
            let amount = loan.amounts[dimension.index()];
            match most.iter_mut().find(|(peer, _)| *peer == loan.peer) {
                Some((_, largest)) => *largest = amount.max(*largest),
                None => most.push((loan.peer, amount)),
            }
        }
        most.into_iter().map(|(_, amount)| amount).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::env::Clock;
    use proptest::prelude::*;
    use std::time::Duration;

    /// What every node is left with of a limit when all lend what they should.
    fn settled(demands: &[u32], limit: u64) -> Vec<u32> {
        let nodes = demands.len() as u32;
        let mut shares = vec![equal(nodes); demands.len()];
        for lender in 0..demands.len() {
            let others: Vec<usize> = (0..demands.len()).filter(|node| *node != lender).collect();
            let wants: Vec<u32> = others.iter().map(|node| demands[*node]).collect();
            for (node, amount) in others.iter().zip(lend(nodes, demands[lender], &wants, limit)) {
                shares[lender] -= amount;
                shares[*node] += amount;
            }
        }
        shares
    }

    #[test]
    fn shares_follow_demand_above_a_floor() {
        assert_eq!(thousandths(&[0, 0, 0], 100), [333, 333, 333]);
        assert_eq!(thousandths(&[50, 50, 50], 100), [333, 333, 333]);
        assert_eq!(thousandths(&[100, 0, 0], 100), [933, 33, 33]);
        assert_eq!(thousandths(&[300, 100, 0], 100), [708, 258, 33]);
    }

    fn thousandths(demands: &[u32], limit: u64) -> Vec<u32> {
        settled(demands, limit).into_iter().map(|share| (share + 500) / 1_000).collect()
    }

    #[test]
    fn a_low_demand_at_one_node_leaves_the_others_near_their_part() {
        assert_eq!(thousandths(&[5, 0, 0], 100), [383, 308, 308]);
        assert_eq!(thousandths(&[40, 0, 0], 100), [733, 133, 133]);
        assert_eq!(thousandths(&[20, 20, 20], 100), [333, 333, 333]);
        // What is left over is less than the floor.
        assert_eq!(thousandths(&[66, 0, 0], 100), [933, 33, 33]);
    }

    #[test]
    fn a_loan_ends_at_the_borrower_before_it_ends_at_the_lender() {
        let now = Clock::system().now();
        let (mut lender, mut borrower) = (Ledger::default(), Ledger::default());
        let lent = lender.lend(NodeId(2), [200_000; DIMENSIONS], 3, now);
        borrower.borrow(NodeId(1), lent, now);
        let shares = |at| {
            let of = |ledger: &Ledger| ledger.share(Dimension::Writes, 3, at);
            (of(&lender), of(&borrower))
        };
        assert_eq!(shares(now), (133_333, 533_333));
        assert_eq!(shares(now + LOAN_BORROWED), (133_333, 333_333));
        assert_eq!(shares(now + LOAN_LENT), (333_333, 333_333));
        assert!(lender.is_settled(now + LOAN_LENT) && borrower.is_settled(now + LOAN_LENT));
    }

    #[test]
    fn a_loan_that_is_renewed_for_less_counts_in_full_until_the_first_has_ended() {
        let now = Clock::system().now();
        let mut lender = Ledger::default();
        lender.lend(NodeId(2), [200_000; DIMENSIONS], 3, now);
        let second = now + Duration::from_secs(1);
        lender.lend(NodeId(2), [1_000; DIMENSIONS], 3, second);
        assert_eq!(lender.share(Dimension::Writes, 3, second), 133_333);
        assert_eq!(lender.share(Dimension::Writes, 3, now + LOAN_LENT), 332_333);
    }

    /// A message on its way, or none: lost.
    #[derive(Debug, Clone)]
    enum Step {
        Pass(u64),
        /// Node asks another; the answer comes after so many milliseconds, or never.
        Ask {
            from: usize,
            to: usize,
            answered_after: Option<u64>,
        },
        Demand {
            node: usize,
            demand: u32,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1u64..700).prop_map(Step::Pass),
            (0usize..3, 0usize..3, prop::option::of(0u64..900)).prop_map(|(from, to, answered_after)| Step::Ask {
                from,
                to,
                answered_after
            }),
            (0usize..3, 0u32..1_000).prop_map(|(node, demand)| Step::Demand { node, demand }),
        ]
    }

    proptest! {
        #[test]
        fn the_shares_of_all_nodes_are_never_more_than_the_whole(
            steps in prop::collection::vec(step(), 1..200),
            limit in 1u64..4_000,
        ) {
            let mut now = Clock::system().now();
            let mut ledgers = vec![Ledger::default(); 3];
            let mut demands = [0u32; 3];
            let mut answers: Vec<(Instant, usize, usize, PerDimension, Instant)> = Vec::new();
            for step in steps {
                match step {
                    Step::Pass(milliseconds) => now += Duration::from_millis(milliseconds),
                    Step::Demand { node, demand } => demands[node] = demand,
                    Step::Ask { from, to, .. } if from == to => {}
                    Step::Ask { from, to, answered_after } => {
                        let others: Vec<usize> = (0..3).filter(|node| *node != to).collect();
                        let wants: Vec<u32> = others.iter().map(|node| demands[*node]).collect();
                        let place = others.iter().position(|node| *node == from).expect("another");
                        let wanted = [lend(3, demands[to], &wants, limit)[place]; DIMENSIONS];
                        let lent = ledgers[to].lend(NodeId(from as u64), wanted, 3, now);
                        if let Some(after) = answered_after {
                            answers.push((now + Duration::from_millis(after), from, to, lent, now));
                        }
                    }
                }
                // A node asks another again only when it has its answer, or has given up.
                answers.sort_by_key(|answer| answer.0);
                while answers.first().is_some_and(|answer| answer.0 <= now) {
                    let (_, from, to, lent, asked) = answers.remove(0);
                    ledgers[from].borrow(NodeId(to as u64), lent, asked);
                }
                let sum: u64 = ledgers.iter().map(|ledger| u64::from(ledger.share(Dimension::Reads, 3, now))).sum();
                prop_assert!(sum <= u64::from(WHOLE), "{sum} at {now:?}: {ledgers:?}");
            }
        }

        #[test]
        fn nobody_is_left_with_less_than_the_floor_or_the_whole_with_more_than_it_is(
            demands in prop::collection::vec(0u32..1_000_000, 1..12),
            limit in 1u64..20_000_000,
        ) {
            let shares = settled(&demands, limit);
            prop_assert!(shares.iter().map(|share| u64::from(*share)).sum::<u64>() <= u64::from(WHOLE));
            prop_assert!(shares.iter().all(|share| *share >= floor(demands.len() as u32)));
        }
    }
}

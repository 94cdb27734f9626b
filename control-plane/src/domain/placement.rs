//! Which cell a new account goes to: candidates from a hash ring, then the one with the most headroom.
//!
//! The ring is computed by the proposer and travels in the command, so replicas of different builds cannot disagree
//! about it; only the comparison of headroom happens inside `apply`. Must not change by accident: see the golden vectors.

use crate::limits::{PLACEMENT_CANDIDATES, RING_POINTS, SOFT_LIMIT_PERCENT};
use bulkhead_model::{AccountId, CellId};
use consistent_hash::{DefaultHash, Node, StaticHashRing};

/// What a cell holds against what it may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Accounts reserved, those being created included.
    pub accounts: u64,
    /// Accounts the cell is declared to hold.
    pub capacity: u64,
}

impl Load {
    /// Accounts it takes before it is closed to new ones.
    pub fn soft_limit(self) -> u64 {
        self.capacity.saturating_mul(SOFT_LIMIT_PERCENT) / 100
    }

    /// Whether another account fits below the soft limit.
    pub fn has_room(self) -> bool {
        self.accounts < self.soft_limit()
    }

    /// Whether a larger share of this cell is free than of `other`. Exact: compares fractions without dividing.
    fn has_more_headroom_than(self, other: Self) -> bool {
        let free = |load: Self| u128::from(load.soft_limit().saturating_sub(load.accounts));
        free(self) * u128::from(other.soft_limit()) > free(other) * u128::from(self.soft_limit())
    }
}

/// The ring of some cells. Making it takes milliseconds where there are hundreds, so it is kept for as long as they stay the same.
#[derive(Debug)]
pub struct Ring {
    cells: Vec<CellId>,
    ring: StaticHashRing<'static, CellId, (), DefaultHash>,
}

impl Ring {
    pub fn of(eligible: &[CellId]) -> Self {
        let points = eligible.iter().map(|cell| Node::new(cell.clone()).quantity(RING_POINTS));
        Self { cells: eligible.to_vec(), ring: StaticHashRing::new(DefaultHash, points) }
    }

    /// Whether it is the ring of these cells, in this order.
    pub fn is_of(&self, eligible: &[CellId]) -> bool {
        self.cells == eligible
    }

    /// The cells to consider for `account`, in the order of the ring: the first [`PLACEMENT_CANDIDATES`].
    pub fn candidates(&self, account: AccountId) -> Vec<CellId> {
        let chosen = self.ring.calc_candidates(&account.value()).take(PLACEMENT_CANDIDATES);
        chosen.map(|node| node.key.clone()).collect()
    }
}

/// As [`Ring::candidates`], for one account.
pub fn candidates(account: AccountId, eligible: &[CellId]) -> Vec<CellId> {
    Ring::of(eligible).candidates(account)
}

/// The position of the candidate with room and the most headroom; the earlier one when equal. `None` when none has room.
pub fn choose(candidates: &[Load]) -> Option<usize> {
    let mut best: Option<(usize, Load)> = None;
    for (position, &load) in candidates.iter().enumerate().filter(|(_, load)| load.has_room()) {
        if best.is_none_or(|(_, leader)| load.has_more_headroom_than(leader)) {
            best = Some((position, load));
        }
    }
    best.map(|(position, _)| position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(value: u64) -> AccountId {
        AccountId::new(value).expect("twelve digits")
    }

    fn fleet(cells: usize) -> Vec<CellId> {
        (1..=cells).map(|n| format!("c{n}").parse().expect("a label")).collect()
    }

    #[test]
    fn the_ring_never_changes_by_accident() {
        let accounts = [100_000_000_000, 123_456_789_012, 555_555_555_555, 999_999_999_999];
        let chosen = accounts.map(|id| {
            let chosen = candidates(account(id), &fleet(8));
            chosen.iter().map(CellId::as_str).collect::<Vec<_>>().join(" ")
        });
        assert_eq!(chosen, ["c7 c1 c8", "c1 c7 c6", "c1 c5 c3", "c1 c2 c6"]);
    }

    #[test]
    fn a_ring_that_is_kept_answers_as_a_new_one() {
        let (ring, fleet) = (Ring::of(&fleet(8)), fleet(8));
        assert!(ring.is_of(&fleet) && !ring.is_of(&fleet[1..]));
        for id in 0..200 {
            let id = account(AccountId::FIRST + id * 4_321_987);
            assert_eq!(ring.candidates(id), candidates(id, &fleet), "account {id}");
        }
    }

    #[test]
    fn a_new_cell_takes_candidates_over_but_never_reorders_the_others() {
        let before = fleet(8);
        let after = fleet(9);
        for id in 0..200 {
            let id = account(AccountId::FIRST + id * 4_321_987);
            let old = candidates(id, &before);
            let mut new = candidates(id, &after);
            new.retain(|cell| cell.as_str() != "c9");
            assert_eq!(new[..], old[..new.len()], "account {id}");
        }
    }

    #[test]
    fn the_cell_with_the_most_headroom_wins_and_a_tie_keeps_the_order_of_the_ring() {
        let load = |accounts, capacity| Load { accounts, capacity };
        let table: [(&[Load], Option<usize>); 6] = [
            (&[], None),
            (&[load(70, 100)], None),
            (&[load(69, 100)], Some(0)),
            (&[load(5, 100), load(5, 100)], Some(0)),
            (&[load(6, 100), load(5, 100)], Some(1)),
            // 10 of 700 used is more headroom than 5 of 70, although more accounts are reserved.
            (&[load(5, 100), load(10, 1_000), load(700, 1_000)], Some(1)),
        ];
        for (loads, expected) in table {
            assert_eq!(choose(loads), expected, "{loads:?}");
        }
    }
}

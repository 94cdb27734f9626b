//! How much of a cell is left, in every dimension, and what follows from it. Pure.
//!
//! A cell is open to new accounts below its soft limits: a part of its throughput, so that what is left when an AZ is lost still
//! carries everything, and a part of everything that is held, so that the accounts it has may grow. What is used is the larger of
//! what was seen and what is reserved.

use crate::limits::{REOPEN_PERCENT, SOFT_LIMIT_PERCENT, SOFT_LIMIT_THROUGHPUT_PERCENT};
use bulkhead_model::api::control_plane::{CellState, ClosedBy, Dimension, Figures};

/// The part of a capacity up to which new accounts are taken, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoftLimits {
    pub held: u64,
    pub throughput: u64,
}

/// What every cell has.
pub const SOFT_LIMITS: SoftLimits = SoftLimits { held: SOFT_LIMIT_PERCENT, throughput: SOFT_LIMIT_THROUGHPUT_PERCENT };

/// What a cell holds against what it may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    pub used: Figures,
    pub capacity: Figures,
    pub soft: SoftLimits,
}

/// What is left below the soft limit of one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    pub dimension: Dimension,
    pub free: u64,
    pub of: u64,
}

impl Left {
    /// In thousandths of the soft limit.
    pub fn permille(self) -> u64 {
        let exact = u128::from(self.free) * 1_000 / u128::from(self.of.max(1));
        u64::try_from(exact).unwrap_or(u64::MAX)
    }

    /// Whether a larger share is left than of `other`. Exact: compares fractions without dividing.
    fn is_more_than(self, other: Self) -> bool {
        u128::from(self.free) * u128::from(other.of) > u128::from(other.free) * u128::from(self.of)
    }
}

impl Load {
    /// Up to where new accounts are taken. 0 when nothing is declared.
    pub fn soft_limit(&self, dimension: Dimension) -> u64 {
        let percent = match dimension {
            Dimension::Requests => self.soft.throughput,
            Dimension::Accounts | Dimension::Bytes | Dimension::Objects => self.soft.held,
        };
        let exact = u128::from(self.capacity.get(dimension)) * u128::from(percent) / 100;
        u64::try_from(exact).unwrap_or(u64::MAX)
    }

    /// What is left of each dimension that is declared.
    pub fn left(&self) -> impl Iterator<Item = Left> + '_ {
        Dimension::ALL.into_iter().filter(|dimension| self.capacity.get(*dimension) > 0).map(|dimension| {
            let of = self.soft_limit(dimension);
            Left { dimension, free: of.saturating_sub(self.used.get(dimension)), of }
        })
    }

    /// The dimension of which the smallest share is left; the first when equal. A cell that declares nothing has nothing left.
    pub fn scarcest(&self) -> Left {
        let none = Left { dimension: Dimension::Accounts, free: 0, of: 0 };
        self.left().reduce(|least, other| if least.is_more_than(other) { other } else { least }).unwrap_or(none)
    }

    /// Why what is `wanted` does not fit below the soft limits; `None` when it does.
    pub fn refuses(&self, wanted: Figures) -> Option<String> {
        if self.left().next().is_none() {
            return Some("it declares no capacity".into());
        }
        self.left().find_map(|left| {
            let (dimension, want) = (left.dimension, wanted.get(left.dimension));
            // Something that is used up leaves no room for an account either, whatever that wants of it.
            if left.free == 0 {
                let used = self.used.get(dimension);
                return Some(format!("it uses {used} {dimension} of the {} up to which it takes accounts", left.of));
            }
            (want > left.free).then(|| format!("{want} {dimension} are wanted and {} are left", left.free))
        })
    }

    /// Whether this cell has more left in its scarcest dimension than `other` in its.
    pub fn has_more_headroom_than(&self, other: &Self) -> bool {
        self.scarcest().is_more_than(other.scarcest())
    }
}

/// Which cell of `loads` an account goes to that wants so much: the one with the most left; the earlier one when equal. `None` when
/// none has room.
pub fn choose(loads: &[Load], wanted: Figures) -> Option<usize> {
    let mut best: Option<(usize, &Load)> = None;
    for (position, load) in loads.iter().enumerate().filter(|(_, load)| load.refuses(wanted).is_none()) {
        if best.is_none_or(|(_, leader)| load.has_more_headroom_than(leader)) {
            best = Some((position, load));
        }
    }
    best.map(|(position, _)| position)
}

/// What a cell becomes on account of its load; `None` when it stays what it is. It opens again only well below the limit at which it
/// was closed, or it would open and close with every object.
pub fn follow(state: &CellState, load: &Load) -> Option<CellState> {
    let scarcest = load.scarcest();
    match state {
        CellState::Active if scarcest.free == 0 => {
            let (used, of) = (load.used.get(scarcest.dimension), scarcest.of);
            let why = format!("it uses {used} {} of the {of} up to which it takes accounts", scarcest.dimension);
            Some(CellState::Closed { by: ClosedBy::SoftLimit { why } })
        }
        CellState::Closed { by: ClosedBy::SoftLimit { .. } } if scarcest.permille() >= (100 - REOPEN_PERCENT) * 10 => {
            Some(CellState::Active)
        }
        CellState::Active
        | CellState::Closed { .. }
        | CellState::Failed { .. }
        | CellState::Requested
        | CellState::Provisioning
        | CellState::Forming
        | CellState::Certifying
        | CellState::Draining
        | CellState::Dismantling { .. }
        | CellState::Retired => None,
    }
}

/// A cell, as the question whether another is needed sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It takes accounts: so much of it is left, in hundredths.
    Open { percent: u64 },
    /// It is being stamped, and will be empty.
    Coming,
    /// Stamping it failed.
    Failed,
    /// It takes none.
    Closed,
}

/// What the fleet does about its headroom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// There is enough.
    Nothing,
    /// One is on its way.
    Wait,
    /// It is short, and a cell that failed has to be looked after first: another would fail likewise.
    Blocked,
    /// It is short, and there are as many cells as there may be.
    AtMost,
    Stamp,
}

/// Headroom of all together, in hundredths of a cell. What is being stamped counts whole.
pub fn percent(fleet: &[Standing]) -> u64 {
    let each = |standing: &Standing| match standing {
        Standing::Open { percent } => *percent,
        Standing::Coming => 100,
        Standing::Failed | Standing::Closed => 0,
    };
    fleet.iter().map(each).sum()
}

/// Whether another cell is to be stamped.
pub fn need(fleet: &[Standing], floor_percent: u64, cells_max: u64) -> Need {
    let coming = fleet.contains(&Standing::Coming);
    match percent(fleet) >= floor_percent {
        true if coming => Need::Wait,
        true => Need::Nothing,
        false if fleet.contains(&Standing::Failed) => Need::Blocked,
        false if fleet.len() as u64 >= cells_max => Need::AtMost,
        false => Need::Stamp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(accounts: u64, bytes: u64) -> Load {
        let capacity = Figures { accounts: 100, bytes: 1_000, ..Figures::default() };
        Load { used: Figures { accounts, bytes, ..Figures::default() }, capacity, soft: SOFT_LIMITS }
    }

    const ONE: Figures = Figures { accounts: 1, bytes: 0, objects: 0, requests: 0 };

    #[test]
    fn the_cell_with_the_most_left_of_its_scarcest_dimension_wins_and_a_tie_keeps_the_order() {
        let table: [(&[Load], Option<usize>); 6] = [
            (&[], None),
            (&[load(70, 0)], None),
            (&[load(69, 0)], Some(0)),
            (&[load(5, 50), load(5, 50)], Some(0)),
            // Few accounts, but nearly no bytes left.
            (&[load(1, 600), load(30, 300)], Some(1)),
            (&[load(1, 700), load(69, 0)], Some(1)),
        ];
        for (loads, expected) in table {
            assert_eq!(choose(loads, ONE), expected, "{loads:?}");
        }
    }

    #[test]
    fn what_is_wanted_must_fit_and_the_refusal_says_both_figures() {
        let wants = Figures { bytes: 200, ..ONE };
        assert_eq!(choose(&[load(0, 501), load(60, 400)], wants), Some(1));
        assert_eq!(load(0, 501).refuses(wants).as_deref(), Some("200 bytes are wanted and 199 are left"));
        let full = load(70, 0).refuses(ONE);
        assert_eq!(full.as_deref(), Some("it uses 70 accounts of the 70 up to which it takes accounts"));
    }

    #[test]
    fn throughput_has_a_limit_of_its_own_and_what_is_not_declared_limits_nothing() {
        let capacity = Figures { accounts: 100, requests: 1_000, ..Figures::default() };
        let used = Figures { requests: 600, bytes: u64::MAX, ..Figures::default() };
        let load = Load { used, capacity, soft: SOFT_LIMITS };
        assert_eq!((load.scarcest().dimension, load.scarcest().free), (Dimension::Requests, 0));
        let nothing = Load { used, capacity: Figures::default(), soft: SOFT_LIMITS };
        assert_eq!(nothing.refuses(ONE).as_deref(), Some("it declares no capacity"));
    }

    #[test]
    fn a_cell_closes_at_its_soft_limit_and_opens_only_well_below() {
        let closed = follow(&CellState::Active, &load(0, 700)).expect("it is full");
        assert!(matches!(&closed, CellState::Closed { by: ClosedBy::SoftLimit { why } } if why.contains("700 bytes")));
        assert_eq!(follow(&CellState::Active, &load(0, 699)), None);
        assert_eq!(follow(&closed, &load(0, 699)), None);
        assert_eq!(follow(&closed, &load(0, 630)), Some(CellState::Active));
        assert_eq!(follow(&CellState::Closed { by: ClosedBy::Operator }, &load(0, 0)), None);
    }

    #[test]
    fn the_next_cell_is_stamped_when_headroom_is_short_and_only_one_at_a_time() {
        use Standing::{Closed, Coming, Failed, Open};
        let open = |percent| Open { percent };
        let table: [(&[Standing], Need); 7] = [
            (&[], Need::Stamp),
            (&[open(50)], Need::Nothing),
            (&[open(49)], Need::Stamp),
            (&[Closed, open(20), open(20)], Need::Stamp),
            (&[open(20), Coming], Need::Wait),
            (&[open(20), Failed], Need::Blocked),
            (&[open(10), open(10), open(10), open(10)], Need::AtMost),
        ];
        for (fleet, expected) in table {
            assert_eq!(need(fleet, 50, 4), expected, "{fleet:?}");
        }
    }
}

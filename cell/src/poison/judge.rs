//! What is concluded from nodes that died: which requests are refused, where, and until when. Pure.
//!
//! A node that ended itself refuses what was in flight then, for a while, and says that it did not execute it: another node does,
//! and what is innocent is served there. What was in flight at two such deaths, more often than anything else, is refused by every
//! node. Where several were there as often, one of them is guilty and the others are not: each node executes them one at a time, so
//! that the innocent clear themselves and the next death names one. Whatever is executed and does no harm is no suspect any more.

use super::shape::Shape;
use crate::limits::{
    DEATHS_KEPT_MAX, DEATHS_OF_A_KIND, DEATHS_OF_A_REQUEST, LIFTED_MAX, QUARANTINE, SHAPES_PER_DEATH_MAX,
    SUSPECT_NODES_MAX, SUSPICION,
};
use bulkhead_model::{AccountId, NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A process that ended itself, and what it was doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    pub node: NodeId,
    /// When the next life of the node began.
    pub at: Timestamp,
    /// In flight. Those that had begun last come first.
    pub shapes: Vec<Shape>,
}

/// Everything known about deaths, here and elsewhere. Bounded, and forgotten with time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub deaths: Vec<Death>,
    /// Hashes that an operator let go of, or that were executed and did no harm, and when: deaths before that do not count for them.
    pub lifted: Vec<(u64, Timestamp)>,
}

/// A shape that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub hash: u64,
    pub account: AccountId,
    pub operation: String,
    pub deaths: u64,
    pub until: Timestamp,
    pub scope: Scope,
}

/// Where a shape is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// On the node that died: others may execute it.
    Here,
    /// Nowhere, but each node executes one such request at a time.
    Alone,
    /// On every node of the cell.
    Cell,
}

impl Known {
    /// Takes over what another knows. Answers whether anything of it is new.
    pub fn merge(&mut self, other: Self, now: Timestamp) -> bool {
        let before = self.clone();
        for mut death in other.deaths {
            if !self.deaths.iter().any(|known| (known.node, known.at) == (death.node, death.at)) {
                death.shapes.truncate(SHAPES_PER_DEATH_MAX);
                self.deaths.push(death);
            }
        }
        for lifted in other.lifted {
            self.lift(lifted.0, lifted.1);
        }
        self.forget(now);
        *self != before
    }

    /// Lets go of a shape.
    pub fn lift(&mut self, hash: u64, at: Timestamp) {
        match self.lifted.iter_mut().find(|(known, _)| *known == hash) {
            Some((_, last)) => *last = at.max(*last),
            None => self.lifted.push((hash, at)),
        }
    }

    /// Forgets what is old, and the oldest of what is too much.
    pub fn forget(&mut self, now: Timestamp) {
        self.deaths.retain(|death| now < death.at.plus(QUARANTINE));
        self.lifted.retain(|(_, at)| now < at.plus(QUARANTINE));
        self.deaths.sort_by_key(|death| (std::cmp::Reverse(death.at), death.node));
        self.deaths.truncate(DEATHS_KEPT_MAX);
        self.lifted.sort_by_key(|(hash, at)| (std::cmp::Reverse(*at), *hash));
        self.lifted.truncate(LIFTED_MAX);
    }

    /// Everything that some death speaks against.
    pub fn suspects(&self) -> BTreeSet<u64> {
        let all: Vec<&Death> = self.deaths.iter().collect();
        let against = |hash: fn(&Shape) -> u64| tally(&all, &self.lifted, move |shape| Some(hash(shape)));
        against(|shape| shape.exact).into_keys().chain(against(|shape| shape.kind).into_keys()).collect()
    }

    /// What `node` refuses at `now`.
    pub fn judge(&self, node: NodeId, now: Timestamp) -> Vec<Refused> {
        let mut refused: BTreeMap<u64, Refused> = BTreeMap::new();
        let mut unexplained: Vec<&Death> = self.deaths.iter().filter(|death| now < death.at.plus(QUARANTINE)).collect();
        let exact_of = |deaths: &[&Death]| tally(deaths, &self.lifted, |shape| Some(shape.exact));
        let mut exact = exact_of(&unexplained);
        // A culprit explains its deaths: they speak against nothing else any more.
        while let Some(found) = culprit(&exact) {
            unexplained.retain(|death| !speaks_against(death, found.hash, &self.lifted));
            refused.insert(found.hash, found);
            exact = exact_of(&unexplained);
        }
        for (hash, seen) in &exact {
            let died_lately = seen.nodes.contains(&node) && now < seen.last.plus(SUSPICION);
            let is_often = seen.deaths >= DEATHS_OF_A_REQUEST;
            if died_lately && (!is_often || seen.nodes.len() < SUSPECT_NODES_MAX) {
                refused.insert(*hash, seen.refused(*hash, Scope::Here, SUSPICION));
            } else if is_often {
                refused.insert(*hash, seen.refused(*hash, Scope::Alone, QUARANTINE));
            }
        }
        // Of the rest, one kind that was in flight every time is the cause; of several, one may be somebody's ordinary work.
        let known = |shape: &Shape| exact.get(&shape.exact).is_some_and(|seen| seen.deaths >= DEATHS_OF_A_REQUEST);
        let kinds = tally(&unexplained, &self.lifted, |shape| (!known(shape)).then_some(shape.kind));
        let mut common = kinds.iter().filter(|(_, seen)| seen.deaths as usize >= DEATHS_OF_A_KIND);
        if let (Some((hash, seen)), None) = (common.next(), common.next()) {
            refused.insert(*hash, seen.refused(*hash, Scope::Cell, QUARANTINE));
        }
        refused.into_values().collect()
    }
}

/// At how many deaths something was in flight.
struct Seen {
    account: AccountId,
    operation: String,
    deaths: u64,
    nodes: BTreeSet<NodeId>,
    last: Timestamp,
}

impl Seen {
    fn refused(&self, hash: u64, scope: Scope, time: std::time::Duration) -> Refused {
        let (account, operation, deaths) = (self.account, self.operation.clone(), self.deaths);
        Refused { hash, account, operation, deaths, until: self.last.plus(time), scope }
    }
}

/// The one request that was in flight more often than any other, and often enough.
fn culprit(exact: &BTreeMap<u64, Seen>) -> Option<Refused> {
    let most = exact.values().map(|seen| seen.deaths).max().filter(|most| *most >= DEATHS_OF_A_REQUEST)?;
    let mut with_most = exact.iter().filter(|(_, seen)| seen.deaths == most);
    let (hash, seen) = with_most.next()?;
    with_most.next().is_none().then(|| seen.refused(*hash, Scope::Cell, QUARANTINE))
}

/// The request was in flight, and was not let go of since.
fn speaks_against(death: &Death, exact: u64, lifted: &[(u64, Timestamp)]) -> bool {
    let is_lifted = || lifted.iter().any(|(of, at)| *of == exact && *at >= death.at);
    death.shapes.iter().any(|shape| shape.exact == exact) && !is_lifted()
}

fn tally(deaths: &[&Death], lifted: &[(u64, Timestamp)], hash: impl Fn(&Shape) -> Option<u64>) -> BTreeMap<u64, Seen> {
    let lifted: BTreeMap<u64, Timestamp> = lifted.iter().copied().collect();
    let mut seen: BTreeMap<u64, Seen> = BTreeMap::new();
    for death in deaths {
        let mut here = BTreeSet::new();
        for shape in &death.shapes {
            let Some(hash) = hash(shape) else { continue };
            let is_lifted = |of: u64| lifted.get(&of).is_some_and(|at| *at >= death.at);
            if is_lifted(hash) || is_lifted(shape.exact) || !here.insert(hash) {
                continue;
            }
            let entry = seen.entry(hash).or_insert_with(|| Seen {
                account: shape.account,
                operation: shape.operation.clone(),
                deaths: 0,
                nodes: BTreeSet::new(),
                last: death.at,
            });
            entry.deaths += 1;
            entry.nodes.insert(death.node);
            entry.last = entry.last.max(death.at);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_750_000_000_000);

    fn shape(account: u64, exact: u64, kind: u64) -> Shape {
        let account = AccountId::new(AccountId::FIRST + account).expect("in range");
        Shape { account, operation: "PutObject".into(), exact, kind }
    }

    fn death(node: u64, seconds: u64, shapes: &[(u64, u64)]) -> Death {
        let shapes = shapes.iter().map(|(exact, kind)| shape(exact % 10, *exact, *kind)).collect();
        Death { node: NodeId(node), at: Timestamp(START.0 + seconds * 1_000), shapes }
    }

    fn known(deaths: &[Death]) -> Known {
        Known { deaths: deaths.to_vec(), lifted: Vec::new() }
    }

    fn refused(known: &Known, node: u64, seconds: u64) -> Vec<(u64, Scope)> {
        let all = known.judge(NodeId(node), Timestamp(START.0 + seconds * 1_000));
        all.into_iter().map(|refused| (refused.hash, refused.scope)).collect()
    }

    #[test]
    fn what_was_in_flight_is_refused_for_a_while_where_it_was_and_executed_elsewhere() {
        let known = known(&[death(1, 0, &[(11, 100), (12, 200)])]);
        assert_eq!(refused(&known, 1, 59), [(11, Scope::Here), (12, Scope::Here)]);
        assert_eq!(refused(&known, 2, 59), []);
        assert_eq!(refused(&known, 1, 60), []);
    }

    #[test]
    fn what_was_in_flight_at_two_deaths_is_refused_everywhere_and_the_innocent_are_not() {
        let known = known(&[death(1, 0, &[(11, 100), (12, 200)]), death(2, 90, &[(11, 100), (13, 300)])]);
        for node in 1..=3 {
            assert!(refused(&known, node, 100).contains(&(11, Scope::Cell)), "node {node}");
        }
        assert_eq!(refused(&known, 3, 100), [(11, Scope::Cell)]);
        assert_eq!(refused(&known, 1, 100), [(11, Scope::Cell)]);
        assert_eq!(refused(&known, 3, 90 + 600), []);
    }

    #[test]
    fn of_several_that_were_there_as_often_each_is_executed_alone_until_one_is_known() {
        let mut known = known(&[death(1, 0, &[(11, 100), (12, 200)]), death(2, 5, &[(11, 100), (12, 200), (13, 300)])]);
        assert_eq!(refused(&known, 3, 10), [(11, Scope::Alone), (12, Scope::Alone)]);
        // Where it has just ended a node it is left to the others.
        assert_eq!(refused(&known, 1, 10), [(11, Scope::Here), (12, Scope::Here)]);
        assert_eq!(refused(&known, 1, 70), [(11, Scope::Alone), (12, Scope::Alone)]);
        let mut innocent_is_cleared = known.clone();
        innocent_is_cleared.lift(12, Timestamp(START.0 + 6_000));
        assert_eq!(refused(&innocent_is_cleared, 3, 10), [(11, Scope::Cell)]);
        // Or the poison was executed first.
        known.deaths.push(death(3, 8, &[(11, 100)]));
        for node in 1..=4 {
            assert_eq!(refused(&known, node, 10)[0], (11, Scope::Cell), "node {node}");
        }
        assert_eq!(refused(&known, 4, 10), [(11, Scope::Cell)], "the innocent are explained");
    }

    #[test]
    fn what_was_there_at_the_deaths_of_many_nodes_is_refused_by_none_but_executed_alone() {
        let three = [1, 2, 3].map(|node| death(node, node, &[(11, 100), (12, 200)]));
        for node in 1..=3 {
            assert_eq!(refused(&known(&three), node, 10), [(11, Scope::Alone), (12, Scope::Alone)]);
        }
    }

    #[test]
    fn two_poisons_are_both_found() {
        let known = known(&[
            death(1, 0, &[(11, 100)]),
            death(2, 1, &[(11, 100), (12, 200)]),
            death(3, 2, &[(11, 100)]),
            death(4, 3, &[(12, 200)]),
            death(5, 4, &[(12, 200), (13, 300)]),
        ]);
        // As often until one more death, or until one of them is executed alone.
        assert_eq!(refused(&known, 9, 5), [(11, Scope::Alone), (12, Scope::Alone)]);
        let mut later = known.clone();
        later.deaths.push(death(6, 5, &[(12, 200)]));
        assert_eq!(refused(&later, 9, 6), [(11, Scope::Cell), (12, Scope::Cell)]);
    }

    #[test]
    fn a_poison_that_changes_its_key_is_recognised_by_its_kind_unless_others_were_always_there_too() {
        let three =
            [death(1, 0, &[(11, 100), (12, 200)]), death(2, 5, &[(21, 100)]), death(3, 9, &[(31, 100), (32, 300)])];
        assert_eq!(refused(&known(&three), 4, 10), [(100, Scope::Cell)]);
        let with_a_neighbour = three.map(|mut death| {
            death.shapes.push(shape(7, 700 + death.node.0, 500));
            death
        });
        assert_eq!(refused(&known(&with_a_neighbour), 4, 10), []);
    }

    #[test]
    fn a_poison_that_is_known_exactly_does_not_take_its_kind_along() {
        let three = [death(1, 0, &[(11, 100)]), death(2, 0, &[(11, 100)]), death(3, 1, &[(11, 100)])];
        assert_eq!(refused(&known(&three), 1, 2), [(11, Scope::Cell)]);
    }

    #[test]
    fn what_an_operator_lets_go_of_is_served_until_it_kills_again() {
        let mut known = known(&[death(1, 0, &[(11, 100)]), death(2, 1, &[(11, 100)])]);
        known.lift(11, Timestamp(START.0 + 2_000));
        assert_eq!(refused(&known, 1, 3), []);
        known.deaths.push(death(3, 4, &[(11, 100)]));
        assert_eq!(refused(&known, 3, 5), [(11, Scope::Here)]);
    }

    #[test]
    fn what_is_told_twice_counts_once_and_what_is_kept_is_bounded() {
        let mut known = known(&[death(1, 0, &[(11, 100)])]);
        let again = known.clone();
        assert!(!known.merge(again, START));
        let many: Vec<Death> = (0..100).map(|n| death(2, n, &[(n, n)])).collect();
        let mut large = death(3, 200, &[]);
        large.shapes = (0..1_000).map(|n| shape(1, n, n)).collect();
        let lifted = (0..3_000).map(|n| (n, START)).collect();
        let deaths = many.into_iter().chain([large]).collect();
        assert!(known.merge(Known { deaths, lifted }, START));
        assert_eq!((known.deaths.len(), known.lifted.len()), (DEATHS_KEPT_MAX, LIFTED_MAX));
        assert!(known.deaths.iter().all(|death| death.shapes.len() <= SHAPES_PER_DEATH_MAX));
        assert_eq!(known.deaths[0].node, NodeId(3), "the latest are kept");
        known.forget(Timestamp(START.0 + 3_600_000));
        assert_eq!(known, Known::default());
    }
}

//! The history of one key that many write and read at once, judged as a whole.
//!
//! It is linearizable when there is one order of its operations, each placed between its begin and its end, in which a
//! single register would have answered as the clients saw it. A write whose outcome nobody knows may be placed anywhere
//! after its begin, or nowhere. The search is Wing and Gong's with Lowe's memory of what was tried; of writes of unknown outcome that
//! nothing tells apart only the order of their begins is tried, since a store that fails much leaves dozens of them.

use std::collections::{HashMap, HashSet};

/// What a key holds: the version of what was put, or nothing.
pub type Value = Option<u64>;

/// What a conditional write asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum When {
    Always,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match` with this version's ETag.
    Is(u64),
}

impl When {
    fn holds(self, value: Value) -> bool {
        match self {
            Self::Always => true,
            Self::Absent => value.is_none(),
            Self::Is(version) => value == Some(version),
        }
    }
}

/// What was asked, and what was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Read this.
    Read(Value),
    /// Wrote this: it took effect, or, without an end, may.
    Wrote(Value, When),
    /// Wrote nothing, because the condition did not hold.
    Refused(When),
}

/// One operation. Moments are numbers that no two share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    pub begun: u64,
    /// `None` for a write of unknown outcome. What is certain not to have happened is left out of a history.
    pub ended: Option<u64>,
    pub action: Action,
}

/// No correct store could have answered like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not linearizable: holding {holding:?} after {placed} operations, none of these comes next: {stuck:?}")]
pub struct Inconsistent {
    /// How many operations the longest order had.
    pub placed: usize,
    /// What the key holds behind it.
    pub holding: Value,
    /// What could not be placed there.
    pub stuck: Vec<Operation>,
}

/// Judges the history of a key that held nothing at first.
///
/// # Errors
/// [`Inconsistent`], with the longest order that was found.
pub fn check(history: &[Operation]) -> Result<(), Inconsistent> {
    let mut operations = history.to_vec();
    operations.sort_by_key(|operation| operation.begun);
    let mut search = Search {
        placed: vec![0; operations.len().div_ceil(64)],
        kinds: kinds(&operations),
        operations,
        tried: HashSet::new(),
        farthest: Inconsistent { placed: 0, holding: None, stuck: Vec::new() },
    };
    if search.goes_on(None, 0) { Ok(()) } else { Err(search.farthest) }
}

struct Search {
    operations: Vec<Operation>,
    /// Of each write of unknown outcome, which of them do the same.
    kinds: Vec<Option<usize>>,
    /// One bit for each operation.
    placed: Vec<u64>,
    tried: HashSet<(Vec<u64>, Value)>,
    farthest: Inconsistent,
}

/// Numbers the writes of unknown outcome so that those which do the same have the same number: under the same condition they write the same, or
/// something that nobody read and no condition names. Without an end, any of them may stand where another one does that began later.
fn kinds(operations: &[Operation]) -> Vec<Option<usize>> {
    #[derive(PartialEq, Eq, Hash)]
    enum Writes {
        Nothing,
        Seen(u64),
        Unseen,
    }
    let seen: HashSet<u64> = operations
        .iter()
        .flat_map(|operation| match operation.action {
            Action::Read(value) => [value, None],
            Action::Wrote(_, When::Is(version)) | Action::Refused(When::Is(version)) => [Some(version), None],
            Action::Wrote(..) | Action::Refused(_) => [None, None],
        })
        .flatten()
        .collect();
    let mut numbers = HashMap::new();
    let kind = |operation: &Operation| match (operation.ended, operation.action) {
        (None, Action::Wrote(to, when)) => {
            let writes = match to {
                None => Writes::Nothing,
                Some(version) if seen.contains(&version) => Writes::Seen(version),
                Some(_) => Writes::Unseen,
            };
            let next = numbers.len();
            Some(*numbers.entry((writes, when)).or_insert(next))
        }
        (None | Some(_), Action::Read(_) | Action::Wrote(..) | Action::Refused(_)) => None,
    };
    operations.iter().map(kind).collect()
}

impl Search {
    /// Whether the rest can be placed behind what is placed, when the key holds `value`. Leaves `placed` as it was if not.
    fn goes_on(&mut self, value: Value, count: usize) -> bool {
        let before = self.placed.clone();
        let mut count = count;
        // What changes nothing and fits here need not wait: placing it now forbids nothing.
        while let Some(at) = self.next_look(value) {
            self.place(at);
            count += 1;
        }
        if self.horizon().is_none() {
            return true;
        }
        if !self.tried.insert((self.placed.clone(), value)) {
            self.placed = before;
            return false;
        }
        if count >= self.farthest.placed {
            let stuck = self.next().map(|at| self.operations[at]).collect();
            self.farthest = Inconsistent { placed: count, holding: value, stuck };
        }
        // Of several that do the same the one that began first: wherever a later one can be placed, it can be too.
        let mut kinds = HashSet::new();
        let mut writes: Vec<usize> = self
            .next()
            .filter(|at| self.writes(*at, value).is_some())
            .filter(|at| self.kinds[*at].is_none_or(|kind| kinds.insert(kind)))
            .collect();
        // Those that are known to have happened, first.
        writes.sort_by_key(|at| self.operations[*at].ended.is_none());
        for at in writes {
            let Some(to) = self.writes(at, value) else { continue };
            self.place(at);
            if self.goes_on(to, count + 1) {
                return true;
            }
            self.placed[at / 64] &= !(1 << (at % 64));
        }
        self.placed = before;
        false
    }

    fn is_placed(&self, at: usize) -> bool {
        self.placed[at / 64] & (1 << (at % 64)) != 0
    }

    fn place(&mut self, at: usize) {
        self.placed[at / 64] |= 1 << (at % 64);
    }

    /// The first end of an operation that is not placed: whatever began later comes later.
    fn horizon(&self) -> Option<u64> {
        (0..self.operations.len()).filter(|at| !self.is_placed(*at)).filter_map(|at| self.operations[at].ended).min()
    }

    /// Operations that may come next.
    fn next(&self) -> impl Iterator<Item = usize> {
        let horizon = self.horizon();
        let may = move |at: &usize| horizon.is_some_and(|end| self.operations[*at].begun < end);
        (0..self.operations.len()).take_while(may).filter(|at| !self.is_placed(*at))
    }

    /// An operation that may come next and changes nothing.
    fn next_look(&self, value: Value) -> Option<usize> {
        self.next().find(|at| self.only_looks(*at, value))
    }

    fn only_looks(&self, at: usize, value: Value) -> bool {
        match self.operations[at].action {
            Action::Read(seen) => seen == value,
            Action::Refused(when) => !when.holds(value),
            Action::Wrote(..) => false,
        }
    }

    fn writes(&self, at: usize, value: Value) -> Option<Value> {
        match self.operations[at].action {
            Action::Wrote(to, when) if when.holds(value) => Some(to),
            Action::Wrote(..) | Action::Read(_) | Action::Refused(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn done(begun: u64, ended: u64, action: Action) -> Operation {
        Operation { begun, ended: Some(ended), action }
    }

    const fn unknown(begun: u64, action: Action) -> Operation {
        Operation { begun, ended: None, action }
    }

    fn put(version: u64) -> Action {
        Action::Wrote(Some(version), When::Always)
    }

    #[test]
    fn what_was_acknowledged_is_read_and_nothing_older() {
        let history = |seen| [done(1, 2, put(1)), done(3, 4, put(2)), done(5, 6, Action::Read(seen))];
        assert_eq!(check(&history(Some(2))), Ok(()));
        assert!(check(&history(Some(1))).is_err(), "stale");
        assert!(check(&history(None)).is_err(), "lost");
        assert!(check(&history(Some(3))).is_err(), "nobody wrote it");
    }

    #[test]
    fn reads_during_a_write_may_see_either_but_never_go_back() {
        let history =
            |first, second| [done(1, 8, put(1)), done(2, 3, Action::Read(first)), done(4, 5, Action::Read(second))];
        assert_eq!(check(&history(None, None)), Ok(()));
        assert_eq!(check(&history(None, Some(1))), Ok(()));
        assert_eq!(check(&history(Some(1), Some(1))), Ok(()));
        assert!(check(&history(Some(1), None)).is_err());
    }

    #[test]
    fn an_unknown_write_takes_effect_once_at_any_later_moment_or_never() {
        let history = |seen: [Value; 3]| {
            let reads = [4, 6, 10].into_iter().zip(seen).map(|(at, seen)| done(at, at + 1, Action::Read(seen)));
            [unknown(1, put(1)), done(2, 3, put(2)), done(8, 9, put(3))].into_iter().chain(reads).collect::<Vec<_>>()
        };
        assert_eq!(check(&history([Some(2), Some(2), Some(3)])), Ok(()));
        assert_eq!(check(&history([Some(2), Some(1), Some(3)])), Ok(()));
        assert_eq!(check(&history([Some(2), Some(2), Some(1)])), Ok(()));
        assert!(check(&history([Some(1), Some(2), Some(3)])).is_err(), "it came and went");
        assert!(check(&history([Some(2), Some(1), Some(1)])).is_err(), "it came twice");
    }

    #[test]
    fn a_condition_is_decided_where_the_write_is_placed() {
        let create = |version| Action::Wrote(Some(version), When::Absent);
        assert!(check(&[done(1, 4, create(1)), done(2, 3, create(2))]).is_err(), "both created it");
        assert_eq!(check(&[done(1, 4, create(1)), done(2, 3, Action::Refused(When::Absent))]), Ok(()));
        assert!(check(&[done(1, 2, Action::Refused(When::Absent))]).is_err(), "nothing was there");
        let swap = [done(1, 2, put(1)), done(3, 4, Action::Wrote(Some(2), When::Is(1)))];
        assert_eq!(check(&swap), Ok(()));
        let lost = [swap[0], swap[1], done(5, 6, Action::Wrote(Some(3), When::Is(1)))];
        assert!(check(&lost).is_err(), "a lost update");
        let both =
            [done(1, 2, create(1)), done(3, 4, Action::Refused(When::Absent)), done(5, 6, Action::Read(Some(2)))];
        assert!(check(&both).is_err(), "it was refused and took effect");
    }

    #[test]
    fn many_writes_of_unknown_outcome_that_nobody_saw_are_judged_at_once() {
        let mut history: Vec<_> = (1..=60).map(|version| unknown(version, put(version))).collect();
        history.extend((61..=90).map(|at| unknown(at, Action::Wrote(None, When::Always))));
        history.extend([done(100, 101, put(100)), done(102, 103, Action::Read(Some(100)))]);
        assert_eq!(check(&history), Ok(()));
        history.extend([done(104, 105, Action::Read(Some(7))), done(106, 107, Action::Read(Some(100)))]);
        assert!(check(&history).is_err(), "what was overwritten came back");
    }

    /// Tries every order.
    fn by_force(history: &[Operation]) -> bool {
        fn rest(left: &[Operation], value: Value) -> bool {
            let Some(horizon) = left.iter().filter_map(|operation| operation.ended).min() else { return true };
            (0..left.len()).filter(|at| left[*at].begun < horizon).any(|at| {
                let mut others = left.to_vec();
                let to = match others.remove(at).action {
                    Action::Read(seen) if seen == value => value,
                    Action::Refused(when) if !when.holds(value) => value,
                    Action::Wrote(to, when) if when.holds(value) => to,
                    Action::Read(_) | Action::Refused(_) | Action::Wrote(..) => return false,
                };
                rest(&others, to)
            })
        }
        rest(history, None)
    }

    fn value() -> impl Strategy<Value = Value> {
        prop::option::of(1..4_u64)
    }

    fn operation() -> impl Strategy<Value = (Action, u64, u64, bool)> {
        let when = prop_oneof![Just(When::Always), Just(When::Absent), (1..4_u64).prop_map(When::Is)];
        let action = prop_oneof![
            value().prop_map(Action::Read),
            (value(), when.clone()).prop_map(|(value, when)| Action::Wrote(value, when)),
            when.prop_map(Action::Refused),
        ];
        (action, 0..20_u64, 1..12_u64, prop::bool::weighted(0.6))
    }

    proptest! {
        #[test]
        fn the_search_agrees_with_trying_every_order(operations in prop::collection::vec(operation(), 0..7)) {
            let history: Vec<_> = (0_u64..).zip(operations).map(|(at, (action, begun, takes, known))| {
                // Distinct moments.
                let begun = begun * 8 + at;
                let known = known || !matches!(action, Action::Wrote(..));
                Operation { begun, ended: known.then_some(begun + takes * 8), action }
            }).collect();
            prop_assert_eq!(check(&history).is_ok(), by_force(&history));
        }
    }
}

//! A change of a setting on its way from cell to cell: who has it, and what is done next. Pure.
//!
//! ```text
//!  set ─► c1 gets it, and bakes ─► c2 gets it, and bakes ─► … ─► said of the target
//!              └───────────────────────┴─► rolled back: a cell that has it is less well than when it got it
//! ```
//! The change lies over what is said until it has come to its end, so taking it back is one step, wherever it is.

use bulkhead_model::{
    CellId, Timestamp,
    api::control_plane::{Rollout, Said, Target},
    settings::{Held, Rule},
};
use std::time::Duration;

/// How a cell is seen now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// So many nodes are ready: seen a moment ago.
    Ready(u64),
    /// Not seen lately, which may be for want of looking.
    Unknown,
    /// Looked for, and none of its nodes answers.
    Silent,
    /// It runs no more.
    Gone,
}

/// What is done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The last cell is being watched.
    Bake,
    /// A cell is not seen, and nothing goes on without that.
    Unseen {
        cell: CellId,
    },
    /// This cell gets it. So many of its nodes are ready.
    Step {
        cell: CellId,
        ready: u64,
    },
    /// This cell is gone, and passed over.
    Skip {
        cell: CellId,
    },
    /// All have it.
    Finish,
    Back {
        why: String,
    },
}

/// What is done next with a rollout.
pub fn next(rollout: &Rollout, now: Timestamp, look: impl Fn(&CellId) -> Look) -> Next {
    for reached in &rollout.reached {
        let (cell, had) = (&reached.cell, reached.ready);
        match look(cell) {
            Look::Ready(ready) if ready < had => {
                return Next::Back { why: format!("cell {cell} has {ready} nodes ready, and had {had} before it") };
            }
            Look::Silent => return Next::Back { why: format!("no node of cell {cell} answers") },
            Look::Ready(_) | Look::Unknown | Look::Gone => {}
        }
    }
    if let Some(last) = rollout.reached.last() {
        if now < rollout.since.plus(Duration::from_secs(rollout.bake_seconds)) {
            return Next::Bake;
        }
        if look(&last.cell) == Look::Unknown {
            return Next::Unseen { cell: last.cell.clone() };
        }
    }
    let Some(cell) = rollout.left.first().cloned() else { return Next::Finish };
    match look(&cell) {
        Look::Gone => Next::Skip { cell },
        Look::Ready(ready) if ready > 0 => Next::Step { cell, ready },
        Look::Ready(_) | Look::Unknown | Look::Silent => Next::Unseen { cell },
    }
}

/// For people.
impl std::fmt::Display for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bake => f.write_str("watch the cells that have it"),
            Self::Unseen { cell } => write!(f, "wait until cell {cell} is seen to be ready"),
            Self::Step { cell, .. } => write!(f, "give it to cell {cell}"),
            Self::Skip { cell } => write!(f, "pass over cell {cell}, which is gone"),
            Self::Finish => f.write_str("finish"),
            Self::Back { why } => write!(f, "roll back: {why}"),
        }
    }
}

/// What is said once a change has come to its end.
pub fn said_after(mut said: Said, target: &Target, to: Option<&Held>) -> Said {
    let put = |cells: &mut std::collections::BTreeMap<CellId, Held>, cell: &CellId| match to {
        Some(held) => drop(cells.insert(cell.clone(), held.clone())),
        None => drop(cells.remove(cell)),
    };
    match target {
        Target::Fleet => said.fleet = to.cloned(),
        Target::Wave(wave) => wave.iter().for_each(|cell| put(&mut said.waves, cell)),
        Target::Cell(cell) => put(&mut said.cells, cell),
    }
    said
}

/// What holds for a cell, what is on its way included.
pub fn of_cell(said: &Said, rollout: Option<&Rollout>, cell: &CellId) -> Option<Held> {
    let on_its_way = rollout.filter(|rollout| rollout.reached.iter().any(|reached| reached.cell == *cell));
    let over = |is_level: fn(&Target) -> bool, held: Option<&Held>| match on_its_way {
        Some(rollout) if is_level(&rollout.target) => rollout.to.clone(),
        Some(_) | None => held.cloned(),
    };
    let own = over(|target| matches!(target, Target::Cell(_)), said.cells.get(cell));
    let wave = || over(|target| matches!(target, Target::Wave(_)), said.waves.get(cell));
    let fleet = || over(|target| matches!(target, Target::Fleet), said.fleet.as_ref());
    own.or_else(wave).or_else(fleet)
}

/// What a router holds: it serves every cell.
pub fn of_fleet(said: &Said, rollout: Option<&Rollout>) -> Rule {
    let reached = rollout.into_iter().flat_map(|rollout| rollout.reached.iter().map(|reached| &reached.cell));
    let cells = said.waves.keys().chain(said.cells.keys()).chain(reached);
    let cells = cells.map(|cell| (cell.clone(), of_cell(said, rollout, cell))).collect();
    Rule { fleet: said.fleet.clone(), cells }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::{api::control_plane::Reached, settings::Value};

    const BEGAN: Timestamp = Timestamp(1_000_000);

    fn cell(name: &str) -> CellId {
        name.parse().expect("a label")
    }

    fn held(number: u64) -> Held {
        Held::everyone(Value::Number(number))
    }

    fn rollout(target: Target, reached: &[(&str, u64)], left: &[&str]) -> Rollout {
        Rollout {
            target,
            to: Some(held(9)),
            reached: reached.iter().map(|(name, ready)| Reached { cell: cell(name), ready: *ready }).collect(),
            left: left.iter().map(|name| cell(name)).collect(),
            bake_seconds: 60,
            since: BEGAN,
            by: "ci".into(),
        }
    }

    #[test]
    fn a_rollout_goes_on_after_the_bake_and_back_when_a_cell_that_has_it_is_less_well() {
        use Look::{Gone, Ready, Silent, Unknown};
        let back = |why: &str| Next::Back { why: why.into() };
        let (step, unseen) =
            (|name| Next::Step { cell: cell(name), ready: 3 }, |name| Next::Unseen { cell: cell(name) });
        let fewer = || back("cell c1 has 2 nodes ready, and had 3 before it");
        let silent = || back("no node of cell c1 answers");
        type Row<'a> = (&'a [(&'a str, u64)], &'a [&'a str], u64, [Look; 2], Next);
        let table: [Row<'_>; 16] = [
            (&[], &["c1", "c2"], 0, [Ready(3), Ready(3)], step("c1")),
            (&[], &["c1"], 0, [Ready(0), Ready(3)], unseen("c1")),
            (&[], &["c1"], 0, [Silent, Ready(3)], unseen("c1")),
            (&[], &["c1"], 0, [Gone, Ready(3)], Next::Skip { cell: cell("c1") }),
            (&[], &[], 0, [Gone, Gone], Next::Finish),
            (&[("c1", 3)], &["c2"], 59, [Ready(3), Ready(3)], Next::Bake),
            (&[("c1", 3)], &["c2"], 1, [Ready(2), Ready(3)], fewer()),
            (&[("c1", 3)], &["c2"], 1, [Silent, Ready(3)], silent()),
            (&[("c1", 3)], &["c2"], 1, [Unknown, Ready(3)], Next::Bake),
            (&[("c1", 3)], &["c2"], 60, [Ready(3), Ready(3)], step("c2")),
            (&[("c1", 2)], &["c2"], 60, [Ready(3), Ready(3)], step("c2")),
            (&[("c1", 3)], &["c2"], 60, [Unknown, Ready(3)], unseen("c1")),
            (&[("c1", 3)], &["c2"], 60, [Gone, Ready(3)], step("c2")),
            (&[("c1", 3)], &[], 60, [Unknown, Ready(3)], unseen("c1")),
            (&[("c1", 3)], &[], 60, [Ready(3), Ready(3)], Next::Finish),
            // Not only the last one that got it.
            (&[("c1", 3), ("c2", 3)], &[], 60, [Ready(2), Ready(3)], fewer()),
        ];
        for (reached, left, seconds, [c1, c2], expected) in table {
            let now = BEGAN.plus(Duration::from_secs(seconds));
            let look = |name: &CellId| if name.as_str() == "c1" { c1 } else { c2 };
            let found = next(&rollout(Target::Fleet, reached, left), now, look);
            assert_eq!(found, expected, "{reached:?} {left:?} {seconds} {c1:?} {c2:?}");
        }
    }

    #[test]
    fn only_cells_that_were_reached_have_what_is_on_its_way_and_what_is_said_of_them_comes_first() {
        let mut said = Said { fleet: Some(held(1)), ..Said::default() };
        said.waves.insert(cell("c2"), held(2));
        said.waves.insert(cell("c3"), held(2));
        said.cells.insert(cell("c3"), held(3));
        let of = |rollout: Option<&Rollout>| {
            ["c1", "c2", "c3", "c4"].map(|name| {
                let value = of_cell(&said, rollout, &cell(name)).map(|held| held.value);
                // A router comes to the same by what it is told of the fleet.
                let rule = of_fleet(&said, rollout);
                let routers = rule.cells.get(&cell(name)).cloned().unwrap_or(rule.fleet);
                assert_eq!(routers.map(|held| held.value), value);
                match value {
                    Some(Value::Number(number)) => number,
                    Some(_) | None => 0,
                }
            })
        };
        let reached: [(&str, u64); 3] = [("c1", 3), ("c2", 3), ("c3", 3)];
        assert_eq!(of(None), [1, 2, 3, 1]);
        assert_eq!(of(Some(&rollout(Target::Fleet, &reached, &["c4"]))), [9, 2, 3, 1]);
        assert_eq!(of(Some(&rollout(Target::Wave(Vec::new()), &reached[1..], &[]))), [1, 9, 3, 1]);
        assert_eq!(of(Some(&rollout(Target::Cell(cell("c3")), &reached[2..], &[]))), [1, 2, 9, 1]);
        let takes_back = Rollout { to: None, ..rollout(Target::Fleet, &reached, &["c4"]) };
        assert_eq!(of(Some(&takes_back)), [0, 2, 3, 1], "the default, though the fleet still has 1");
    }

    #[test]
    fn a_change_that_came_to_its_end_is_said_of_its_target_and_can_be_taken_back() {
        let wave = Target::Wave(vec![cell("c1"), cell("c2")]);
        let mut said = Said::default();
        for target in [&Target::Fleet, &wave, &Target::Cell(cell("c1"))] {
            said = said_after(said, target, Some(&held(9)));
        }
        assert_eq!((said.fleet.as_ref(), said.waves.len(), said.cells.len()), (Some(&held(9)), 2, 1));
        for target in [&Target::Fleet, &wave, &Target::Cell(cell("c1"))] {
            said = said_after(said, target, None);
        }
        assert_eq!(said, Said::default());
    }
}

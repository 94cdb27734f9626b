//! The names of a volume: what processes see, what is durable, and the changes between the two.
//!
//! Pure: no files, no clock.

use super::{Ino, Losses, ROOT};
use rand::{RngExt as _, rngs::StdRng};
use std::collections::{BTreeMap, BTreeSet};

/// One directory's entries.
pub type Entries = BTreeMap<String, Ino>;

/// A change of names, as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Add { dir: Ino, name: String, ino: Ino },
    Remove { dir: Ino, name: String },
    Move { from: (Ino, String), to: (Ino, String), ino: Ino },
}

/// The directories of a volume.
#[derive(Debug)]
pub struct Names {
    seen: BTreeMap<Ino, Entries>,
    durable: BTreeMap<Ino, Entries>,
    pending: Vec<Change>,
}

impl Change {
    fn dirs(&self) -> [Ino; 2] {
        match self {
            Self::Add { dir, .. } | Self::Remove { dir, .. } => [*dir, *dir],
            Self::Move { from, to, .. } => [from.0, to.0],
        }
    }

    fn apply(&self, dirs: &mut BTreeMap<Ino, Entries>) {
        let mut insert = |dir: Ino, name: &str, ino: Ino| dirs.entry(dir).or_default().insert(name.to_owned(), ino);
        match self {
            Self::Add { dir, name, ino } => {
                insert(*dir, name, *ino);
            }
            Self::Remove { dir, name } => {
                dirs.entry(*dir).or_default().remove(name);
            }
            Self::Move { from, to, ino } => {
                insert(to.0, &to.1, *ino);
                dirs.entry(from.0).or_default().remove(&from.1);
            }
        }
    }
}

impl Names {
    /// An empty root.
    pub fn new() -> Self {
        let root = BTreeMap::from([(ROOT, Entries::new())]);
        Self { seen: root.clone(), durable: root, pending: Vec::new() }
    }

    /// What `dir` holds, to whoever looks now; `None` when it is no directory.
    pub fn entries(&self, dir: Ino) -> Option<&Entries> {
        self.seen.get(&dir)
    }

    /// Names that lead to `ino` now.
    pub fn links(&self, ino: Ino) -> usize {
        self.seen.values().flat_map(Entries::values).filter(|named| **named == ino).count()
    }

    /// Whether `ino` is a directory.
    pub fn is_directory(&self, ino: Ino) -> bool {
        self.seen.contains_key(&ino)
    }

    /// A directory begins to exist, without a name yet.
    pub fn make_directory(&mut self, ino: Ino) {
        self.seen.insert(ino, Entries::new());
        // Harmless until a name that leads to it is durable.
        self.durable.insert(ino, Entries::new());
    }

    /// A file or directory gets a name.
    pub fn add(&mut self, dir: Ino, name: &str, ino: Ino) {
        self.make(Change::Add { dir, name: name.to_owned(), ino });
    }

    /// A name goes.
    pub fn remove(&mut self, dir: Ino, name: &str) {
        self.make(Change::Remove { dir, name: name.to_owned() });
    }

    /// A name changes, and replaces what had the new one.
    pub fn rename(&mut self, from: (Ino, &str), to: (Ino, &str), ino: Ino) {
        self.make(Change::Move { from: (from.0, from.1.to_owned()), to: (to.0, to.1.to_owned()), ino });
    }

    fn make(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.pending.push(change);
    }

    /// `fsync` of a directory: its changes are durable, and with a rename those of the other directory up to it.
    pub fn sync(&mut self, dir: Ino) {
        let mut dirs = BTreeSet::from([dir]);
        let mut durable = vec![false; self.pending.len()];
        for (at, change) in self.pending.iter().enumerate().rev() {
            if change.dirs().iter().any(|touched| dirs.contains(touched)) {
                dirs.extend(change.dirs());
                durable[at] = true;
            }
        }
        for (change, _) in self.pending.iter().zip(&durable).filter(|(_, durable)| **durable) {
            change.apply(&mut self.durable);
        }
        let mut durable = durable.into_iter();
        self.pending.retain(|_| !durable.next().unwrap_or(false));
    }

    /// The power goes: in each directory a first part of the unsynced changes takes effect, the rest never happened.
    pub fn cut(&mut self, dice: &mut StdRng) -> Losses {
        let go_on = [0.0, 0.5, 0.9, 1.0][dice.random_range(0..4)];
        let mut stopped = BTreeSet::new();
        let mut losses = Losses { unsynced_names: self.pending.len() as u64, ..Losses::default() };
        for change in std::mem::take(&mut self.pending) {
            let dirs = change.dirs();
            if dirs.iter().any(|dir| stopped.contains(dir)) || !dice.random_bool(go_on) {
                stopped.extend(dirs);
                losses.lost_names += 1;
            } else {
                change.apply(&mut self.durable);
            }
        }
        let reached = reached([ROOT].into_iter(), &[&self.durable]);
        self.durable.retain(|dir, _| reached.contains(dir));
        self.seen = self.durable.clone();
        losses
    }

    /// Everything that a process may still reach, or find after a cut: whichever of the unsynced changes take effect, what leads
    /// there is a name that is seen, durable or pending.
    pub fn needed(&self) -> BTreeSet<Ino> {
        let named = self.pending.iter().filter_map(|change| match change {
            Change::Add { ino, .. } | Change::Move { ino, .. } => Some(*ino),
            Change::Remove { .. } => None,
        });
        reached(named.chain([ROOT]), &[&self.seen, &self.durable])
    }
}

/// All that `from` lead to, through the entries of either state of the directories.
fn reached(from: impl Iterator<Item = Ino>, states: &[&BTreeMap<Ino, Entries>]) -> BTreeSet<Ino> {
    let mut open: Vec<Ino> = from.collect();
    let mut reached: BTreeSet<Ino> = open.iter().copied().collect();
    while let Some(dir) = open.pop() {
        for ino in states.iter().filter_map(|dirs| dirs.get(&dir)).flat_map(Entries::values) {
            if reached.insert(*ino) {
                open.push(*ino);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    const DIR: Ino = 2;

    /// `DIR` exists durably below the root.
    fn names() -> Names {
        let mut names = Names::new();
        names.make_directory(DIR);
        names.add(ROOT, "dir", DIR);
        names.sync(ROOT);
        names
    }

    /// What `DIR` and the root may hold after a cut, over many seeds.
    fn outcomes(make: impl Fn(&mut Names)) -> BTreeSet<(Vec<String>, Vec<String>)> {
        let after = |seed| {
            let mut names = names();
            make(&mut names);
            names.cut(&mut StdRng::seed_from_u64(seed));
            let of = |dir| names.entries(dir).map(|entries| entries.keys().cloned().collect()).unwrap_or_default();
            (of(ROOT), of(DIR))
        };
        (0..200).map(after).collect()
    }

    fn names_of<const N: usize>(names: [&str; N]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_name_is_durable_with_its_directory_and_changes_stay_in_order() {
        let seen = outcomes(|names| {
            names.add(DIR, "synced", 10);
            names.sync(DIR);
            names.add(DIR, "first", 11);
            names.add(DIR, "second", 12);
        });
        let root = || names_of(["dir"]);
        let all = [names_of(["synced"]), names_of(["first", "synced"]), names_of(["first", "second", "synced"])];
        assert_eq!(seen, all.map(|dir| (root(), dir)).into());
    }

    #[test]
    fn a_rename_between_directories_never_leaves_both_names_or_neither() {
        let seen = outcomes(|names| {
            names.add(DIR, "new", 10);
            names.sync(DIR);
            names.rename((DIR, "new"), (ROOT, "final"), 10);
        });
        let before = (names_of(["dir"]), names_of(["new"]));
        let after = (names_of(["dir", "final"]), names_of([]));
        assert_eq!(seen, BTreeSet::from([before, after]));
    }

    #[test]
    fn syncing_one_end_of_a_rename_saves_both_and_what_came_before_it() {
        let seen = outcomes(|names| {
            names.add(DIR, "earlier", 9);
            names.add(DIR, "new", 10);
            names.rename((DIR, "new"), (ROOT, "final"), 10);
            names.add(DIR, "later", 11);
            names.sync(ROOT);
        });
        let root = || names_of(["dir", "final"]);
        let all = [names_of(["earlier"]), names_of(["earlier", "later"])];
        assert_eq!(seen, all.map(|dir| (root(), dir)).into());
    }

    #[test]
    fn a_directory_without_a_durable_name_is_gone_with_all_it_holds() {
        let mut names = names();
        names.make_directory(3);
        names.add(DIR, "sub", 3);
        names.add(3, "file", 10);
        names.sync(3);
        assert!(names.needed().contains(&10));
        let lost = (0..50).any(|seed| {
            let mut names =
                Names { seen: names.seen.clone(), durable: names.durable.clone(), pending: names.pending.clone() };
            names.cut(&mut StdRng::seed_from_u64(seed));
            !names.needed().contains(&10) && names.entries(3).is_none()
        });
        assert!(lost);
        names.sync(DIR);
        names.cut(&mut StdRng::seed_from_u64(1));
        assert_eq!(names.entries(3).map(Entries::len), Some(1));
    }

    #[test]
    fn what_a_directory_held_durably_is_needed_while_its_own_name_is_not_durable() {
        let mut names = Names::new();
        names.make_directory(3);
        names.add(ROOT, "dir", 3);
        names.add(3, "file", 10);
        names.sync(3);
        names.remove(3, "file");
        assert!(names.needed().contains(&10), "a cut may keep the directory and undo the removal");
    }
}

//! The registers of many keys, shared by those who write, read and list them.

use super::register::{Fate, Reading, Register, Seen, WriteId};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};

/// Everything one writer has done to its keys. Any number of readers.
#[derive(Debug, Default)]
pub struct Ledger {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    keys: BTreeMap<String, Register>,
    summary: Summary,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    pub puts_acknowledged: u64,
    pub deletes_acknowledged: u64,
    pub writes_unknown: u64,
    pub writes_refused: u64,
    pub reads_checked: u64,
    pub listings_checked: u64,
}

/// A listing under way: what each key may be.
#[derive(Debug)]
pub struct Listing {
    readings: BTreeMap<String, Reading>,
}

impl Ledger {
    /// A put of `key` begins.
    pub fn begin_put(&self, key: &str) -> WriteId {
        self.with(key, Register::begin_put)
    }

    /// A delete of `key` begins.
    pub fn begin_delete(&self, key: &str) -> WriteId {
        self.with(key, Register::begin_delete)
    }

    /// The put under way on `key` ends.
    pub fn end_put(&self, key: &str, fate: Fate) {
        self.with(key, |register| register.end(fate));
        self.inner.lock().summary.count(fate, |summary| &mut summary.puts_acknowledged);
    }

    /// The delete under way on `key` ends.
    pub fn end_delete(&self, key: &str, fate: Fate) {
        self.with(key, |register| register.end(fate));
        self.inner.lock().summary.count(fate, |summary| &mut summary.deletes_acknowledged);
    }

    /// A read of `key` begins.
    pub fn begin_read(&self, key: &str) -> Reading {
        self.with(key, |register| register.begin_read())
    }

    /// The read ends. `Err` says what is wrong, and with which key.
    ///
    /// # Errors
    /// When no correct store could have answered this.
    pub fn end_read(&self, key: &str, reading: &Reading, seen: Seen) -> Result<(), String> {
        self.inner.lock().summary.reads_checked += 1;
        self.with(key, |register| register.end_read(reading, seen)).map_err(|violation| format!("{key}: {violation}"))
    }

    /// A listing of all keys begins.
    pub fn begin_list(&self) -> Listing {
        let inner = self.inner.lock();
        Listing { readings: inner.keys.iter().map(|(key, register)| (key.clone(), register.begin_read())).collect() }
    }

    /// The listing ends; it showed the keys `listed`.
    ///
    /// # Errors
    /// Names the first key that is missing, that should not be there, or that nobody ever wrote.
    pub fn end_list(&self, listing: &Listing, listed: &BTreeSet<String>) -> Result<(), String> {
        let mut inner = self.inner.lock();
        inner.summary.listings_checked += 1;
        for (key, reading) in &listing.readings {
            let seen = if listed.contains(key) { Seen::Present } else { Seen::Absent };
            let register = inner.keys.get_mut(key).expect("a key is never forgotten");
            register.end_read(reading, seen).map_err(|violation| format!("listing: {key}: {violation}"))?;
        }
        match listed.iter().find(|key| !inner.keys.contains_key(*key)) {
            Some(key) => Err(format!("listing: {key}: nobody ever wrote it")),
            None => Ok(()),
        }
    }

    /// Writes of `key` that may still take effect.
    pub fn unknown(&self, key: &str) -> usize {
        self.with(key, |register| register.unknown())
    }

    /// All keys ever written.
    pub fn keys(&self) -> Vec<String> {
        self.inner.lock().keys.keys().cloned().collect()
    }

    /// Keys that certainly hold something.
    pub fn held(&self) -> usize {
        self.inner.lock().keys.values().filter(|register| register.holds_something()).count()
    }

    /// The counts so far.
    pub fn summary(&self) -> Summary {
        self.inner.lock().summary
    }

    fn with<T>(&self, key: &str, work: impl FnOnce(&mut Register) -> T) -> T {
        let mut inner = self.inner.lock();
        match inner.keys.get_mut(key) {
            Some(register) => work(register),
            None => work(inner.keys.entry(key.to_owned()).or_default()),
        }
    }
}

impl Summary {
    fn count(&mut self, fate: Fate, acknowledged: fn(&mut Self) -> &mut u64) {
        match fate {
            Fate::Took => *acknowledged(self) += 1,
            Fate::Refused => self.writes_refused += 1,
            Fate::Unknown => self.writes_unknown += 1,
        }
    }
}

impl std::ops::AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.puts_acknowledged += other.puts_acknowledged;
        self.deletes_acknowledged += other.deletes_acknowledged;
        self.writes_unknown += other.writes_unknown;
        self.writes_refused += other.writes_refused;
        self.reads_checked += other.reads_checked;
        self.listings_checked += other.listings_checked;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(keys: &[&str]) -> BTreeSet<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    #[test]
    fn a_listing_shows_what_is_there_and_nothing_else() {
        let ledger = Ledger::default();
        for key in ["a", "b", "gone", "perhaps"] {
            ledger.begin_put(key);
            ledger.end_put(key, if key == "perhaps" { Fate::Unknown } else { Fate::Took });
        }
        ledger.begin_delete("gone");
        ledger.end_delete("gone", Fate::Took);
        let check = |keys: &[&str]| ledger.end_list(&ledger.begin_list(), &listed(keys));
        assert_eq!(check(&["a", "b"]), Ok(()));
        assert_eq!(check(&["a", "b", "perhaps"]), Ok(()));
        for wrong in [&["a"][..], &["a", "b", "gone"], &["a", "b", "foreign"]] {
            assert!(check(wrong).is_err(), "{wrong:?} passed");
        }
    }

    #[test]
    fn a_listing_that_showed_an_unknown_write_settles_it() {
        let ledger = Ledger::default();
        ledger.begin_put("k");
        ledger.end_put("k", Fate::Unknown);
        assert_eq!(ledger.end_list(&ledger.begin_list(), &listed(&["k"])), Ok(()));
        assert!(ledger.end_list(&ledger.begin_list(), &listed(&[])).is_err(), "it was there and nobody deleted it");
        assert_eq!((ledger.unknown("k"), ledger.held()), (0, 1));
    }
}

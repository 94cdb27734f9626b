//! What the clients did and saw, and the verdict on it.

use bulkhead_cell::meta::record::Etag;
use bulkhead_loadtest::oracle::{Action, Operation, history};
use bytes::Bytes;
use md5::Digest as _;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// The keys of a run: few, so that clients meet on them.
pub const KEYS: [&str; 8] = ["a", "a/1", "a/2", "b", "b/x/1", "b/x/2", "c", "z"];

/// Everything written down.
#[derive(Default)]
pub struct Book(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    moment: u64,
    histories: BTreeMap<String, Vec<Operation>>,
    /// By version: what was written.
    written: BTreeMap<u64, Bytes>,
    versions: BTreeMap<([u8; 16], Option<u32>), u64>,
    /// Per key the writes that were acknowledged: when they began and ended.
    stamps: BTreeMap<String, Vec<Stamp>>,
    /// By version: the time that readers were told it was written, in seconds.
    dates: BTreeMap<u64, i64>,
    violations: Vec<String>,
    tally: Tally,
}

#[derive(Debug, Clone, Copy)]
struct Stamp {
    begun: u64,
    ended: u64,
    version: u64,
}

/// How many of what.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub reads: u64,
    pub writes: u64,
    pub refused: u64,
    pub unknown: u64,
    pub given_up: u64,
    pub lists: u64,
}

impl Book {
    /// The next moment.
    pub fn moment(&self) -> u64 {
        let mut inner = self.0.lock();
        inner.moment += 1;
        inner.moment
    }

    /// A version of its own for content that `make` makes, beginning with that version.
    pub fn write(&self, make: impl FnOnce(u64) -> (Bytes, Etag)) -> u64 {
        let mut inner = self.0.lock();
        let version = inner.written.len() as u64 + 1;
        let (content, etag) = make(version);
        inner.written.insert(version, content);
        inner.versions.insert((etag.md5, etag.parts), version);
        version
    }

    /// What a version holds.
    pub fn content(&self, version: u64) -> Bytes {
        self.0.lock().written[&version].clone()
    }

    /// The version that a body is, if it is one from its first byte to its last.
    pub fn recognise(&self, body: &[u8]) -> Option<u64> {
        let version = u64::from_be_bytes(*body.first_chunk()?);
        self.0.lock().written.get(&version).filter(|written| *written == body).map(|_| version)
    }

    /// The version that has this ETag.
    pub fn version(&self, etag: Etag) -> Option<u64> {
        self.0.lock().versions.get(&(etag.md5, etag.parts)).copied()
    }

    /// The ETag of a version.
    pub fn etag(&self, version: u64) -> Option<Etag> {
        let inner = self.0.lock();
        let found = inner.versions.iter().find(|(_, of)| **of == version);
        found.map(|((md5, parts), _)| Etag { md5: *md5, parts: *parts })
    }

    /// Writes an operation down.
    pub fn enter(&self, key: &str, operation: Operation) {
        let mut inner = self.0.lock();
        match operation {
            Operation { action: Action::Read(_), .. } => inner.tally.reads += 1,
            Operation { action: Action::Refused(_), .. } => inner.tally.refused += 1,
            Operation { action: Action::Wrote(..), ended: Some(_), .. } => inner.tally.writes += 1,
            Operation { action: Action::Wrote(..), ended: None, .. } => inner.tally.unknown += 1,
        }
        inner.histories.entry(key.to_owned()).or_default().push(operation);
    }

    /// A write of `version` that began at `begun` is acknowledged now.
    pub fn acknowledged(&self, key: &str, begun: u64, version: u64) {
        let ended = self.moment();
        self.0.lock().stamps.entry(key.to_owned()).or_default().push(Stamp { begun, ended, version });
    }

    /// A reader was told when a version was written.
    pub fn dated(&self, version: u64, modified: Option<i64>) {
        let Some(modified) = modified else {
            return self.violation(format!("version {version} was read without a date"));
        };
        let before = self.0.lock().dates.insert(version, modified);
        if before.is_some_and(|before| before != modified) {
            self.violation(format!("version {version} was written at {before:?} and at {modified}"));
        }
    }

    /// A page that was asked for at `begun` and is there now: a read of every key behind the first of `bounds` and up to the second.
    pub fn enter_list(&self, begun: u64, bounds: (Option<&str>, Option<&str>), listed: &BTreeMap<String, Etag>) {
        let (after, last) = bounds;
        let within = |key: &str| after.is_none_or(|after| key > after) && last.is_none_or(|last| key <= last);
        let ended = Some(self.moment());
        self.0.lock().tally.lists += 1;
        for (key, etag) in listed {
            if !within(key) {
                self.violation(format!("a page of a listing from {after:?} to {last:?} shows {key}"));
            } else if !KEYS.contains(&key.as_str()) {
                self.violation(format!("a listing shows {key}, which nobody ever wrote"));
            } else if self.version(*etag).is_none() {
                self.violation(format!("a listing shows {key} with {etag:?}, which nobody ever wrote"));
            }
        }
        for key in KEYS.into_iter().filter(|key| within(key)) {
            let seen = listed.get(key).and_then(|etag| self.version(*etag));
            self.0.lock().histories.entry(key.to_owned()).or_default().push(Operation {
                begun,
                ended,
                action: Action::Read(seen),
            });
        }
    }

    /// Something that certainly did not happen.
    pub fn given_up(&self) {
        self.0.lock().tally.given_up += 1;
    }

    /// Something no correct cell does.
    pub fn violation(&self, what: String) {
        self.0.lock().violations.push(what);
    }

    pub fn tally(&self) -> Tally {
        self.0.lock().tally
    }

    /// Everything that is wrong.
    pub fn verdict(&self) -> Vec<String> {
        let inner = self.0.lock();
        let mut wrong = inner.violations.clone();
        for (key, history) in &inner.histories {
            if let Err(why) = history::check(history) {
                wrong.push(format!("{key}: {why}"));
            }
        }
        let date = |stamp: &Stamp| inner.dates.get(&stamp.version);
        for (key, stamps) in &inner.stamps {
            let dated: Vec<_> = stamps.iter().filter_map(|stamp| Some((stamp, date(stamp)?))).collect();
            let back = |(first, at): &&(&Stamp, &i64)| {
                dated.iter().any(|(then, later)| first.ended < then.begun && at > later)
            };
            if let Some((first, at)) = dated.iter().find(back) {
                wrong.push(format!("{key}: a write after {first:?}, of {at}, was given an earlier time"));
            }
        }
        wrong
    }
}

/// `len` bytes (at least 8) that begin with their version and are like no other's.
pub fn content(version: u64, len: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(len + 8);
    bytes.extend(version.to_be_bytes());
    let mut state = version;
    while bytes.len() < len {
        state = crate::entropy::mixed(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len.max(8));
    bytes.into()
}

/// The ETag of an object put at once.
pub fn etag(bytes: &[u8]) -> Etag {
    Etag { md5: md5::Md5::digest(bytes).into(), parts: None }
}

/// The ETag of an object completed from these parts.
pub fn etag_of_parts(parts: &[Bytes]) -> Etag {
    let digests: Vec<u8> = parts.iter().flat_map(|part| etag(part).md5).collect();
    Etag { parts: u32::try_from(parts.len()).ok(), ..etag(&digests) }
}

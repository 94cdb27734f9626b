//! The log against a model of it, over power failures: whatever was not synced may be missing from any byte on.

use super::*;
use crate::{store::files, types::Command};
use openraft::{EntryPayload, impls::leader_id_adv::LeaderId, storage::RaftLogStorageExt};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, VecDeque},
    fs,
};
use tempfile::TempDir;

/// Small files, so that writes cross from one to the next.
const FILE_BYTES: usize = 4 << 10;
/// What a disk writes whole or not at all. Bytes.
const SECTOR: u64 = 512;

#[derive(Debug, Clone)]
enum Step {
    Append {
        entries: u64,
        bytes: usize,
        awaited: bool,
    },
    Truncate {
        back: u64,
    },
    Purge {
        ahead: u64,
    },
    Vote,
    Commit,
    /// The power fails: of the unsynced bytes this share of 256 is there, and zeros where the last file was longer.
    Crash {
        kept: u64,
        zeros: bool,
    },
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..6_u64, 0..1500_usize, any::<bool>()).prop_map(|(entries, bytes, awaited)| Step::Append { entries, bytes, awaited }),
        1 => (0..4_u64).prop_map(|back| Step::Truncate { back }),
        1 => (0..6_u64).prop_map(|ahead| Step::Purge { ahead }),
        1 => Just(Step::Vote),
        1 => Just(Step::Commit),
        3 => (0..=256_u64, any::<bool>()).prop_map(|(kept, zeros)| Step::Crash { kept, zeros }),
        1 => Just(Step::Kill),
    ]
}

/// What a log holds.
#[derive(Debug, Clone, Default, PartialEq)]
struct Holds {
    vote: Option<Vote>,
    purged: Option<LogId>,
    entries: VecDeque<Entry>,
}

impl Holds {
    fn last(&self) -> Option<LogId> {
        self.entries.back().map(|entry| entry.log_id).or(self.purged)
    }
}

/// A log, and all it may be found to hold after a power failure: the first is certain.
struct World {
    dir: TempDir,
    log: Option<LogStore>,
    may_hold: Vec<Holds>,
    /// Lengths of the files when the last sync was acknowledged.
    synced: BTreeMap<String, u64>,
    /// The files that were there before the last purge.
    before_purge: Vec<String>,
    /// The index of the last entry that was committed.
    committed: Option<u64>,
    term: u64,
}

impl World {
    async fn new() -> Self {
        let dir = TempDir::new().expect("a directory");
        let mut world = Self {
            dir,
            log: None,
            may_hold: vec![Holds::default()],
            synced: BTreeMap::new(),
            before_purge: Vec::new(),
            committed: None,
            term: 1,
        };
        world.open().await;
        world
    }

    async fn open(&mut self) {
        let opened = LogStore::open(self.dir.path(), FILE_BYTES, Box::new(|_| Ok(()))).await;
        self.log = Some(opened.expect("the log opens"));
        self.before_purge.clear();
        self.acknowledged();
    }

    fn log(&mut self) -> &mut LogStore {
        self.log.as_mut().expect("it is open")
    }

    fn now(&self) -> Holds {
        self.may_hold.last().cloned().expect("never empty")
    }

    /// Everything so far survives.
    fn acknowledged(&mut self) {
        self.may_hold = vec![self.now()];
        self.synced = self.lengths();
    }

    fn lengths(&self) -> BTreeMap<String, u64> {
        let paths = files::children(self.dir.path()).expect("listable");
        let wal = paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "wal"));
        wal.map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, path.metadata().expect("a length").len())
        })
        .collect()
    }

    async fn append(&mut self, count: u64, bytes: usize, awaited: bool) {
        let mut holds = self.now();
        let first = holds.last().map_or(0, |id| id.index() + 1);
        let id = |index| LogId::new(LeaderId { term: self.term, node_id: 1 }, index);
        let payload = |index| EntryPayload::Normal(Command(vec![index as u8; bytes].into()));
        let entries: Vec<_> = (first..first + count).map(|index| Entry::new(id(index), payload(index))).collect();
        for entry in &entries {
            holds.entries.push_back(entry.clone());
            self.may_hold.push(holds.clone());
        }
        if awaited {
            self.log().blocking_append(entries).await.expect("appended");
            self.acknowledged();
        } else {
            self.log().append(entries, IOFlushed::noop()).await.expect("appended");
        }
    }

    /// Votes; whatever was written before is synced with it.
    async fn vote(&mut self) -> Vote {
        self.term += 1;
        let vote = Vote::new(self.term, 1);
        let mut holds = self.now();
        holds.vote = Some(vote);
        self.may_hold.push(holds);
        self.log().save_vote(&vote).await.expect("saved");
        self.acknowledged();
        vote
    }

    async fn change(&mut self, step: &Step) {
        let mut holds = self.now();
        match *step {
            Step::Truncate { back } => {
                let Some(last) = holds.last().filter(|_| holds.entries.len() as u64 > back) else { return };
                // What is committed is never cut off.
                if self.committed.is_some_and(|committed| last.index() < committed + back) {
                    return;
                }
                while holds.last().is_some_and(|id| id.index() > last.index() - back) {
                    holds.entries.pop_back();
                }
                self.term += 1;
                let to = holds.last();
                self.log().truncate_after(to).await.expect("truncated");
            }
            Step::Purge { ahead } => {
                let at = usize::try_from(ahead).expect("few");
                let Some(upto) = holds.entries.get(at).map(|entry| entry.log_id) else { return };
                // Only what is applied is purged, and so what was synced long ago.
                holds.vote = Some(self.vote().await);
                self.before_purge = self.lengths().into_keys().collect();
                holds.entries.drain(..=at);
                holds.purged = Some(upto);
                self.log().purge(upto).await.expect("purged");
            }
            Step::Vote => {
                self.vote().await;
                return;
            }
            Step::Commit => {
                let last = holds.last();
                self.committed = self.committed.max(last.map(|id| id.index()));
                return self.log().save_committed(last).await.expect("saved");
            }
            Step::Append { .. } | Step::Crash { .. } | Step::Kill => return,
        }
        self.may_hold.push(holds);
    }

    /// Cuts what was not synced.
    fn lose(&mut self, kept: u64, zeros: bool) {
        let lengths = self.lengths();
        if self.before_purge.iter().any(|name| !lengths.contains_key(name)) {
            // A file goes only when the purge is on stable storage, and what was written before it too.
            return self.acknowledged();
        }
        let synced = |name: &String| self.synced.get(name).copied().unwrap_or(0);
        let unsynced: u64 = lengths.iter().map(|(name, len)| len.saturating_sub(synced(name))).sum();
        let mut left = unsynced * kept / 256;
        for (name, len) in &lengths {
            let path = self.dir.path().join(name);
            let keep = synced(name).min(*len) + left.min(len.saturating_sub(synced(name)));
            left -= keep - synced(name).min(*len);
            if keep == 0 {
                fs::remove_file(path).expect("removable");
                continue;
            }
            let file = fs::OpenOptions::new().write(true).open(path).expect("writable");
            // A file that kept its length lost whole sectors, or what was added to one since it was synced.
            let keep = if zeros && keep < *len { synced(name).min(*len).max(keep / SECTOR * SECTOR) } else { keep };
            file.set_len(keep).expect("cut");
            if zeros && keep < *len {
                file.set_len(*len).expect("extended");
            }
        }
    }

    async fn found(&mut self) -> Holds {
        let log = self.log();
        let vote = log.read_vote().await.expect("readable");
        let purged = log.get_log_state().await.expect("readable").last_purged_log_id;
        let entries = log.try_get_log_entries(..).await.expect("readable").into();
        Holds { vote, purged, entries }
    }
}

async fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut world = World::new().await;
    for step in steps {
        match step {
            Step::Append { entries, bytes, awaited } => world.append(entries, bytes, awaited).await,
            Step::Truncate { .. } | Step::Purge { .. } | Step::Vote | Step::Commit => world.change(&step).await,
            Step::Crash { .. } | Step::Kill => {
                world.log = None;
                if let Step::Crash { kept, zeros } = step {
                    world.lose(kept, zeros);
                } else {
                    world.may_hold = vec![world.now()];
                }
                let before = std::mem::take(&mut world.may_hold);
                world.may_hold = vec![Holds::default()];
                world.open().await;
                let found = world.found().await;
                prop_assert!(before.contains(&found), "found {:?}, but only {:?} can be", found, before);
                world.may_hold = vec![found];
            }
        }
        let (found, now) = (world.found().await, world.now());
        prop_assert_eq!(found, now);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_power_failure_leaves_a_beginning_of_what_was_not_synced(steps in prop::collection::vec(step(), 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(run(steps))?;
    }
}

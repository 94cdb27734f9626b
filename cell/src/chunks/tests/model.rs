//! The store against a model of it: what was acknowledged, what may be there, what was freed.
//!
//! Whatever the disk does, an acknowledged chunk that was not freed is there byte for byte, a chunk that was not acknowledged is there whole or
//! not at all, what is freed is gone until a restart at most, and what a reopened store has it keeps. Compaction changes nothing of this.

use super::{
    compaction::{ALL, Names},
    *,
};
use crate::{
    chunks::{Health, disk::Fault},
    limits::DISK_RESERVE_BYTES,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    /// So many chunks of this length at once.
    Put {
        count: u64,
        len: u32,
    },
    /// One of the chunks once more: the last, or one that was damaged.
    PutAgain(u64),
    /// Every chunk whose number leaves this remainder.
    Free {
        divisor: u64,
        remainder: u64,
    },
    /// While chunks are put.
    Compact {
        puts: u64,
    },
    /// And its `n`th write is not what it should be, though the disk says so.
    CompactWithLie(u64),
    EmptyTrash,
    Verify(u64),
    /// A bit of a chunk's record.
    Flip {
        number: u64,
        bit: u64,
    },
    Plan(Fault),
    Crash,
    Kill,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let fault = (0..5_u64, 0..6).prop_map(|(after, kind)| match kind {
        0 => Fault::Write(after),
        1 => Fault::WriteNoSpace(after),
        2 => Fault::Directory(after),
        3 => Fault::Read(after * 3),
        4 => Fault::Power(after * 11),
        _ => Fault::Sync(after),
    });
    let len = prop_oneof![1..=CHUNK_BYTES, 1..10_000_u32, 180_000..=CHUNK_BYTES];
    prop_oneof![
        8 => (1..6_u64, len).prop_map(|(count, len)| Step::Put { count, len }),
        1 => any::<u64>().prop_map(Step::PutAgain),
        3 => (2..5_u64, 0..5_u64).prop_map(|(divisor, remainder)| Step::Free { divisor, remainder }),
        5 => (0..4_u64).prop_map(|puts| Step::Compact { puts }),
        1 => (0..4_u64).prop_map(Step::CompactWithLie),
        3 => Just(Step::EmptyTrash),
        1 => any::<u64>().prop_map(Step::Verify),
        1 => any::<(u64, u64)>().prop_map(|(number, bit)| Step::Flip { number, bit }),
        4 => fault.prop_map(Step::Plan),
        2 => Just(Step::Crash),
        1 => Just(Step::Kill),
        1 => Just(Step::Restart),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Acknowledged, or seen after a reopening.
    Durable,
    /// Its put failed, its record was damaged, or it was freed in an earlier life.
    Unknown,
    /// Freed in this life.
    Freed,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    len: u32,
    state: State,
    /// Whether it is still named.
    needed: bool,
}

/// What should be there.
#[derive(Default)]
struct Model {
    chunks: BTreeMap<u64, Entry>,
    /// In this life a read may have failed, so that the store may have forgotten durable chunks.
    reads_failed: bool,
    /// Of a chunk whose younger record was damaged, an older one may be needed that was about to go.
    flipped: bool,
}

impl Model {
    async fn put(&mut self, store: &LocalStore, count: u64, len: u32) {
        let first = self.chunks.len() as u64;
        let puts = (first..first + count)
            .map(|number| async move { (number, store.put(chunk(number, len), deadline()).await) });
        for (number, outcome) in futures::future::join_all(puts).await {
            let state = if outcome.is_ok() { State::Durable } else { State::Unknown };
            self.chunks.insert(number, Entry { len, state, needed: true });
        }
    }

    /// One of the chunks that are needed.
    fn pick(&mut self, number: u64) -> Option<(u64, &mut Entry)> {
        let mut needed: Vec<_> = self.chunks.iter_mut().filter(|(_, entry)| entry.needed).collect();
        let at = usize::try_from(number % (needed.len() as u64).max(1)).expect("few");
        (at < needed.len()).then(|| needed.swap_remove(at)).map(|(number, entry)| (*number, entry))
    }

    async fn put_again(&mut self, store: &LocalStore, number: u64) {
        if let Some((number, entry)) = self.pick(number)
            && store.put(chunk(number, entry.len), deadline()).await.is_ok()
        {
            entry.state = State::Durable;
        }
    }

    fn free(&mut self, store: &LocalStore, divisor: u64, remainder: u64) {
        let chosen = self.chunks.iter_mut().filter(|(number, _)| *number % divisor == remainder);
        let ids: Vec<_> = chosen
            .map(|(number, entry)| {
                (entry.state, entry.needed) = (State::Freed, false);
                id(*number)
            })
            .collect();
        store.free(&ids);
    }

    fn names(&self) -> Names {
        let needed = self.chunks.iter().filter(|(_, entry)| entry.needed);
        Names(Ok(needed.map(|(number, _)| id(*number)).collect()))
    }

    async fn empty_trash(&self, store: &LocalStore) -> Result<(), TestCaseError> {
        let emptied = store.empty_trash(&self.names()).await;
        let excused = self.reads_failed || self.flipped;
        prop_assert!(excused || emptied.rescued == 0, "a chunk that is needed came to trash");
        Ok(())
    }

    async fn verify(&mut self, store: &LocalStore, number: u64) -> Result<(), TestCaseError> {
        let Some((number, Entry { len, .. })) = self.pick(number) else { return Ok(()) };
        let (len, before) = (*len, store.has(id(number)));
        let health = store.verify(id(number), deadline()).await.expect("in time");
        let whole = read(store, number, len).await == Ok(bytes(number, len));
        if !self.reads_failed {
            prop_assert_eq!(health == Health::Whole { bytes: len }, whole, "chunk {}: {:?}", number, health);
            prop_assert_eq!(health == Health::Missing, !before);
        }
        Ok(())
    }

    /// A bit of the chunk's head, CRC table or payload: from now on it is right or absent, but never wrong.
    fn flip(&mut self, store: &LocalStore, disk: &FaultyDisk, number: u64, bit: u64) {
        if let Some((number, entry)) = self.pick(number)
            && let Some(location) = store.parts.index.get(id(number))
        {
            let at = location.offset() * 8 + bit % ((u64::from(entry.len) + 64) * 8);
            disk.flip(&location.extent.to_string(), usize::try_from(at).expect("small"));
            entry.state = State::Unknown;
            self.flipped = true;
        }
    }

    fn reopened(&mut self, reads_failed: bool) {
        self.reads_failed = reads_failed;
        for entry in self.chunks.values_mut().filter(|entry| entry.state == State::Freed) {
            entry.state = State::Unknown;
        }
    }

    async fn check(&mut self, store: &LocalStore) -> Result<(), TestCaseError> {
        for (number, Entry { len, state, .. }) in &mut self.chunks {
            match (read(store, *number, *len).await, *state) {
                (Ok(_), State::Freed) => return Err(TestCaseError::fail(format!("chunk {number} was freed"))),
                (Ok(read), State::Durable | State::Unknown) => {
                    prop_assert_eq!(read, bytes(*number, *len), "chunk {} has other bytes", number);
                    *state = State::Durable;
                }
                (Err(ReadError::Missing), State::Unknown | State::Freed) => {}
                (Err(ReadError::Damaged(_)), State::Unknown) => {}
                (Err(ReadError::Missing | ReadError::Damaged(_)), _) if self.reads_failed => {}
                (Err(error), _) => return Err(TestCaseError::fail(format!("chunk {number} is lost: {error}"))),
            }
        }
        let here: Vec<_> = self.chunks.keys().copied().map(id).filter(|id| store.has(*id)).collect();
        prop_assert_eq!(store.page(None, usize::MAX), here);
        let counted = store.parts.index.recount();
        for extent in store.figures().extents {
            prop_assert_eq!(counted.get(&extent.id), Some(&(extent.live, extent.corrupt)), "{:?}", extent);
        }
        Ok(())
    }
}

/// Opens the store, as often as the power fails meanwhile.
async fn reopen(disk: &mut FaultyDisk, model: &mut Model) -> LocalStore {
    loop {
        let reads_fail = disk.will_fail_a_read();
        let opened = LocalStore::open(config(1), Arc::new(disk.clone()), &Env::for_tests(7)).await;
        if !disk.is_dead() {
            model.reopened(reads_fail);
            return opened.expect("the store opens");
        }
        *disk = disk.crash();
    }
}

async fn compact_with_lie(store: &LocalStore, disk: &FaultyDisk, write: u64) {
    disk.plan(Fault::Lie(write));
    store.compact_once(ALL).await;
    disk.forget_lies();
}

async fn run(seed: u64, space: u64, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut disk = FaultyDisk::new(seed, DISK_RESERVE_BYTES + space * EXTENT_BYTES);
    let mut store = open(&disk).await;
    let mut model = Model::default();
    for step in steps.into_iter().chain([Step::Crash, Step::Compact { puts: 0 }, Step::EmptyTrash, Step::Crash]) {
        match step {
            Step::Put { count, len } => model.put(&store, count, len).await,
            Step::PutAgain(number) => model.put_again(&store, number).await,
            Step::Free { divisor, remainder } => model.free(&store, divisor, remainder),
            Step::Compact { puts } => {
                futures::future::join(store.compact_once(ALL), model.put(&store, puts, 50_000)).await;
            }
            Step::CompactWithLie(write) => compact_with_lie(&store, &disk, write).await,
            Step::EmptyTrash => model.empty_trash(&store).await?,
            Step::Verify(number) => model.verify(&store, number).await?,
            Step::Flip { number, bit } => model.flip(&store, &disk, number, bit),
            Step::Plan(fault) => {
                model.reads_failed |= matches!(fault, Fault::Read(_) | Fault::Power(_));
                disk.plan(fault);
                continue;
            }
            Step::Crash | Step::Kill | Step::Restart => {
                if let Step::Restart = step {
                    store.shutdown().await;
                }
                disk = if let Step::Crash = step { disk.crash() } else { disk.kill() };
                store = reopen(&mut disk, &mut model).await;
            }
        }
        model.check(&store).await?;
        if disk.is_dead() {
            disk = disk.crash();
            store = reopen(&mut disk, &mut model).await;
            model.check(&store).await?;
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn nothing_acknowledged_is_lost_and_no_wrong_byte_is_read(
        seed: u64,
        space in prop_oneof![4..10_u64, Just(1_000)],
        steps in prop::collection::vec(step(), 1..35),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(run(seed, space, steps))?;
    }
}

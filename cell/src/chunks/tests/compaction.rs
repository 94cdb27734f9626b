//! What is freed comes back as space, and what is not freed is never touched.

use super::*;
use crate::{
    chunks::{
        Budget, Compacted, CopyError, Emptied, Inspect,
        compact::Outcome,
        disk::{Disk as _, Fault},
        extent::ExtentId,
        format::record_bytes,
        health::DiskState,
        index::ExtentState,
    },
    limits::{COMPACTION_BYTES_PER_SECOND_MAX, COMPACTION_RESERVE_BYTES, DISK_RESERVE_BYTES, TRASH_EXTENTS_MAX},
};
use async_trait::async_trait;
use std::{collections::BTreeSet, ops::Range};

/// Five of them fill an extent.
const LEN: u32 = 190_000;
pub const ALL: Budget = Budget { bytes: u64::MAX, bytes_per_second: COMPACTION_BYTES_PER_SECOND_MAX };

/// Knows which chunks are needed, and may refuse to say so.
pub struct Names(pub Result<BTreeSet<ChunkId>, String>);

impl Names {
    fn of(numbers: impl IntoIterator<Item = u64>) -> Self {
        Self(Ok(numbers.into_iter().map(id).collect()))
    }
}

#[async_trait]
impl Inspect for Names {
    async fn needed(&self, ids: &[ChunkId]) -> Result<Vec<ChunkId>, String> {
        let names = self.0.clone()?;
        Ok(ids.iter().copied().filter(|id| names.contains(id)).collect())
    }
}

async fn filled(disk: &FaultyDisk, numbers: Range<u64>) -> LocalStore {
    let store = open(disk).await;
    for number in numbers {
        store.put(chunk(number, LEN), deadline()).await.expect("stored");
    }
    store
}

fn free(store: &LocalStore, numbers: impl IntoIterator<Item = u64>) {
    store.free(&numbers.into_iter().map(id).collect::<Vec<_>>());
}

/// Compacts and empties the trash until there is nothing more to do.
async fn compact_all(store: &LocalStore, names: &Names) -> (u64, Emptied) {
    let (mut copied, mut sum) = (0, Emptied::default());
    for _ in 0..100 {
        let Compacted { outcome, bytes, .. } = store.compact_once(ALL).await;
        copied += bytes;
        let emptied = store.empty_trash(names).await;
        assert_eq!(emptied.left, None);
        sum.extents += emptied.extents;
        sum.bytes += emptied.bytes;
        sum.dead += emptied.dead;
        sum.dead_bytes += emptied.dead_bytes;
        sum.moved += emptied.moved;
        match outcome {
            Outcome::Nothing => return (copied, sum),
            Outcome::Sealed(_) | Outcome::Partly(_) | Outcome::Trashed(_) | Outcome::TrashFull => {}
            Outcome::Full | Outcome::Failed { .. } => panic!("{outcome:?}"),
        }
    }
    panic!("compaction does not end");
}

async fn assert_there(store: &LocalStore, numbers: impl IntoIterator<Item = u64>, when: &str) {
    for number in numbers {
        assert!(read(store, number, LEN).await == Ok(bytes(number, LEN)), "chunk {number} {when}");
    }
}

fn every_tenth(numbers: Range<u64>) -> impl Iterator<Item = u64> {
    numbers.step_by(10)
}

#[tokio::test]
async fn freeing_nine_of_ten_gives_the_space_back_and_touches_nothing_else() {
    let disk = disk(5);
    let store = filled(&disk, 0..60).await;
    let before = disk.free_bytes().expect("known");
    free(&store, (0..60).filter(|number| number % 10 != 0));
    let (copied, emptied) = compact_all(&store, &Names::of(every_tenth(0..60))).await;
    let live = 6 * u64::from(LEN);
    assert!(copied <= live, "{copied} bytes copied for {live} alive");
    let dead_bytes = 54 * record_bytes(LEN);
    assert_eq!((emptied.dead, emptied.dead_bytes, emptied.rescued), (54, dead_bytes, 0));
    let gained = disk.free_bytes().expect("known") - before;
    // Twelve extents before, three afterwards at most: two with the copies, one that is open.
    assert!(gained >= 9 * EXTENT_BYTES, "{gained} bytes came back");
    assert_there(&store, every_tenth(0..60), "after compaction").await;
    let store = open(&disk.crash()).await;
    assert_there(&store, every_tenth(0..60), "after a crash").await;
    // The last removal may be undone by the crash, no more.
    assert!(store.figures().chunks <= 6 + 5, "what was removed came back");
}

#[tokio::test]
async fn whenever_the_power_fails_during_compaction_nothing_alive_is_lost() {
    let alive = || (0..20).step_by(4);
    for step in 0.. {
        let disk = disk(step);
        let store = filled(&disk, 0..20).await;
        free(&store, (0..20).filter(|number| number % 4 != 0));
        disk.plan(Fault::Power(step));
        for _ in 0..8 {
            store.compact_once(ALL).await;
            store.empty_trash(&Names::of(alive())).await;
        }
        let done = !disk.is_dead();
        drop(store);
        let disk = disk.crash();
        disk.heal();
        let store = open(&disk).await;
        assert_there(&store, alive(), &format!("after the power failed at operation {step}")).await;
        free(&store, (0..20).filter(|number| number % 4 != 0));
        compact_all(&store, &Names::of(alive())).await;
        let store = open(&disk.crash()).await;
        assert_there(&store, alive(), "after a second crash").await;
        if done {
            assert!(step > 50, "compaction was done after {step} operations");
            return;
        }
    }
}

#[tokio::test]
async fn a_copy_that_does_not_verify_does_not_take_the_place_of_the_original() {
    for seed in 0..10 {
        let disk = disk(seed);
        let store = filled(&disk, 0..6).await;
        free(&store, 1..5);
        // The next write is that of the only copy.
        disk.plan(Fault::Lie(0));
        let done = store.compact_once(ALL).await;
        if let Outcome::Failed { .. } = done.outcome {
            assert!(matches!(store.figures().state, DiskState::Suspect { .. }));
        }
        assert_there(&store, [0, 5], "after a write that lied").await;
        assert_there(&open(&disk.crash()).await, [0, 5], "after a crash").await;
    }
}

#[tokio::test]
async fn what_is_freed_while_it_is_copied_stays_freed() {
    let disk = disk(0);
    let store = filled(&disk, 0..6).await;
    let from = store.parts.index.get(id(0)).expect("there");
    let to = store.parts.index.get(id(5)).expect("there");
    free(&store, [0]);
    assert!(!store.parts.index.switch(id(0), from, to));
    assert!(!store.has(id(0)));
}

#[tokio::test]
async fn an_extent_with_a_damaged_chunk_is_kept_until_the_chunk_is_replaced_or_freed() {
    for replaced in [true, false] {
        let disk = disk(0);
        let store = filled(&disk, 0..6).await;
        free(&store, 1..5);
        disk.flip(&ExtentId(0).to_string(), 8 * 10_000);
        let done = store.compact_once(ALL).await;
        assert!(matches!(done.outcome, Outcome::Failed { .. }), "{done:?}");
        assert_eq!(store.figures().corrupt, 1);
        assert_eq!(store.compact_once(ALL).await.outcome, Outcome::Nothing, "it is passed over");
        assert!(disk.names().contains(&ExtentId(0).to_string()));
        if replaced {
            store.put(chunk(0, LEN), deadline()).await.expect("a copy from elsewhere");
        } else {
            free(&store, [0]);
        }
        assert_eq!(store.compact_once(ALL).await.outcome, Outcome::Trashed(ExtentId(0)));
        let names = if replaced { Names::of([0, 5]) } else { Names::of([5]) };
        assert_eq!(store.empty_trash(&names).await.extents, 1);
        assert_eq!(read(&store, 0, LEN).await.is_ok(), replaced);
    }
}

#[tokio::test]
async fn a_chunk_freed_by_mistake_is_rescued_from_trash() {
    let disk = disk(0);
    let store = filled(&disk, 0..6).await;
    free(&store, 0..5);
    assert_eq!(store.compact_once(ALL).await.outcome, Outcome::Trashed(ExtentId(0)));
    assert_eq!(read(&store, 3, LEN).await, Err(ReadError::Missing));
    let emptied = store.empty_trash(&Names::of([3, 5])).await;
    assert_eq!((emptied.extents, emptied.rescued), (0, 1));
    assert_there(&store, [3, 5], "after its rescue").await;
    compact_all(&store, &Names::of([3, 5])).await;
    assert!(!disk.names().contains(&ExtentId(0).to_string()), "the rescued chunk lies elsewhere now");
    assert_there(&open(&disk.crash()).await, [3, 5], "after a crash").await;
}

#[tokio::test]
async fn nothing_is_removed_while_nobody_can_tell_what_is_needed() {
    let disk = disk(0);
    let extents = TRASH_EXTENTS_MAX as u64 + 2;
    let store = filled(&disk, 0..5 * extents + 1).await;
    free(&store, 0..5 * extents);
    let silent = Names(Err("no leader".to_owned()));
    for _ in 0..TRASH_EXTENTS_MAX {
        assert!(matches!(store.compact_once(ALL).await.outcome, Outcome::Trashed(_)));
        assert_eq!(store.empty_trash(&silent).await.left, Some("no leader".to_owned()));
    }
    assert_eq!(store.compact_once(ALL).await.outcome, Outcome::TrashFull, "the trash is bounded");
    let figures = store.figures();
    assert_eq!(figures.trash_extents, TRASH_EXTENTS_MAX);
    assert!(figures.trash_bytes > 5 * u64::from(LEN) * TRASH_EXTENTS_MAX as u64);
    let emptied = store.empty_trash(&Names::of([5 * extents])).await;
    assert_eq!((emptied.extents, emptied.dead), (TRASH_EXTENTS_MAX, 5 * TRASH_EXTENTS_MAX));
    assert_eq!(store.figures().trash_bytes, 0);
}

#[tokio::test]
async fn a_restart_takes_extents_out_of_trash_and_younger_copies_count() {
    let disk = disk(0);
    let store = filled(&disk, 0..6).await;
    free(&store, 1..5);
    assert_eq!(store.compact_once(ALL).await.outcome, Outcome::Trashed(ExtentId(0)));
    drop(store);
    let disk = disk.crash();
    // The record that was moved, at its old place.
    disk.flip(&ExtentId(0).in_trash(), 8 * 10_000);
    let store = open(&disk).await;
    assert_there(&store, 0..6, "after the restart").await;
    assert!(disk.names().iter().all(|name| !name.ends_with(".trash")), "{:?}", disk.names());
    free(&store, 1..5);
    compact_all(&store, &Names::of([0, 5])).await;
    assert_there(&open(&disk.crash()).await, [0, 5], "in the end").await;
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_compaction_makes_room_from_the_reserve() {
    let disk = FaultyDisk::new(0, DISK_RESERVE_BYTES + 4 * EXTENT_BYTES);
    let store = open(&disk).await;
    let mut stored = 0;
    while store.put(chunk(stored, LEN), deadline()).await.is_ok() {
        stored += 1;
    }
    assert!(store.figures().full);
    assert!(disk.free_bytes().expect("known") >= DISK_RESERVE_BYTES + EXTENT_BYTES, "the reserve was not touched");
    free(&store, (0..stored).filter(|number| number % 5 > 1));
    let alive: Vec<_> = (0..stored).filter(|number| number % 5 <= 1).collect();
    let names = Names::of(alive.clone());
    // The first copies have to go to the reserve.
    assert!(matches!(store.compact_once(ALL).await.outcome, Outcome::Trashed(_)));
    assert_eq!(store.put(chunk(99, LEN), deadline()).await, Err(CopyError::Full), "ordinary writes may not go there");
    compact_all(&store, &names).await;
    store.put(chunk(99, LEN), deadline()).await.expect("there is room again");
    assert!(!store.figures().full);
    assert_there(&store, alive, "on a disk that was full").await;
}

#[tokio::test]
async fn index_and_log_may_use_half_of_the_reserve_and_compaction_still_begins() {
    let disk = FaultyDisk::new(0, DISK_RESERVE_BYTES + 3 * EXTENT_BYTES);
    let store = filled(&disk, 0..10).await;
    disk.set_space(DISK_RESERVE_BYTES / 2 + 3 * EXTENT_BYTES);
    free(&store, [1, 2, 3, 4]);
    assert_eq!(store.compact_once(ALL).await.outcome, Outcome::Trashed(ExtentId(0)));
    assert_there(&store, [0], "which was moved to the reserve").await;
}

#[tokio::test]
async fn when_not_even_the_reserve_has_room_compaction_says_so_and_dead_extents_still_go() {
    let disk = FaultyDisk::new(0, DISK_RESERVE_BYTES + 3 * EXTENT_BYTES);
    let store = filled(&disk, 0..10).await;
    disk.set_space(COMPACTION_RESERVE_BYTES + 5 * EXTENT_BYTES / 2);
    free(&store, [1, 2, 3, 4]);
    assert_eq!(store.compact_once(ALL).await.outcome, Outcome::Full);
    assert_there(&store, [0], "which found no room").await;
    free(&store, [0]);
    assert_eq!(store.compact_once(ALL).await.outcome, Outcome::Trashed(ExtentId(0)));
}

#[tokio::test]
async fn the_open_extent_is_given_back_when_it_is_mostly_dead() {
    let disk = disk(0);
    let store = filled(&disk, 0..3).await;
    free(&store, 0..2);
    assert_eq!(store.compact_once(ALL).await.outcome, Outcome::Sealed(ExtentId(0)));
    assert_eq!(store.compact_once(ALL).await.outcome, Outcome::Trashed(ExtentId(0)));
    assert_there(&store, [2], "of the open extent").await;
}

#[tokio::test]
async fn an_extent_that_failed_gives_its_preallocated_space_back() {
    let disk = disk(0);
    let store = filled(&disk, 0..2).await;
    disk.plan(Fault::Sync(0));
    store.put(chunk(2, LEN), deadline()).await.expect_err("the sync failed");
    let [failed] = store.figures().extents[..] else { panic!("one extent") };
    assert_eq!(failed.state, ExtentState::Failed);
    assert_eq!(failed.live + failed.dead, EXTENT_BYTES - 4_096);
    compact_all(&store, &Names::of([0, 1])).await;
    assert!(!disk.names().contains(&ExtentId(0).to_string()));
    assert_there(&open(&disk.crash()).await, [0, 1], "of the failed extent").await;
}

#[tokio::test]
async fn a_directory_that_fails_costs_no_chunk() {
    for fault in 0..3 {
        let disk = disk(0);
        let store = filled(&disk, 0..6).await;
        free(&store, 1..5);
        disk.plan(Fault::Directory(fault));
        for _ in 0..3 {
            store.compact_once(ALL).await;
            store.empty_trash(&Names::of([0, 5])).await;
        }
        assert_there(&store, [0, 5], "while the directory failed").await;
        assert_there(&open(&disk.crash()).await, [0, 5], "after a crash").await;
    }
}

#[tokio::test]
async fn a_budget_bounds_what_one_call_copies_and_how_fast() {
    let store = filled(&disk(0), 0..6).await;
    free(&store, [1, 3, 4]);
    let slow = Budget { bytes: 1, bytes_per_second: u64::from(LEN) * 5 };
    let begun = store.clock.now();
    let done = store.compact_once(slow).await;
    assert_eq!(done, Compacted { outcome: Outcome::Partly(ExtentId(0)), chunks: 1, bytes: u64::from(LEN) });
    assert!(store.clock.now() - begun >= Duration::from_millis(199), "a fifth of a second for a fifth of the rate");
    assert_eq!(store.compact_once(ALL).await.outcome, Outcome::Trashed(ExtentId(0)));
}

#[tokio::test]
async fn what_the_figures_say_is_what_a_recount_finds() {
    let disk = disk(9);
    let store = filled(&disk, 0..23).await;
    free(&store, (0..23).filter(|number| number % 3 != 0));
    disk.flip(&ExtentId(1).to_string(), 8 * 300_000);
    for number in 0..23 {
        drop(read(&store, number, LEN).await);
    }
    store.compact_once(ALL).await;
    store.put(chunk(40, 1), deadline()).await.expect("stored");
    let counted = store.parts.index.recount();
    for extent in store.figures().extents {
        assert_eq!(counted.get(&extent.id), Some(&(extent.live, extent.corrupt)), "{extent:?}");
    }
}

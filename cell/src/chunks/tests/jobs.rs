//! What the jobs that look after a disk are told: what is here, whether it is whole, how much of it is alive.

use super::*;
use crate::chunks::{
    Freed, Health,
    extent::ExtentId,
    format::{PAGE_BYTES, record_bytes},
    health::DiskState,
    index::ExtentState,
};

const LEN: u32 = 50_000;
const RECORD: u64 = record_bytes_of_len();

const fn record_bytes_of_len() -> u64 {
    (LEN as u64 + 64 + 4).next_multiple_of(PAGE_BYTES)
}

async fn filled(disk: &FaultyDisk, numbers: std::ops::Range<u64>) -> LocalStore {
    let store = open(disk).await;
    for number in numbers {
        store.put(chunk(number, LEN), deadline()).await.expect("stored");
    }
    store
}

#[tokio::test]
async fn pages_put_together_are_everything_that_is_here_in_order() {
    let store = filled(&disk(0), 0..23).await;
    let (mut seen, mut after) = (Vec::<ChunkId>::new(), None);
    loop {
        let page = store.page(after, 5);
        after = page.last().copied();
        seen.extend(&page);
        if page.len() < 5 {
            break;
        }
    }
    assert_eq!(seen, (0..23).map(id).collect::<Vec<_>>());
    assert_eq!(store.page(Some(id(22)), 5), []);
}

#[tokio::test]
async fn ids_that_differ_only_in_high_bits_or_index_are_in_the_order_of_ids() {
    let store = open(&disk(0)).await;
    let mut ids = vec![
        ChunkId { blob: u128::MAX, index: 0 },
        ChunkId { blob: 1 << 64, index: u32::MAX },
        ChunkId { blob: 1 << 64, index: 1 },
        ChunkId { blob: u128::from(u64::MAX), index: 9 },
    ];
    for id in ids.clone() {
        store.put(Chunk { id, ..chunk(1, 100) }, deadline()).await.expect("stored");
    }
    ids.sort();
    assert_eq!(store.page(None, 10), ids);
}

#[tokio::test]
async fn a_freed_chunk_is_gone_and_its_bytes_are_dead_until_a_restart() {
    let disk = disk(0);
    let store = filled(&disk, 0..10).await;
    assert_eq!(store.free(&[id(3), id(4), id(77)]), Freed { chunks: 2, bytes: 2 * RECORD });
    assert_eq!(store.free(&[id(3)]), Freed::default(), "once is enough");
    assert_eq!(read(&store, 3, LEN).await, Err(ReadError::Missing));
    assert_eq!(read(&store, 5, LEN).await, Ok(bytes(5, LEN)));
    let figures = store.figures();
    let [extent] = figures.extents[..] else { panic!("one extent: {figures:?}") };
    assert_eq!((extent.state, extent.live, extent.dead), (ExtentState::Open, 8 * RECORD, 2 * RECORD));
    assert_eq!(figures.chunks, 8);
    let store = open(&disk.crash()).await;
    let [extent] = store.figures().extents[..] else { panic!("one extent") };
    assert_eq!((extent.state, extent.live, extent.dead), (ExtentState::Sealed, 10 * RECORD, 0));
}

#[tokio::test]
async fn verify_tells_whole_missing_and_damaged_apart() {
    let disk = disk(0);
    let store = filled(&disk, 0..2).await;
    assert_eq!(store.verify(id(0), deadline()).await, Ok(Health::Whole { bytes: LEN }));
    assert_eq!(store.verify(id(9), deadline()).await, Ok(Health::Missing));
    let last_byte = PAGE_BYTES + 64 + 4 + u64::from(LEN) - 1;
    disk.flip(&ExtentId(0).to_string(), usize::try_from(last_byte * 8).expect("small"));
    assert!(matches!(store.verify(id(0), deadline()).await, Ok(Health::Damaged { .. })));
    assert_eq!(store.verify(id(0), deadline()).await, Ok(Health::Missing), "a damaged copy is given up");
    assert_eq!(store.verify(id(1), deadline()).await, Ok(Health::Whole { bytes: LEN }));
    assert!(matches!(store.figures().state, DiskState::Suspect { .. }));
}

#[tokio::test]
async fn verify_reads_the_medium_and_not_memory() {
    let disk = disk(0);
    let store = filled(&disk, 0..1).await;
    disk.flip_medium(&ExtentId(0).to_string(), usize::try_from((PAGE_BYTES + 1_000) * 8).expect("small"));
    assert_eq!(read(&store, 0, LEN).await, Ok(bytes(0, LEN)), "memory still has it");
    assert!(matches!(store.verify(id(0), deadline()).await, Ok(Health::Damaged { .. })));
}

#[tokio::test]
async fn a_damaged_chunk_counts_as_corrupt_until_it_is_replaced_or_freed() {
    for settle in [true, false] {
        let disk = disk(0);
        let store = filled(&disk, 0..2).await;
        disk.flip(&ExtentId(0).to_string(), usize::try_from((PAGE_BYTES + 1_000) * 8).expect("small"));
        read(&store, 0, LEN).await.expect_err("damaged");
        assert_eq!((store.figures().corrupt, store.figures().extents[0].corrupt), (1, 1));
        if settle {
            store.put(chunk(0, LEN), deadline()).await.expect("a copy from elsewhere");
        } else {
            store.free(&[id(0)]);
        }
        assert_eq!((store.figures().corrupt, store.figures().extents[0].corrupt), (0, 0));
        assert_eq!(store.figures().extents[0].dead, RECORD);
    }
}

#[tokio::test]
async fn a_slow_disk_shows_in_the_figures() {
    let disk = disk(0);
    let store = filled(&disk, 0..3).await;
    read(&store, 0, LEN).await.expect("there");
    let figures = store.figures();
    assert_eq!((figures.sync.samples, figures.read.samples), (3, 1));
    assert!(!figures.sync.p99.is_zero());
    assert_eq!(record_bytes(LEN), RECORD);
}

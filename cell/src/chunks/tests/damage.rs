//! Bits that flip, records that tear, and tenants who forge.

use super::*;
use crate::chunks::{
    extent::ExtentId,
    format::{PAGE_BYTES, RecordHead, encode_table, record_bytes},
};
use std::io::IoSlice;

const FIRST_EXTENT: ExtentId = ExtentId(0);

/// Bit `bit` of the first extent's byte `at`.
fn flip(disk: &FaultyDisk, at: u64, bit: usize) {
    disk.flip(&FIRST_EXTENT.to_string(), usize::try_from(at).expect("small") * 8 + bit);
}

#[tokio::test]
async fn no_flipped_bit_of_a_record_reaches_a_reader() {
    const LEN: u32 = 70_000;
    let used = record_bytes(LEN);
    let rng = Rng::from_seed(1);
    let anywhere = (0..150).map(|_| (rng.below(used), 7));
    for (at, bit) in (0..72).map(|at| (at, 3)).chain(anywhere) {
        let disk = disk(0);
        let store = open(&disk).await;
        store.put(chunk(1, LEN), deadline()).await.expect("stored");
        flip(&disk, PAGE_BYTES + at, bit);
        match read(&store, 1, LEN).await {
            Ok(read) => assert_eq!(read, bytes(1, LEN), "byte {at}"),
            Err(error) => {
                assert!(matches!(error, ReadError::Damaged(_)), "byte {at}: {error}");
                assert_eq!(read(&store, 1, LEN).await, Err(ReadError::Missing), "a damaged copy is forgotten");
            }
        }
    }
}

#[tokio::test]
async fn a_damaged_copy_can_be_put_again_and_the_new_one_counts() {
    let disk = disk(0);
    let store = open(&disk).await;
    store.put(chunk(1, 5_000), deadline()).await.expect("stored");
    flip(&disk, PAGE_BYTES + 1_000, 0);
    read(&store, 1, 5_000).await.expect_err("damaged");
    store.put(chunk(1, 5_000), deadline()).await.expect("stored anew");
    assert_eq!(read(&store, 1, 5_000).await, Ok(bytes(1, 5_000)));
    let store = open(&disk.crash()).await;
    assert_eq!(read(&store, 1, 5_000).await, Ok(bytes(1, 5_000)));
}

#[tokio::test]
async fn a_damaged_record_costs_itself_and_not_those_behind_it() {
    let disk = disk(0);
    let store = open(&disk).await;
    for number in 0..3 {
        store.put(chunk(number, 5_000), deadline()).await.expect("stored");
    }
    // The magic number of the second of three records, in an extent without a footer.
    flip(&disk, PAGE_BYTES + record_bytes(5_000), 0);
    let store = open(&disk.crash()).await;
    assert_eq!(read(&store, 0, 5_000).await, Ok(bytes(0, 5_000)));
    assert_eq!(read(&store, 1, 5_000).await, Err(ReadError::Missing));
    assert_eq!(read(&store, 2, 5_000).await, Ok(bytes(2, 5_000)));
}

#[tokio::test]
async fn a_damaged_footer_or_header_costs_nothing() {
    let tail = PAGE_BYTES + 3 * record_bytes(5_000);
    for (at, scanned) in [(16, 0), (tail, 1), (tail + PAGE_BYTES + 12, 1)] {
        let disk = disk(0);
        let store = open(&disk).await;
        for number in 0..3 {
            store.put(chunk(number, 5_000), deadline()).await.expect("stored");
        }
        store.shutdown().await;
        flip(&disk, at, 0);
        let store = open(&disk.kill()).await;
        assert_eq!(store.recovered().scanned, scanned, "byte {at}");
        for number in 0..3 {
            assert_eq!(read(&store, number, 5_000).await, Ok(bytes(number, 5_000)), "byte {at}");
        }
    }
}

#[tokio::test]
async fn an_extent_that_tells_nothing_is_left_alone() {
    let disk = disk(0);
    let store = open(&disk).await;
    store.put(chunk(1, 5_000), deadline()).await.expect("stored");
    flip(&disk, 20, 0);
    let disk = disk.kill();
    let store = open(&disk).await;
    assert_eq!((store.recovered().damaged_extents, store.recovered().chunks), (1, 0));
    store.put(chunk(1, 5_000), deadline()).await.expect("stored in another extent");
    flip(&disk, 20, 0);
    assert_eq!(open(&disk.kill()).await.recovered().chunks, 1);
}

/// A tenant stores bytes that look like a record, at a place where a scan will look once the record around them is damaged.
#[tokio::test]
async fn a_record_forged_inside_a_payload_is_not_taken_for_one() {
    let forged_payload = bytes(99, 100);
    let table = encode_table(Payload::seal(forged_payload.clone()).crcs());
    let head = RecordHead { id: id(66), account: account(), len: 100, table_crc: crc_fast::crc32_iscsi(&table) };
    let mut body = vec![0; 12_000];
    let second_page = (PAGE_BYTES - 64 - 4) as usize;
    let forged = [&head.encode(0x0123_4567, 2 * PAGE_BYTES)[..], &table, &forged_payload].concat();
    body[second_page..second_page + forged.len()].copy_from_slice(&forged);
    let disk = disk(0);
    let store = open(&disk).await;
    store.put(Chunk { payload: Payload::seal(body.into()), ..chunk(1, 1) }, deadline()).await.expect("stored");
    flip(&disk, PAGE_BYTES, 0);
    let store = open(&disk.crash()).await;
    assert!(!store.has(id(66)) && !store.has(id(1)));
}

/// The same without the forged record's nonce being wrong: this is what the nonce is there to prevent.
#[test]
fn a_forger_needs_the_extents_nonce() {
    let head = RecordHead { id: id(66), account: account(), len: 100, table_crc: 0 };
    assert!(RecordHead::decode(&head.encode(1, 8192), 2, 8192).is_err());
}

#[tokio::test]
async fn a_torn_record_is_cut_off() {
    const LEN: u32 = 100_000;
    let disk = disk(0);
    let store = open(&disk).await;
    for number in 0..3 {
        store.put(chunk(number, LEN), deadline()).await.expect("stored");
    }
    drop(store);
    // As if the power had failed while the third record was being written: its head is there, its end is not.
    let disk = disk.kill();
    let file = crate::chunks::disk::Disk::open(&disk, &FIRST_EXTENT.to_string()).expect("there");
    let zeros = vec![0; 60_000];
    file.write_at(&mut [IoSlice::new(&zeros)], PAGE_BYTES + 2 * record_bytes(LEN) + 50_000).expect("written");
    // The footer that the writer left when it was told to end is gone as well.
    file.set_len(PAGE_BYTES + 3 * record_bytes(LEN)).expect("cut");
    let store = open(&disk).await;
    assert_eq!((store.recovered().damaged_records, store.recovered().chunks), (1, 2));
    assert_eq!(read(&store, 2, LEN).await, Err(ReadError::Missing));
    store.put(chunk(2, LEN), deadline()).await.expect("stored again");
    assert_eq!(read(&store, 2, LEN).await, Ok(bytes(2, LEN)));
}

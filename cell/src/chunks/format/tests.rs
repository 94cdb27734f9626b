//! Round trips, golden bytes of version 1, and arbitrary bytes.

use super::*;
use crate::chunks::ChunkId;
use bulkhead_model::{AccountId, NodeId};
use proptest::prelude::*;

fn head(len: u32) -> RecordHead {
    let account = AccountId::new(123_456_789_012).expect("12 digits");
    RecordHead {
        id: ChunkId { blob: 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10, index: 0x1122_3344 },
        account,
        len,
        table_crc: 0xdead_beef,
    }
}

#[test]
fn version_1_of_a_record_head_is_frozen() {
    let bytes = head(0x0010_0000).encode(0x0102_0304_0506_0708, 0x2000);
    assert_eq!(
        hex::encode(bytes),
        "4248524301000000100f0e0d0c0b0a09080706050403020144332211000010001\
         41a99be1c00000008070605040302010020000000000000efbeadde6eab806c"
    );
}

#[test]
fn version_1_of_an_extent_header_is_frozen() {
    let page = ExtentHeader { node: NodeId(7), extent: 9, nonce: 0x0102_0304_0506_0708 }.encode();
    assert_eq!(page.len() as u64, PAGE_BYTES);
    assert_eq!(
        hex::encode(&page[..64]),
        "4248455854454e54010000000000000007000000000000000900000000000000080706050403020100000000000000000000000000000000000000008055076a"
    );
}

#[test]
fn version_1_of_a_footer_is_frozen() {
    let footer = encode_footer(&[FooterEntry { head: head(5), offset: 4096 }], 0x0102_0304_0506_0708, 8192);
    assert_eq!(footer.len() as u64, footer_bytes(1));
    assert_eq!(
        hex::encode(&footer[..44]),
        "100f0e0d0c0b0a0908070605040302014433221105000000141a99be1c0000000010000000000000efbeadde"
    );
    assert_eq!(
        hex::encode(&footer[4096..4160]),
        "4248464f4f544552010000000100000008070605040302010020000000000000ec2a724400000000000000000000000000000000000000000000000080ae1c7a"
    );
}

#[test]
fn a_head_counts_only_where_it_was_written() {
    let bytes = head(5).encode(1, 4096);
    assert_eq!(RecordHead::decode(&bytes, 1, 4096), Ok(head(5)));
    assert_eq!(RecordHead::decode(&bytes, 2, 4096), Err(FormatError::Misplaced));
    assert_eq!(RecordHead::decode(&bytes, 1, 8192), Err(FormatError::Misplaced));
}

#[test]
fn a_newer_version_is_named() {
    let mut bytes: [u8; HEAD_BYTES] = head(5).encode(1, 4096);
    bytes[4] = 2;
    assert_eq!(RecordHead::decode(&close_head(bytes), 1, 4096), Err(FormatError::Version(2)));
}

#[test]
fn an_entry_that_reaches_into_the_footer_is_refused() {
    let footer = encode_footer(&[FooterEntry { head: head(5), offset: 8192 }], 1, 8192);
    let trailer = Trailer::decode(&footer[4096..], 12_288).expect("whole");
    assert_eq!(decode_entries(&footer[..44], &trailer), Err(FormatError::Field("the offset")));
}

proptest! {
    #[test]
    fn a_footer_survives_the_round_trip(
        records in prop::collection::vec((any::<u128>(), any::<u32>(), 1..=crate::limits::CHUNK_BYTES_MAX, any::<u32>()), 0..50),
        nonce: u64,
    ) {
        let mut offset = PAGE_BYTES;
        let entries: Vec<_> = records.into_iter().map(|(blob, index, len, table_crc)| {
            let entry = FooterEntry { head: RecordHead { id: ChunkId { blob, index }, len, table_crc, ..head(1) }, offset };
            offset += record_bytes(len);
            entry
        }).collect();
        let footer = encode_footer(&entries, nonce, offset);
        let trailer_at = footer.len() - PAGE_BYTES as usize;
        let trailer = Trailer::decode(&footer[trailer_at..], offset + trailer_at as u64).expect("written here");
        prop_assert_eq!(trailer.nonce, nonce);
        prop_assert_eq!(decode_entries(&footer[..usize::try_from(trailer.entries_bytes()).expect("small")], &trailer), Ok(entries));
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), nonce: u64, offset: u64, entries in 0..5_u32) {
        let _ = ExtentHeader::decode(&bytes);
        let _ = RecordHead::decode(&bytes, nonce, offset);
        let _ = Trailer::decode(&bytes, offset);
        let _ = decode_table(&bytes, crc_fast::crc32_iscsi(&bytes));
        let trailer = Trailer { nonce, entries, entries_offset: offset, entries_crc: crc_fast::crc32_iscsi(&bytes) };
        let _ = decode_entries(&bytes, &trailer);
    }

    #[test]
    fn no_bytes_behind_a_valid_checksum_make_a_parser_panic(
        body in prop::array::uniform32(any::<u8>()), tail in prop::array::uniform32(any::<u8>()), kind in 0..3_usize, offset: u64,
    ) {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..32].copy_from_slice(&body);
        bytes[32..].copy_from_slice(&tail);
        let (magic, version_at): (&[u8], usize) = [(&b"BHRC"[..], 4), (&b"BHEXTENT"[..], 8), (&b"BHFOOTER"[..], 8)][kind];
        bytes[..magic.len()].copy_from_slice(magic);
        bytes[version_at..version_at + 2].copy_from_slice(&[1, 0]);
        let bytes = close_head(bytes);
        let _ = ExtentHeader::decode(&bytes);
        let _ = RecordHead::decode(&bytes, u64_at(&bytes, 40).expect("64 bytes"), u64_at(&bytes, 48).expect("64 bytes"));
        let _ = Trailer::decode(&bytes, offset);
    }

    #[test]
    fn any_flipped_bit_of_a_head_is_seen(bit in 0..512_usize) {
        let mut bytes = head(5).encode(1, 4096);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(RecordHead::decode(&bytes, 1, 4096).is_err());
    }
}

//! Which bytes a read answers with.

use super::*;
use crate::meta::{
    command::EtagMatch,
    record::{BlobId, ChecksumAlgorithm, Layout, UploadEpoch},
};

fn object(parts: &[(u16, u64)]) -> Object {
    let summary = |&(number, len): &(u16, u64)| PartSummary { number, len, checksum: Some(vec![number as u8]) };
    let algorithm = ChecksumAlgorithm::Crc32;
    Object {
        len: if parts.is_empty() { 100 } else { parts.iter().map(|(_, len)| len).sum() },
        etag: Etag { md5: [1; 16], parts: None },
        modified: Timestamp(5_000),
        checksum: Some(Checksum { algorithm, kind: ChecksumKind::Composite, value: vec![0] }),
        headers: ContentHeaders::default(),
        layout: Layout::Inline(BlobId { epoch: UploadEpoch(1), number: 1 }),
        parts: parts.iter().map(summary).collect(),
    }
}

fn select_part(object: &Object, number: u16) -> Result<Selection, OpError> {
    select(object, &ReadConditions::default(), None, Some(number))
}

#[test]
fn a_part_is_read_by_the_number_it_was_uploaded_under() {
    let object = object(&[(1, 10), (3, 20), (7, 5)]);
    for (number, bytes) in [(1, 0..10), (3, 10..30), (7, 30..35)] {
        let selection = select_part(&object, number).expect("there");
        assert_eq!((selection.bytes, selection.head.checksum.map(|c| c.value)), (bytes, Some(vec![number as u8])));
    }
    assert!(matches!(select_part(&object, 2), Err(OpError::InvalidPartNumber { number: 2, parts: 3 })));
}

#[test]
fn an_object_put_whole_is_its_own_first_part() {
    let object = object(&[]);
    assert_eq!(select_part(&object, 1).map(|selection| selection.range).ok(), Some(Some(0..100)));
    assert!(matches!(select_part(&object, 2), Err(OpError::InvalidPartNumber { .. })));
}

#[test]
fn the_checksum_of_the_whole_is_not_shown_for_a_part_of_it() {
    let object = object(&[]);
    let select = |range| select(&object, &ReadConditions::default(), Some(range), None).expect("satisfiable");
    assert_eq!(select(RangeSpec::Span { first: 0, last: 9 }).head.checksum, None);
    assert_eq!(select(RangeSpec::From { first: 0 }).head.checksum, object.checksum);
}

#[test]
fn conditions_come_before_ranges() {
    let conditions = ReadConditions { if_none_match: Some(EtagMatch::Any), ..ReadConditions::default() };
    let beyond = Some(RangeSpec::From { first: 1_000 });
    let object = object(&[]);
    assert!(matches!(select(&object, &conditions, beyond, None), Err(OpError::NotModified { .. })));
    assert!(matches!(
        select(&object, &ReadConditions::default(), beyond, None),
        Err(OpError::InvalidRange { len: 100 })
    ));
}

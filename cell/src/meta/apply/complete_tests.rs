//! Assembling an object from parts, case by case.

use super::*;
use crate::{
    limits::PART_BYTES_MAX,
    meta::record::{ChecksumAlgorithm, ChecksumKind, ContentHeaders, UploadId},
};
use bulkhead_model::Timestamp;
use crc_fast::CrcAlgorithm;

const MIB: u64 = 1 << 20;

fn part(tag: u8, len: u64, checksum: Option<(ChecksumAlgorithm, Vec<u8>)>) -> Part {
    let kind = ChecksumKind::FullObject;
    Part {
        len,
        etag: Etag { md5: [tag; 16], parts: None },
        modified: Timestamp(0),
        checksum: checksum.map(|(algorithm, value)| Checksum { algorithm, kind, value }),
        segments: Vec::new(),
    }
}

fn upload(checksum: Option<(ChecksumAlgorithm, ChecksumKind)>) -> Upload {
    Upload { initiated: Timestamp(0), headers: ContentHeaders::default(), checksum }
}

fn listing(numbers: impl Iterator<Item = u16>) -> CompleteUpload {
    let listed = |number: u16| ListedPart { number, md5: [number.to_be_bytes()[1]; 16], checksum: None };
    CompleteUpload {
        bucket: crate::meta::record::BucketId(1),
        key: "k".into(),
        upload: UploadId(1),
        condition: crate::meta::command::Condition::default(),
        listed: numbers.map(listed).collect(),
        checksum: None,
        len: None,
    }
}

/// Parts 1, 2, … of these lengths.
fn parts(lens: &[u64]) -> BTreeMap<u16, Part> {
    (1u16..).zip(lens).map(|(number, len)| (number, part(number.to_be_bytes()[1], *len, None))).collect()
}

#[test]
fn the_etag_is_the_md5_of_the_parts_md5s() {
    let made = assemble(&upload(None), &mut parts(&[5 * MIB, 1]), &listing(1..=2)).expect("valid");
    let expected: [u8; 16] = Md5::digest([[1u8; 16], [2; 16]].concat()).into();
    assert_eq!(made.etag, Etag { md5: expected, parts: Some(2) });
}

#[test]
fn every_part_but_the_last_listed_has_a_least_size() {
    let small = Err(Refusal::EntityTooSmall { number: 2, len: 5 * MIB - 1, min: 5 * MIB });
    let lens = [5 * MIB, 5 * MIB - 1, 1];
    assert_eq!(assemble(&upload(None), &mut parts(&lens), &listing(1..=3)), small);
    assert!(assemble(&upload(None), &mut parts(&lens), &listing(1..=2)).is_ok());
    assert!(assemble(&upload(None), &mut parts(&[0]), &listing(1..=1)).is_ok());
}

#[test]
fn an_object_has_a_greatest_size() {
    let lens = [PART_BYTES_MAX; 1025];
    let max = OBJECT_BYTES_MAX;
    let refused = Err(Refusal::EntityTooLarge { len: 1025 * PART_BYTES_MAX, max });
    assert_eq!(assemble(&upload(None), &mut parts(&lens), &listing(1..=1025)), refused);
    assert!(assemble(&upload(None), &mut parts(&lens), &listing(1..=1024)).is_ok());
}

#[test]
fn a_stated_size_or_checksum_must_be_the_object_s() {
    let plain = || parts(&[5]);
    for (len, checksum, ok) in [(Some(5), None, true), (Some(6), None, false), (None, Some(vec![1, 2, 3, 4]), false)] {
        let stated = CompleteUpload { len, checksum, ..listing(1..=1) };
        assert_eq!(assemble(&upload(None), &mut plain(), &stated).is_ok(), ok, "{stated:?}");
    }
}

#[test]
fn a_listed_checksum_must_be_the_part_s() {
    let algorithm = ChecksumAlgorithm::Crc32;
    let mut with = BTreeMap::from([(1, part(1, 5, Some((algorithm, vec![1, 2, 3, 4]))))]);
    let mut stated = listing(1..=1);
    stated.listed[0].checksum = Some(vec![1, 2, 3, 5]);
    assert_eq!(assemble(&upload(None), &mut with.clone(), &stated), Err(Refusal::InvalidPart { number: 1 }));
    stated.listed[0].checksum = Some(vec![1, 2, 3, 4]);
    assert!(assemble(&upload(None), &mut with, &stated).is_ok());
}

#[test]
fn crcs_of_parts_combine_into_that_of_the_whole() {
    let bytes: Vec<u8> = (0..5 * MIB + 77).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    let (front, back) = bytes.split_at(5 * MIB as usize);
    for (algorithm, crc, width) in [
        (ChecksumAlgorithm::Crc32, CrcAlgorithm::Crc32IsoHdlc, 4),
        (ChecksumAlgorithm::Crc32c, CrcAlgorithm::Crc32Iscsi, 4),
        (ChecksumAlgorithm::Crc64Nvme, CrcAlgorithm::Crc64Nvme, 8),
    ] {
        let of = |bytes: &[u8]| crc_fast::checksum(crc, bytes).to_be_bytes()[8 - width..].to_vec();
        let mut with = BTreeMap::from([
            (1, part(1, front.len() as u64, Some((algorithm, of(front))))),
            (2, part(2, back.len() as u64, Some((algorithm, of(back))))),
        ]);
        let full = upload(Some((algorithm, ChecksumKind::FullObject)));
        let stated = CompleteUpload { checksum: Some(of(&bytes)), ..listing(1..=2) };
        let made = assemble(&full, &mut with.clone(), &stated).expect("the stated checksum is right");
        assert_eq!(made.checksum.map(|checksum| checksum.value), Some(of(&bytes)));

        let composite = upload(Some((algorithm, ChecksumKind::Composite)));
        let made = assemble(&composite, &mut with, &listing(1..=2)).expect("valid");
        assert_eq!(made.checksum.map(|checksum| checksum.value), Some(of(&[of(front), of(back)].concat())));
    }
}

#[test]
fn an_empty_last_part_leaves_the_crc_as_it_was() {
    let algorithm = ChecksumAlgorithm::Crc32;
    let crc = |bytes: &[u8]| crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, bytes).to_be_bytes()[4..].to_vec();
    let mut with = BTreeMap::from([
        (1, part(1, 5 * MIB, Some((algorithm, crc(b"front"))))),
        (2, part(2, 0, Some((algorithm, crc(b""))))),
    ]);
    let full = upload(Some((algorithm, ChecksumKind::FullObject)));
    let made = assemble(&full, &mut with, &listing(1..=2)).expect("valid");
    assert_eq!(made.checksum.map(|checksum| checksum.value), Some(crc(b"front")));
}

#[test]
fn a_part_without_the_upload_s_checksum_is_not_valid() {
    let sha = upload(Some((ChecksumAlgorithm::Sha256, ChecksumKind::Composite)));
    assert_eq!(assemble(&sha, &mut parts(&[5]), &listing(1..=1)), Err(Refusal::InvalidPart { number: 1 }));
    let other = (ChecksumAlgorithm::Crc32, vec![0; 4]);
    let mut with = BTreeMap::from([(1, part(1, 5, Some(other)))]);
    assert_eq!(assemble(&sha, &mut with, &listing(1..=1)), Err(Refusal::InvalidPart { number: 1 }));
}

#[test]
fn a_composite_sha256_is_that_of_the_parts_digests() {
    let digest = |tag: u8| sha2::Sha256::digest([tag]).to_vec();
    let algorithm = ChecksumAlgorithm::Sha256;
    let mut with = BTreeMap::from([
        (1, part(1, 5 * MIB, Some((algorithm, digest(1))))),
        (2, part(2, 5, Some((algorithm, digest(2))))),
    ]);
    let sha = upload(Some((algorithm, ChecksumKind::Composite)));
    let made = assemble(&sha, &mut with, &listing(1..=2)).expect("valid");
    let expected = sha2::Sha256::digest([digest(1), digest(2)].concat()).to_vec();
    assert_eq!(made.checksum, Some(Checksum { algorithm, kind: ChecksumKind::Composite, value: expected }));
}

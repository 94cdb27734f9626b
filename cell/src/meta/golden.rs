//! The bytes of every persisted format, pinned: a format that changes under its version number fails here.
//!
//! `golden/v1.txt` and `golden/v2.txt` hold a name and the hex bytes per line. Lines are never changed, and added only to a format that no
//! build was released with.

use super::{
    bookkeeping::{AccountTotals, BlobState, BucketState, CellState, Dropped, Errand, Fence, Replay},
    command::{
        CapacityDimension, Command, CompleteUpload, Condition, DeleteObject, Done, Envelope, EtagMatch, ListedPart,
        Outcome, PutObject, Refusal,
    },
    format::{FormatError, Record, decode, decode_body, encode, encode_body},
    record::{
        Account, BlobId, Bucket, BucketId, Checksum, ChecksumAlgorithm, ChecksumKind, ContentHeaders, Credential, Etag,
        Layout, LimitsRecord, Object, OpenEpoch, Part, PartSummary, Segment, Settings, Upload, UploadEpoch, UploadId,
        Usage,
    },
};
use bulkhead_model::{AccessKeyId, AccountId, AccountLimits, ClaimId, Epoch, NodeId, RequestId, Timestamp};
use std::fmt::Debug;

const PINNED: [&str; 2] = [include_str!("golden/v1.txt"), include_str!("golden/v2.txt")];

fn account() -> AccountId {
    AccountId::new(123_456_789_012).expect("in range")
}

fn key() -> AccessKeyId {
    "AKIAIOSFODNN7EXAMPLE".parse().expect("twenty characters")
}

fn blob() -> BlobId {
    BlobId { epoch: UploadEpoch(3), number: 300 }
}

fn segment() -> Segment {
    Segment { blob: blob(), len: 5 << 20, chunk_bytes: 4 << 20 }
}

fn etag() -> Etag {
    Etag { md5: [0xAB; 16], parts: Some(2) }
}

fn checksum() -> Checksum {
    Checksum { algorithm: ChecksumAlgorithm::Crc64Nvme, kind: ChecksumKind::FullObject, value: vec![1, 2, 3] }
}

fn headers() -> ContentHeaders {
    ContentHeaders {
        content_type: Some("text/plain".into()),
        expires: Some("0".into()),
        user: vec![("a".into(), "b".into())],
        ..ContentHeaders::default()
    }
}

fn credential() -> Credential {
    Credential { account: account(), sealed_secret: vec![9, 8, 7] }
}

fn part() -> Part {
    let (etag, checksum) = (Etag { md5: [2; 16], parts: None }, Some(checksum()));
    Part { len: 5 << 20, etag, modified: Timestamp(1), checksum, segments: vec![segment()] }
}

fn summary() -> PartSummary {
    PartSummary { number: 1, len: 5 << 20, checksum: Some(vec![1]) }
}

fn object() -> Object {
    Object {
        len: 5 << 20,
        etag: etag(),
        modified: Timestamp(1_750_000_000_000),
        checksum: Some(checksum()),
        headers: headers(),
        layout: Layout::Segments(vec![segment()]),
        parts: vec![summary()],
    }
}

fn record() -> Account {
    Account { display_name: "n".into(), email: "n@e".into(), epoch: Epoch(4) }
}

fn condition() -> Condition {
    Condition { if_match: Some(EtagMatch::OneOf(vec![etag()])), if_none_match: Some(EtagMatch::Any) }
}

fn put_object() -> PutObject {
    PutObject {
        bucket: BucketId(1),
        key: "k".into(),
        condition: condition(),
        len: 2,
        etag: etag(),
        checksum: Some(checksum()),
        headers: headers(),
        layout: Layout::Inline(blob()),
        body: Some(vec![1, 2].into()),
    }
}

fn complete_upload() -> CompleteUpload {
    CompleteUpload {
        bucket: BucketId(1),
        key: "k".into(),
        upload: UploadId(7),
        condition: condition(),
        listed: vec![ListedPart { number: 1, md5: [5; 16], checksum: Some(vec![6]) }],
        checksum: Some(vec![7]),
        len: Some(8),
    }
}

fn limits() -> LimitsRecord {
    let limits = AccountLimits { write_requests: Some(50), bytes_in: Some(1 << 20), ..AccountLimits::default() };
    LimitsRecord { limits, version: 3 }
}

fn settings() -> Settings {
    let (bytes, disabled_keys) = (Some(300), vec![key()]);
    Settings { bytes, objects: None, buckets: Some(2), suspended: true, disabled_keys, version: 3 }
}

fn commands() -> Vec<(&'static str, Command)> {
    let (bucket, upload, object_key) = (BucketId(1), UploadId(7), || "k".to_owned());
    let checksum = Some((ChecksumAlgorithm::Sha256, ChecksumKind::Composite));
    let name = || "bucket".to_owned();
    vec![
        ("PutAccount", Command::PutAccount { account: account(), record: record() }),
        ("DeleteAccount", Command::DeleteAccount { account: account() }),
        ("PutCredential", Command::PutCredential { key: key(), credential: credential() }),
        ("DeleteCredential", Command::DeleteCredential { key: key(), account: account() }),
        ("OpenEpoch", Command::OpenEpoch { node: NodeId(3) }),
        (
            "CreateBucket",
            Command::CreateBucket { name: name(), owner: account(), claim: ClaimId(5), location: Some("eu".into()) },
        ),
        ("DeleteBucket", Command::DeleteBucket { bucket, name: name() }),
        ("SettleClaim", Command::SettleClaim { name: name(), claim: ClaimId(5) }),
        ("OutboxDone", Command::OutboxDone { sequence: 300 }),
        ("PutObject", Command::PutObject(put_object())),
        (
            "DeleteObjects",
            Command::DeleteObjects {
                bucket,
                objects: vec![DeleteObject { key: object_key(), condition: condition() }],
            },
        ),
        ("CreateUpload", Command::CreateUpload { bucket, key: object_key(), upload, headers: headers(), checksum }),
        ("PutPart", Command::PutPart { bucket, key: object_key(), upload, number: 1, part: part() }),
        ("CompleteUpload", Command::CompleteUpload(complete_upload())),
        ("AbortUpload", Command::AbortUpload { bucket, key: object_key(), upload }),
        ("Tick", Command::Tick { after: 300 }),
        ("RotateEpoch", Command::RotateEpoch { node: NodeId(3), to: UploadEpoch(7), keep: vec![UploadEpoch(5)] }),
        ("CloseEpochs", Command::CloseEpochs { epochs: vec![UploadEpoch(3), UploadEpoch(300)] }),
        ("ExpireGarbage", Command::ExpireGarbage { rows: vec![(Timestamp(300), blob())] }),
        ("PutLimits", Command::PutLimits { account: account(), limits: limits() }),
        ("SetBallast", Command::SetBallast { ballast: Usage { bytes: 300, objects: 7 } }),
        ("PutSettings", Command::PutSettings { account: account(), settings: settings() }),
    ]
}

fn outcomes() -> Vec<(&'static str, Outcome)> {
    let modified = Timestamp(9);
    let completed = Done::UploadCompleted { etag: etag(), checksum: Some(checksum()), len: 5, parts: vec![summary()] };
    vec![
        ("Ok", Ok(Done::Ok)),
        ("EpochOpened", Ok(Done::EpochOpened { epoch: UploadEpoch(3) })),
        ("BucketCreated", Ok(Done::BucketCreated { bucket: BucketId(1) })),
        ("BucketDeleted", Ok(Done::BucketDeleted)),
        ("ClaimSettled", Ok(Done::ClaimSettled { exists: true })),
        ("ObjectPut", Ok(Done::ObjectPut { etag: etag(), modified })),
        ("ObjectsDeleted", Ok(Done::ObjectsDeleted(vec![Ok(()), Err(Refusal::NoSuchKey)]))),
        ("UploadCreated", Ok(Done::UploadCreated { upload: UploadId(7) })),
        ("PartPut", Ok(Done::PartPut { modified })),
        ("UploadCompleted", Ok(completed)),
        ("Moved", Err(Refusal::Moved { current: Epoch(4) })),
        ("NoSuchAccount", Err(Refusal::NoSuchAccount)),
        ("AccountNotEmpty", Err(Refusal::AccountNotEmpty { buckets: 1 })),
        ("KeyOfAnotherAccount", Err(Refusal::KeyOfAnotherAccount)),
        ("BucketAlreadyOwnedByYou", Err(Refusal::BucketAlreadyOwnedByYou)),
        ("BucketAlreadyExists", Err(Refusal::BucketAlreadyExists)),
        ("ClaimFenced", Err(Refusal::ClaimFenced)),
        ("NoSuchBucket", Err(Refusal::NoSuchBucket)),
        ("BucketNotEmpty", Err(Refusal::BucketNotEmpty)),
        ("NoSuchKey", Err(Refusal::NoSuchKey)),
        ("PreconditionFailed", Err(Refusal::PreconditionFailed)),
        ("EpochClosed", Err(Refusal::EpochClosed { blob: blob() })),
        ("NoSuchUpload", Err(Refusal::NoSuchUpload)),
        ("InvalidPart", Err(Refusal::InvalidPart { number: 2 })),
        ("InvalidPartOrder", Err(Refusal::InvalidPartOrder)),
        ("EntityTooSmall", Err(Refusal::EntityTooSmall { number: 1, len: 2, min: 3 })),
        ("EntityTooLarge", Err(Refusal::EntityTooLarge { len: 2, max: 1 })),
        ("BadDigest", Err(Refusal::BadDigest)),
        ("CellFull", Err(Refusal::CellFull { what: CapacityDimension::Accounts, used: 1, max: 2 })),
        ("TooManyBuckets", Err(Refusal::TooManyBuckets { used: 1, max: 1 })),
        ("TooManyKeys", Err(Refusal::TooManyKeys { used: 1, max: 1 })),
        ("TooManyUploads", Err(Refusal::TooManyUploads { used: 1, max: 1 })),
        ("TooManyDeletes", Err(Refusal::TooManyDeletes { keys: 2, max: 1 })),
        ("TooManyRecent", Err(Refusal::TooManyRecent { max: 1 })),
        ("AccountFull", Err(Refusal::AccountFull { what: CapacityDimension::Objects, used: 1, max: 2 })),
    ]
}

/// Encodes each sample, checks that it decodes to itself, and notes the line.
#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    fn add<T: Record + PartialEq + Debug>(&mut self, name: &str, sample: &T) {
        let bytes = encode(sample);
        assert_eq!(decode::<T>(&bytes).as_ref(), Ok(sample), "{name}");
        self.0.push(format!("{name} {}", hex::encode(bytes)));
    }
}

fn lines() -> Vec<String> {
    let mut lines = Lines::default();
    let usage = Usage { bytes: 300, objects: 2 };
    let (owner, claim, location) = (account(), ClaimId(5), Some("eu".to_owned()));
    lines.add("Account", &record());
    lines.add("AccountTotals", &AccountTotals { usage, buckets: 3, keys: 4, uploads: 5 });
    lines.add("LimitsRecord", &limits());
    lines.add("Settings", &settings());
    lines.add("Credential", &credential());
    lines.add("Bucket", &Bucket { id: BucketId(1), owner, created: Timestamp(2), claim, location });
    lines.add("BucketState", &BucketState { owner, name: "bucket".into(), usage, uploads: 1 });
    lines.add("Fence", &Fence { claim });
    lines.add("Object", &object());
    lines.add("Object.inline", &Object { layout: Layout::Inline(blob()), ..object() });
    lines.add(
        "Upload",
        &Upload {
            initiated: Timestamp(1),
            headers: headers(),
            checksum: Some((ChecksumAlgorithm::Crc32, ChecksumKind::FullObject)),
        },
    );
    lines.add("Part", &part());
    let named = BlobState::Named { bucket: BucketId(1), key: "k".into(), len: 5 << 20, chunk_bytes: 4 << 20 };
    lines.add("BlobState.Named", &named);
    lines.add("BlobState.Released", &BlobState::Released { at: Timestamp(3) });
    lines.add("Segment", &segment());
    lines.add("Replay", &Replay { applied: 3, outcome: Ok(Done::Ok) });
    lines.add("Errand", &Errand::ReleaseName { name: "bucket".into(), claim });
    lines.add("OpenEpoch", &OpenEpoch { node: NodeId(3), opened: Timestamp(4) });
    lines.add(
        "CellState",
        &CellState {
            time: Timestamp(1),
            usage,
            accounts: 2,
            buckets: 3,
            last_bucket: 4,
            last_epoch: 5,
            last_errand: 6,
            dropped: 7,
            ticks: 11,
            replays: 12,
            expired_to: Some((8, RequestId(9))),
            expire_at: 10,
        },
    );
    lines.add("Dropped", &Dropped { parts_to: Some(vec![1]), uploads_to: None });
    lines.add("Ballast", &usage);
    lines.add("index entry", &());
    for (name, command) in commands() {
        let (request, routed) = (Some(RequestId(0xFF)), Some((account(), Epoch(4))));
        lines.add(&format!("Command.{name}"), &Envelope { time: Timestamp(1), request, routed, command });
    }
    for (name, outcome) in outcomes() {
        lines.add(&format!("Outcome.{name}"), &outcome);
    }
    let outcome = Err(Refusal::AccountFull { what: CapacityDimension::Objects, used: 1, max: 2 });
    lines.add("Replay.AccountFull", &Replay { applied: 3, outcome });
    lines.0.push(format!("inline body {}", hex::encode(encode_body(&[1, 2, 3]))));
    lines.0
}

#[test]
fn every_format_has_the_bytes_it_was_released_with() {
    let lines = lines();
    for (version, pinned) in (1..).zip(PINNED) {
        // The name, a space, and the first byte: a format older builds do not know stands in none of their values.
        let is_of = |line: &&String| line.contains(&format!(" {version:02x}"));
        let (now, pinned): (Vec<_>, Vec<_>) = (lines.iter().filter(is_of).collect(), pinned.lines().collect());
        assert_eq!(now, pinned, "version {version} now:\n{now:#?}\n");
    }
}

#[test]
fn what_is_not_a_record_is_refused_with_the_reason() {
    let bytes = encode(&record());
    let newer = [&[2][..], &bytes[1..]].concat();
    let longer = [&bytes[..], &[0]].concat();
    for (bytes, expected) in [
        (&[][..], "an account has no bytes, not even a format version"),
        (&newer, "an account has format version 2; this build reads 1"),
        (&longer, "an account is followed by 1 bytes that do not belong to it"),
    ] {
        assert_eq!(decode::<Account>(bytes).expect_err("not an account").to_string(), expected);
    }
    assert!(matches!(decode::<Account>(&bytes[..3]), Err(FormatError::Body { .. })));
    assert!(matches!(decode_body(&vec![2, 1].into()), Err(FormatError::Version { found: 2, .. })));
    assert_eq!(decode_body(&encode_body(b"x").into()), Ok(b"x"[..].into()));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_decoding_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let bytes = [&[1][..], &bytes].concat();
        drop(decode::<Envelope>(&bytes));
        drop(decode::<Object>(&bytes));
        drop(decode::<CellState>(&bytes));
    }
}

//! Multipart uploads from creation to the object, and back out of it.

use crate::harness::{TestCell, bytes, collect, get_request, put_request};
use bulkhead_cell::{
    meta::{
        command::{Condition, Refusal},
        record::{ChecksumAlgorithm, ChecksumKind, ContentHeaders, Etag, UploadId},
    },
    ops::{
        OpError, abort_multipart_upload,
        body::Body,
        checksum,
        complete_multipart_upload::{self, Listed},
        copy_object::Source,
        create_multipart_upload, get_object, list_multipart_uploads, list_parts, put_object, upload_part,
        upload_part_copy,
    },
};
use bytes::Bytes;

const MIB: usize = 1 << 20;
const CRC: ChecksumAlgorithm = ChecksumAlgorithm::Crc64Nvme;

async fn create(cell: &TestCell, algorithm: Option<ChecksumAlgorithm>) -> UploadId {
    let request = create_multipart_upload::Request {
        bucket: "bucket".into(),
        key: "big".into(),
        headers: ContentHeaders { content_type: Some("text/plain".into()), ..ContentHeaders::default() },
        algorithm,
        kind: None,
    };
    create_multipart_upload::run(cell.node(0), &cell.caller(1), request).await.expect("created").upload
}

async fn upload(cell: &TestCell, upload: UploadId, number: u16, body: Bytes) -> Result<Etag, OpError> {
    let body = Body::from_bytes(body);
    let request = upload_part::Request { bucket: "bucket".into(), key: "big".into(), upload, number, body };
    upload_part::run(cell.node(number.into()), &cell.caller(1), request).await.map(|part| part.etag)
}

async fn complete(
    cell: &TestCell,
    upload: UploadId,
    parts: &[(u16, Etag)],
) -> Result<complete_multipart_upload::Response, OpError> {
    let listed = |&(number, etag): &(u16, Etag)| Listed { number, etag: Some(etag), checksum: None };
    let request = complete_multipart_upload::Request {
        bucket: "bucket".into(),
        key: "big".into(),
        upload,
        parts: parts.iter().map(listed).collect(),
        condition: Condition::default(),
        checksum: None,
        kind: None,
        len: None,
    };
    complete_multipart_upload::run(cell.node(1), &cell.caller(1), request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_and_copied_parts_become_one_object() {
    let cell = TestCell::start().await;
    cell.bucket("bucket").await;
    let source = bytes(12 * MIB);
    put_object::run(cell.node(0), &cell.caller(1), put_request("source", source.clone())).await.expect("stored");

    let id = create(&cell, Some(CRC)).await;
    let first = upload(&cell, id, 1, bytes(5 * MIB + 1)).await.expect("stored");
    upload(&cell, id, 7, bytes(3)).await.expect("stored");
    let last = upload(&cell, id, 7, bytes(10)).await.expect("put again");
    let range = (MIB as u64 + 5, 7 * MIB as u64);
    let request = upload_part_copy::Request {
        source: Source { bucket: "bucket".into(), key: "source".into(), conditions: Default::default() },
        range: Some(range),
        bucket: "bucket".into(),
        key: "big".into(),
        upload: id,
        number: 4,
    };
    let copied = upload_part_copy::run(cell.node(2), &cell.caller(1), request).await.expect("copied").etag;

    let request = list_parts::Request { bucket: "bucket".into(), key: "big".into(), upload: id, after: 1, max: 1 };
    let page = list_parts::run(cell.node(0), &cell.caller(1), request).await.expect("listed");
    assert_eq!((page.parts[0].number, page.parts[0].etag, page.next), (4, copied, Some(4)));

    let done = complete(&cell, id, &[(1, first), (4, copied), (7, last)]).await.expect("completed");
    let middle = source.slice(range.0 as usize..=range.1 as usize);
    let whole = [bytes(5 * MIB + 1), middle.clone(), bytes(10)].concat();
    let mut hasher = checksum::Hasher::new(CRC);
    hasher.update(&whole);
    assert_eq!((done.len, done.etag.parts), (whole.len() as u64, Some(3)));
    let made = done.checksum.expect("the upload has an algorithm");
    assert_eq!((made.kind, made.value), (ChecksumKind::FullObject, hasher.finish().value));
    assert!(cell.get(2, "big").await.expect("there") == whole);

    let request = get_object::Request { part_number: Some(4), ..get_request("big") };
    let part = get_object::run(cell.node(0), &cell.caller(1), request).await.expect("there");
    assert_eq!((part.head.parts, part.len), (Some(3), middle.len() as u64));
    assert_eq!(part.head.headers.content_type.as_deref(), Some("text/plain"));
    assert!(collect(part.body).await == middle);
    let again = complete(&cell, id, &[(1, first)]).await;
    assert!(matches!(again, Err(OpError::Refused(Refusal::NoSuchUpload))), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_refused_or_given_up_as_a_whole() {
    let cell = TestCell::start().await;
    cell.bucket("bucket").await;
    let id = create(&cell, None).await;
    let one = upload(&cell, id, 1, bytes(10)).await.expect("stored");
    let two = upload(&cell, id, 2, bytes(20)).await.expect("stored");
    for (parts, expected) in [
        (vec![(2, two), (1, one)], Refusal::InvalidPartOrder),
        (vec![(1, two)], Refusal::InvalidPart { number: 1 }),
        (vec![(3, one)], Refusal::InvalidPart { number: 3 }),
        (vec![(1, one), (2, two)], Refusal::EntityTooSmall { number: 1, len: 10, min: 5 << 20 }),
    ] {
        let refused = complete(&cell, id, &parts).await;
        assert!(matches!(&refused, Err(OpError::Refused(refusal)) if *refusal == expected), "{refused:?}");
    }
    assert!(matches!(complete(&cell, id, &[]).await, Err(OpError::MalformedXml(_))));
    let zero = upload(&cell, id, 0, bytes(1)).await;
    assert!(matches!(zero, Err(OpError::InvalidArgument { .. })), "{zero:?}");

    let request = list_multipart_uploads::Request { bucket: "bucket".into(), max: 10, ..Default::default() };
    let listed = list_multipart_uploads::run(cell.node(2), &cell.caller(1), request).await.expect("listed");
    assert_eq!(listed.uploads.iter().map(|upload| upload.upload).collect::<Vec<_>>(), [id]);
    let request = abort_multipart_upload::Request { bucket: "bucket".into(), key: "big".into(), upload: id };
    abort_multipart_upload::run(cell.node(2), &cell.caller(1), request).await.expect("given up");
    let gone = upload(&cell, id, 1, bytes(10)).await;
    assert!(matches!(gone, Err(OpError::Refused(Refusal::NoSuchUpload))), "{gone:?}");
}

//! Objects: put, read, conditions, copies, deletion.

use crate::harness::{TestCell, bytes, collect, get_request, if_absent, put_request};
use bulkhead_cell::{
    limits::DELETE_KEYS_MAX,
    meta::{
        command::{Condition, DeleteObject, EtagMatch, Refusal},
        record::ContentHeaders,
    },
    ops::{
        OpError,
        body::{Body, Stated},
        copy_object::{self, MetadataDirective, Source},
        delete_object, delete_objects, get_object, head_object, put_object,
        range::RangeSpec,
    },
};
use futures::future::join_all;

const MIB: usize = 1 << 20;

fn copy_request(from: &str, to: &str, directive: MetadataDirective) -> copy_object::Request {
    copy_object::Request {
        source: Source { bucket: "bucket".into(), key: from.into(), conditions: Default::default() },
        bucket: "bucket".into(),
        key: to.into(),
        directive,
        headers: ContentHeaders::default(),
        checksum: None,
        condition: Condition::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_any_size_reads_back_through_another_node_at_once() {
    let cell = TestCell::start().await;
    cell.bucket("bucket").await;
    for (n, len) in [0, 1, 16 << 10, (16 << 10) + 1, 4 * MIB, 4 * MIB + 1, 9 * MIB].into_iter().enumerate() {
        let key = format!("ключ/{len}");
        let put = cell.put(n, &key, bytes(len)).await.expect("stored");
        assert_eq!(put.len, len as u64);
        assert!(cell.get(n + 1, &key).await.expect("there") == bytes(len), "{len} bytes differ");
        let copy = copy_request(&key, "copy", MetadataDirective::Copy);
        let copied = copy_object::run(cell.node(n), &cell.caller(1), copy).await.expect("copied");
        assert_eq!(copied.etag, put.etag);
        assert!(cell.get(n + 2, "copy").await.expect("there") == bytes(len), "{len} bytes differ in the copy");
    }
    let big = format!("ключ/{}", 9 * MIB);
    for (first, last) in [(0, 0), (4 * MIB - 1, 4 * MIB), (MIB, 9 * MIB - 2)] {
        let range = Some(RangeSpec::Span { first: first as u64, last: last as u64 });
        let request = get_object::Request { range, ..get_request(&big) };
        let read = get_object::run(cell.node(0), &cell.caller(1), request).await.expect("satisfiable");
        assert_eq!(read.range, Some(first as u64..last as u64 + 1));
        assert!(collect(read.body).await == bytes(9 * MIB).slice(first..=last), "bytes {first} to {last} differ");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_takes_effect_once_and_only_under_its_condition() {
    let cell = TestCell::start().await;
    cell.bucket("bucket").await;

    // Racers on all nodes: one creates.
    let race = |n: usize| {
        let request = put_object::Request { condition: if_absent(), ..put_request("raced", bytes(n)) };
        let caller = cell.caller(1);
        let node = cell.node(n);
        async move { put_object::run(node, &caller, request).await }
    };
    let outcomes = join_all((0..30).map(race)).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(
        outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(OpError::Refused(Refusal::PreconditionFailed))))
    );

    // The same request again, of either size, has the same outcome and not one that its own object forbids.
    for len in [10, 2 * MIB] {
        let caller = cell.caller(1);
        let key = format!("once/{len}");
        let request = || put_object::Request { condition: if_absent(), ..put_request(&key, bytes(len)) };
        let first = put_object::run(cell.node(0), &caller, request()).await.expect("created");
        let again = put_object::run(cell.node(1), &caller, request()).await.expect("the recorded outcome");
        assert_eq!(first, again);
        let other = put_object::run(cell.node(2), &cell.caller(1), request()).await;
        assert!(matches!(other, Err(OpError::Refused(Refusal::PreconditionFailed))), "{other:?}");
    }

    // A body that is not what was stated names nothing.
    for len in [10, 5 * MIB] {
        let stated = Stated { md5: Some([0; 16]), ..Stated::default() };
        let body = Body { stated, ..Body::from_bytes(bytes(len)) };
        let request = put_object::Request { body, ..put_request("bad", bytes(0)) };
        let refused = put_object::run(cell.node(0), &cell.caller(1), request).await;
        assert!(matches!(refused, Err(OpError::BadDigest(_))), "{refused:?}");
        assert!(matches!(cell.get(0, "bad").await, Err(OpError::Refused(Refusal::NoSuchKey))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_and_deletions_heed_their_conditions_and_owners() {
    let cell = TestCell::start().await;
    cell.bucket("bucket").await;
    let etag = cell.put(0, "a", bytes(100)).await.expect("stored").etag;
    let headers = ContentHeaders { content_type: Some("text/plain".into()), ..ContentHeaders::default() };

    let caller = cell.caller(1);
    let unchanged = copy_object::run(cell.node(0), &caller, copy_request("a", "a", MetadataDirective::Copy)).await;
    assert!(matches!(unchanged, Err(OpError::InvalidRequest(_))), "{unchanged:?}");
    let request = copy_object::Request { headers, ..copy_request("a", "a", MetadataDirective::Replace) };
    copy_object::run(cell.node(0), &cell.caller(1), request).await.expect("another content type");
    let head = head_object::run(cell.node(1), &cell.caller(1), get_request("a")).await.expect("there").head;
    assert_eq!((head.headers.content_type.as_deref(), head.etag), (Some("text/plain"), etag));

    let mut request = copy_request("a", "b", MetadataDirective::Copy);
    request.source.conditions.if_none_match = Some(EtagMatch::OneOf(vec![etag]));
    let refused = copy_object::run(cell.node(0), &cell.caller(1), request).await;
    assert!(matches!(refused, Err(OpError::ReadConditionFailed(_))), "{refused:?}");

    let stranger = get_object::run(cell.node(0), &cell.caller(2), get_request("a")).await.err();
    assert!(matches!(stranger, Some(OpError::AccessDenied)), "{stranger:?}");
    let stranger = put_object::run(cell.node(0), &cell.caller(2), put_request("a", bytes(1))).await;
    assert!(matches!(stranger, Err(OpError::AccessDenied)), "{stranger:?}");

    let delete = |condition| {
        let request = delete_object::Request { bucket: "bucket".into(), key: "a".into(), condition };
        let caller = cell.caller(1);
        let node = cell.node(0);
        async move { delete_object::run(node, &caller, request).await }
    };
    let other = EtagMatch::OneOf(vec![]);
    let refused = delete(Condition { if_match: Some(other), if_none_match: None }).await;
    assert!(matches!(refused, Err(OpError::Refused(Refusal::PreconditionFailed))), "{refused:?}");
    delete(Condition::default()).await.expect("deleted");
    delete(Condition::default()).await.expect("deleting what is not there is no error");
    assert!(matches!(cell.get(1, "a").await, Err(OpError::Refused(Refusal::NoSuchKey))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_of_the_longest_keys_are_deleted_at_once() {
    let cell = TestCell::start().await;
    cell.bucket("bucket").await;
    let key = |n: usize| format!("{n:0>1024}");
    for n in [0, 500, DELETE_KEYS_MAX - 1] {
        cell.put(n, &key(n), bytes(1)).await.expect("stored");
    }
    let object = |n| DeleteObject { key: key(n), condition: Condition::default() };
    let request =
        delete_objects::Request { bucket: "bucket".into(), objects: (0..DELETE_KEYS_MAX).map(object).collect() };
    let outcomes = delete_objects::run(cell.node(1), &cell.caller(1), request).await.expect("executed");
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), DELETE_KEYS_MAX);
    for n in [0, 500, DELETE_KEYS_MAX - 1] {
        assert!(matches!(cell.get(2, &key(n)).await, Err(OpError::Refused(Refusal::NoSuchKey))));
    }
}

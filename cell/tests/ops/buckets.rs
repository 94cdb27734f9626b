//! Buckets: whose they are, and that a node's stale record of one does no harm.

use crate::harness::{TestCell, bytes};
use bulkhead_cell::{
    meta::command::Refusal,
    ops::{OpError, create_bucket, delete_bucket, delete_object, head_bucket, list_buckets},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_created_anew_takes_writes_through_nodes_that_knew_the_old_one() {
    let cell = TestCell::start().await;
    for round in 0..5 {
        cell.bucket("bucket").await;
        for n in 0..3 {
            cell.put(n, "key", bytes(20)).await.expect("the bucket is there for every node");
        }
        let request = delete_bucket::Request { bucket: "bucket".into() };
        let full = delete_bucket::run(cell.node(round), &cell.caller(1), request.clone()).await;
        assert!(matches!(full, Err(OpError::Refused(Refusal::BucketNotEmpty))), "{full:?}");
        let object =
            delete_object::Request { bucket: "bucket".into(), key: "key".into(), condition: Default::default() };
        delete_object::run(cell.node(round), &cell.caller(1), object).await.expect("deleted");
        let caller = cell.caller(1);
        delete_bucket::run(cell.node(round), &caller, request.clone()).await.expect("empty");
        delete_bucket::run(cell.node(round + 1), &caller, request).await.expect("the recorded outcome");
        let gone = cell.put(round + 1, "key", bytes(20)).await;
        assert!(matches!(gone, Err(OpError::Refused(Refusal::NoSuchBucket))), "{gone:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_one_accounts() {
    let cell = TestCell::start().await;
    cell.bucket("bucket").await;
    cell.bucket("another").await;
    let create = |n, name: &str| {
        let request = create_bucket::Request { bucket: name.into(), location: None };
        let caller = cell.caller(n);
        let node = cell.node(2);
        async move { create_bucket::run(node, &caller, request).await }
    };
    let own = create(1, "bucket").await;
    assert!(matches!(own, Err(OpError::Refused(Refusal::BucketAlreadyOwnedByYou))), "{own:?}");
    let others = create(2, "bucket").await;
    assert!(matches!(others, Err(OpError::Refused(Refusal::BucketAlreadyExists))), "{others:?}");
    let invalid = create(1, "Not A Bucket").await;
    assert!(matches!(invalid, Err(OpError::InvalidBucketName(_))), "{invalid:?}");

    let head = |n| {
        let caller = cell.caller(n);
        let node = cell.node(1);
        async move { head_bucket::run(node, &caller, head_bucket::Request { bucket: "bucket".into() }).await }
    };
    assert!(head(1).await.is_ok());
    assert!(matches!(head(2).await, Err(OpError::AccessDenied)));

    let names = |n, max, after: Option<&str>| {
        let request = list_buckets::Request { prefix: None, after: after.map(str::to_owned), max };
        let caller = cell.caller(n);
        let node = cell.node(1);
        async move {
            let page = list_buckets::run(node, &caller, request).await.expect("listed");
            (page.buckets.into_iter().map(|bucket| bucket.name).collect::<Vec<_>>(), page.next)
        }
    };
    assert_eq!(names(1, None, None).await, (vec!["another".to_owned(), "bucket".to_owned()], None));
    assert_eq!(names(1, Some(1), None).await, (vec!["another".to_owned()], Some("another".to_owned())));
    assert_eq!(names(1, Some(1), Some("another")).await, (vec!["bucket".to_owned()], None));
    assert_eq!(names(2, None, None).await, (vec![], None));
}

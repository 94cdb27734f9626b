//! Listings against a naive reference, and what they touch.

use super::*;
use crate::meta::{
    format, keys,
    record::{
        BlobId, Bucket, BucketId, ContentHeaders, Etag, Layout, Object, ObjectHead, Upload, UploadEpoch, UploadId,
    },
};
use bulkhead_model::{AccountId, ClaimId, Timestamp};
use bulkhead_replica::{MemoryStore, Mutation};
use proptest::prelude::*;
use std::collections::BTreeSet;

const BUCKET: BucketId = BucketId(7);

fn object(len: u64) -> Object {
    Object {
        len,
        etag: Etag { md5: [1; 16], parts: None },
        modified: Timestamp(len),
        checksum: None,
        headers: ContentHeaders { user: vec![("name".into(), "value".into())], ..ContentHeaders::default() },
        layout: Layout::Inline(BlobId { epoch: UploadEpoch(1), number: len }),
        parts: Vec::new(),
    }
}

fn put<T: format::Record>(row: keys::Row<T>, value: &T) -> Mutation {
    Mutation::Put { family: row.family, key: row.key, value: format::encode(value) }
}

/// These keys in the bucket, and others in its neighbours that no listing of it may show.
fn objects<'k>(listed: impl IntoIterator<Item = &'k str>) -> MemoryStore {
    let mut store = MemoryStore::default();
    for bucket in [BucketId(6), BucketId(8)] {
        store.write(vec![put(keys::objects::row(bucket, "a/strange"), &object(0))]);
    }
    for key in listed {
        store.write(vec![put(keys::objects::row(BUCKET, key), &object(key.len() as u64))]);
    }
    store
}

/// What a whole listing shows, in one order: objects, and common prefixes where they come first.
fn naive(listed: &BTreeSet<String>, prefix: &str, delimiter: Option<&str>, after: Option<&str>) -> Vec<String> {
    let fold = |key: &str| {
        let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
        let at = key[prefix.len()..].find(delimiter)?;
        Some(key[..prefix.len() + at + delimiter.len()].to_owned())
    };
    let skipped = after.filter(|after| after.starts_with(prefix) && fold(after).as_deref() == Some(after));
    let mut shown = Vec::new();
    for key in listed.iter().filter(|key| key.starts_with(prefix)) {
        if after.is_some_and(|after| key.as_str() <= after) || skipped.is_some_and(|skipped| key.starts_with(skipped)) {
            continue;
        }
        let entry = fold(key).unwrap_or_else(|| key.clone());
        if shown.last() != Some(&entry) {
            shown.push(entry);
        }
    }
    shown
}

/// All pages from `after` on, each of at most `max_keys`.
fn paged(store: &MemoryStore, query: ListQuery<'_>) -> Vec<String> {
    let (mut shown, mut after) = (Vec::new(), query.after.map(str::to_owned));
    loop {
        let page = list_objects(store, BUCKET, &ListQuery { after: after.as_deref(), ..query }).expect("memory");
        let mut entries: Vec<_> =
            page.objects.into_iter().map(|object| object.key).chain(page.common_prefixes).collect();
        entries.sort();
        assert!(entries.len() <= query.max_keys);
        assert!(page.next.is_none() || entries.len() == query.max_keys, "only a full page has a next");
        shown.append(&mut entries);
        match page.next {
            Some(next) => after = Some(next),
            None => return shown,
        }
    }
}

fn key() -> impl Strategy<Value = String> {
    "[ab/é\u{0}\u{10FFFF}]{0,5}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn pages_of_objects_show_what_a_naive_listing_shows(
        listed in prop::collection::btree_set(key(), 0..25),
        prefix in "[ab/]{0,2}",
        delimiter in prop::option::of(prop_oneof!["/", "b", "/a", "é", ""]),
        after in prop::option::of(key()),
        max_keys in 1..5usize,
    ) {
        let store = objects(listed.iter().map(String::as_str));
        let expected = naive(&listed, &prefix, delimiter.as_deref(), after.as_deref());
        let query = ListQuery { prefix: &prefix, delimiter: delimiter.as_deref(), after: after.as_deref(), max_keys };
        prop_assert_eq!(paged(&store, query), expected);
    }

    #[test]
    fn pages_of_uploads_show_what_a_naive_listing_shows(
        listed in prop::collection::btree_set((key(), 0..3u64), 0..20),
        prefix in "[ab/]{0,2}",
        delimiter in prop::option::of(prop_oneof!["/", "b"]),
        max_uploads in 1..5usize,
    ) {
        let mut store = MemoryStore::default();
        let record = Upload { initiated: Timestamp(0), headers: ContentHeaders::default(), checksum: None };
        for (key, n) in &listed {
            store.write(vec![put(keys::uploads::row(BUCKET, key, UploadId::mint(Timestamp(9), *n)), &record)]);
        }
        let (mut uploads, mut prefixes, mut marker) = (Vec::new(), Vec::new(), None::<UploadMarker>);
        loop {
            let query = UploadsQuery {
                prefix: &prefix,
                delimiter: delimiter.as_deref(),
                key_marker: marker.as_ref().map(|marker| marker.key.as_str()),
                upload_id_marker: marker.as_ref().and_then(|marker| marker.upload),
                max_uploads,
            };
            let page = list_uploads(&store, BUCKET, &query).expect("memory");
            prop_assert!(page.uploads.len() + page.common_prefixes.len() <= max_uploads);
            uploads.extend(page.uploads.into_iter().map(|listed| (listed.key, listed.upload)));
            prefixes.extend(page.common_prefixes);
            marker = page.next;
            if marker.is_none() { break }
        }
        let keys: BTreeSet<String> = listed.iter().map(|(key, _)| key.clone()).collect();
        let shown = naive(&keys, &prefix, delimiter.as_deref(), None);
        let expected: Vec<_> = listed.iter().filter(|(key, _)| shown.contains(key) && !prefixes.contains(key))
            .map(|(key, n)| (key.clone(), UploadId::mint(Timestamp(9), *n))).collect();
        prop_assert_eq!(uploads, expected);
        let expected: Vec<_> = shown.into_iter().filter(|entry| {
            delimiter.as_deref().is_some_and(|delimiter| entry[prefix.len()..].contains(delimiter))
        }).collect();
        prop_assert_eq!(prefixes, expected);
    }
}

#[test]
fn ten_prefixes_touch_ten_entries_however_many_keys_they_fold() {
    let listed: Vec<String> = (0..10_000).map(|n| format!("{}/{n}", n % 10)).collect();
    let store = objects(listed.iter().map(String::as_str));
    let query = ListQuery { delimiter: Some("/"), max_keys: 1_000, ..ListQuery::default() };
    let page = list_objects(&store, BUCKET, &query).expect("memory");
    assert_eq!((page.common_prefixes.len(), page.objects.len(), page.next), (10, 0, None));
    assert_eq!(page.touched, 11, "one for each prefix, and one that finds the end");
}

#[test]
fn a_page_touches_one_entry_more_than_it_shows() {
    let listed: Vec<String> = (0..100).map(|n| format!("{n:03}")).collect();
    let store = objects(listed.iter().map(String::as_str));
    let page = list_objects(&store, BUCKET, &ListQuery { max_keys: 10, ..ListQuery::default() }).expect("memory");
    assert_eq!((page.objects.len(), page.next.as_deref(), page.touched), (10, Some("009"), 11));
}

#[test]
fn a_listing_of_no_keys_is_empty_and_complete() {
    let page = list_objects(&objects(["a"]), BUCKET, &ListQuery::default()).expect("memory");
    assert_eq!((page.objects.len(), page.next), (0, None));
}

#[test]
fn a_head_is_the_front_of_its_object() {
    let object = object(5);
    let head: ObjectHead = format::decode(&format::encode(&object)).expect("the front of an object");
    let Object { len, etag, modified, checksum, .. } = object;
    assert_eq!(head, ObjectHead { len, etag, modified, checksum });
}

#[test]
fn buckets_are_paged_by_name_within_their_owner() {
    let owner = AccountId::new(AccountId::FIRST + 1).expect("in range");
    let other = AccountId::new(AccountId::FIRST + 2).expect("in range");
    let mut store = MemoryStore::default();
    for (name, owner) in [("aa", owner), ("ab", owner), ("ac", other), ("ad", owner), ("b", owner)] {
        let bucket = Bucket { id: BUCKET, owner, created: Timestamp(0), claim: ClaimId(1), location: None };
        store.write(vec![put(keys::buckets::by_name(name), &bucket), put(keys::buckets::by_owner(owner, name), &())]);
    }
    let names = |prefix, after, max_buckets| {
        let page = list_buckets(&store, owner, &BucketsQuery { prefix, after, max_buckets }).expect("memory");
        (page.buckets.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(names("a", None, 2), (vec!["aa".into(), "ab".into()], Some("ab".into())));
    assert_eq!(names("a", Some("ab"), 2), (vec!["ad".into()], None));
    assert_eq!(names("", None, 9).0, ["aa", "ab", "ad", "b"]);
}

//! Multipart uploads from begin to end.

use super::*;

/// A bucket with an upload of three parts, the last one small.
fn three_parts() -> (World, BucketId) {
    let mut world = World::new();
    let bucket = world.bucket("b", 1);
    world.must(create_upload(bucket, "k", upload(1)));
    for (number, len) in [(1, 5 * MIB), (2, 6 * MIB), (3, 1)] {
        let part = world.part(bucket, "k", upload(1), number, u8::try_from(number).expect("small"), len);
        world.must(part);
    }
    (world, bucket)
}

fn bucket_usage(world: &World, bucket: BucketId) -> Usage {
    world.view().bucket_usage(bucket).expect("memory").expect("it exists")
}

#[test]
fn parts_count_as_bytes_and_become_one_object() {
    let (mut world, bucket) = three_parts();
    assert_eq!(bucket_usage(&world, bucket), usage(11 * MIB + 1, 0));
    let done = world.must(Command::CompleteUpload(complete(bucket, "k", upload(1), &[(1, 1), (2, 2), (3, 3)])));
    let Done::UploadCompleted { etag, len, parts, .. } = done else { panic!("not completed") };
    assert_eq!((etag.parts, len, parts.len()), (Some(3), 11 * MIB + 1, 3));
    assert_eq!(bucket_usage(&world, bucket), usage(11 * MIB + 1, 1));
    let object = world.view().object(bucket, "k").expect("memory").expect("completed");
    let Layout::Segments(segments) = object.layout else { panic!("parts are segments") };
    assert_eq!(segments.iter().map(|segment| segment.len).collect::<Vec<_>>(), [5 * MIB, 6 * MIB, 1]);
    assert_eq!(object.headers.content_type.as_deref(), Some("text/plain"));
    assert!(world.store.is_empty(keys::parts::FAMILY) && world.store.is_empty(keys::uploads::FAMILY));
    assert!(world.store.is_empty(keys::garbage::FAMILY));
    audit::audit(&world.store);
}

#[test]
fn a_part_left_out_of_the_list_is_released() {
    let (mut world, bucket) = three_parts();
    world.must(Command::CompleteUpload(complete(bucket, "k", upload(1), &[(1, 1), (3, 3)])));
    assert_eq!(bucket_usage(&world, bucket), usage(5 * MIB + 1, 1));
    assert_eq!(world.store.len(keys::garbage::FAMILY), 1);
    audit::audit(&world.store);
}

#[test]
fn a_refused_completion_leaves_the_upload_as_it_was() {
    let (mut world, bucket) = three_parts();
    let before = world.store.clone();
    for (listed, refusal) in [
        (&[(2, 2), (1, 1)][..], Refusal::InvalidPartOrder),
        (&[(1, 1), (1, 1)], Refusal::InvalidPartOrder),
        (&[(1, 1), (4, 4)], Refusal::InvalidPart { number: 4 }),
        (&[(1, 9)], Refusal::InvalidPart { number: 1 }),
        (&[], Refusal::InvalidPart { number: 0 }),
    ] {
        let command = Command::CompleteUpload(complete(bucket, "k", upload(1), listed));
        assert_eq!(world.refused(command), refusal, "{listed:?}");
        assert_eq!(world.store, before);
    }
    let unknown = Command::CompleteUpload(complete(bucket, "k", upload(2), &[(1, 1)]));
    assert_eq!(world.refused(unknown), Refusal::NoSuchUpload);
}

#[test]
fn a_completed_upload_is_answered_again_from_the_record() {
    let (mut world, bucket) = three_parts();
    let command = Command::CompleteUpload(complete(bucket, "k", upload(1), &[(1, 1)]));
    let first = world.run_as(7, command.clone());
    assert!(first.is_ok());
    assert_eq!(world.run_as(7, command.clone()), first);
    assert_eq!(world.run_as(8, command), Err(Refusal::NoSuchUpload));
}

#[test]
fn a_part_that_is_uploaded_again_replaces_the_first() {
    let (mut world, bucket) = three_parts();
    let again = world.part(bucket, "k", upload(1), 2, 9, 7 * MIB);
    world.must(again);
    assert_eq!(bucket_usage(&world, bucket), usage(12 * MIB + 1, 0));
    assert_eq!(world.store.len(keys::garbage::FAMILY), 1);
    let old = Command::CompleteUpload(complete(bucket, "k", upload(1), &[(2, 2)]));
    assert_eq!(world.refused(old), Refusal::InvalidPart { number: 2 });
    audit::audit(&world.store);
}

#[test]
fn completing_over_an_object_releases_it() {
    let (mut world, bucket) = three_parts();
    let old = world.large(bucket, "k", 1, 100);
    world.must(Command::PutObject(old));
    world.must(Command::CompleteUpload(complete(bucket, "k", upload(1), &[(1, 1)])));
    assert_eq!(bucket_usage(&world, bucket), usage(5 * MIB, 1));
    audit::audit(&world.store);
}

#[test]
fn an_aborted_upload_leaves_garbage_and_nothing_else() {
    let (mut world, bucket) = three_parts();
    assert_eq!(world.must(abort(bucket, "k", upload(1))), Done::Ok);
    assert_eq!(bucket_usage(&world, bucket), usage(0, 0));
    assert_eq!(world.store.len(keys::garbage::FAMILY), 3);
    assert_eq!(world.refused(abort(bucket, "k", upload(1))), Refusal::NoSuchUpload);
    let late = world.part(bucket, "k", upload(1), 1, 1, 5);
    assert_eq!(world.refused(late), Refusal::NoSuchUpload);
    audit::audit(&world.store);
}

#[test]
fn uploads_of_one_key_do_not_touch_each_other() {
    let (mut world, bucket) = three_parts();
    world.must(create_upload(bucket, "k", upload(2)));
    world.must(create_upload(bucket, "k\0", upload(1)));
    world.must(abort(bucket, "k", upload(1)));
    assert!(world.view().upload(bucket, "k", upload(2)).expect("memory").is_some());
    assert!(world.view().upload(bucket, "k\0", upload(1)).expect("memory").is_some());
}

//! Objects are put and deleted. What they held before is released in the same command.

use super::{
    Decision, Stop, blobs, condition,
    draft::Draft,
    usage::{self, Change},
};
use crate::{
    limits::{DELETE_COMMAND_KEYS_MAX, PART_BYTES_MAX},
    meta::{
        bookkeeping::BucketState,
        command::{DeleteObject, Done, PutObject, Refusal},
        keys,
        record::{BucketId, Layout, Object, Usage},
    },
};

/// Puts an object whose bytes are durable or come along.
pub(super) fn put(draft: &mut Draft<'_>, put: PutObject) -> Decision {
    if put.len > PART_BYTES_MAX {
        return Err(Refusal::EntityTooLarge { len: put.len, max: PART_BYTES_MAX }.into());
    }
    let state = usage::bucket(draft, put.bucket)?;
    let row = keys::objects::row(put.bucket, &put.key);
    let old = draft.get(&row)?;
    condition::check(&put.condition, old.as_ref().map(|object| object.etag))?;
    replace(draft, put.bucket, &state, old.as_ref(), put.len)?;
    match &put.layout {
        Layout::Inline(blob) => {
            let body = put.body.unwrap_or_default();
            if body.len() as u64 != put.len {
                return Err(Refusal::BadDigest.into());
            }
            draft.put_body(*blob, &body);
        }
        Layout::Segments(segments) => {
            if !blobs::hold(segments, put.len) {
                return Err(Refusal::BadDigest.into());
            }
            blobs::name(draft, put.bucket, &put.key, segments)?;
        }
    }
    let (etag, modified) = (put.etag, draft.time());
    let PutObject { len, checksum, headers, layout, .. } = put;
    draft.put(row, &Object { len, etag, modified, checksum, headers, layout, parts: Vec::new() });
    Ok(Done::ObjectPut { etag, modified })
}

/// Makes room for an object of `len` bytes where `old` was: counts it, and releases what `old` held.
fn replace(
    draft: &mut Draft<'_>,
    bucket: BucketId,
    state: &BucketState,
    old: Option<&Object>,
    len: u64,
) -> Decision<()> {
    let added = Usage { bytes: len, objects: 1 };
    let removed = old.map_or_else(Usage::default, |old| Usage { bytes: old.len, objects: 1 });
    usage::charge(draft, bucket, state, Change { added, removed, ..Change::default() })?;
    if let Some(old) = old {
        blobs::release(draft, &old.layout);
    }
    Ok(())
}

/// Deletes objects, each on its own: one that is refused does not hold the others. A key that has none is no error.
pub(super) fn delete(draft: &mut Draft<'_>, bucket: BucketId, objects: Vec<DeleteObject>) -> Decision {
    let (keys, max) = (objects.len(), DELETE_COMMAND_KEYS_MAX);
    if keys > max {
        return Err(Refusal::TooManyDeletes { keys: keys as u64, max: max as u64 }.into());
    }
    let state = usage::bucket(draft, bucket)?;
    let mut removed = Usage::default();
    let mut outcomes = Vec::with_capacity(objects.len());
    for object in objects {
        outcomes.push(match delete_one(draft, bucket, &object) {
            Ok(len) => {
                removed.bytes += len.unwrap_or_default();
                removed.objects += u64::from(len.is_some());
                Ok(())
            }
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(Stop::Store(error)) => return Err(error.into()),
        });
    }
    usage::charge(draft, bucket, &state, Change { removed, ..Change::default() })?;
    Ok(Done::ObjectsDeleted(outcomes))
}

/// The length of what was deleted.
fn delete_one(draft: &mut Draft<'_>, bucket: BucketId, object: &DeleteObject) -> Decision<Option<u64>> {
    let row = keys::objects::row(bucket, &object.key);
    let old = draft.get(&row)?;
    condition::check(&object.condition, old.as_ref().map(|object| object.etag))?;
    let Some(old) = old else { return Ok(None) };
    blobs::release(draft, &old.layout);
    draft.delete(row);
    Ok(Some(old.len))
}

//! Completing an upload: the listed parts become the object, the others are released.
//!
//! [`assemble`] decides, pure; [`run`] writes it down.

use super::{
    Decision, blobs, checksum, condition,
    draft::Draft,
    uploads::{self, At},
    usage::{self, Change},
};
use crate::{
    limits::{OBJECT_BYTES_MAX, PART_BYTES_MIN},
    meta::{
        command::{CompleteUpload, Done, ListedPart, Refusal},
        keys,
        record::{Checksum, Etag, Layout, Object, Part, PartSummary, Upload, Usage},
    },
};
use md5::{Digest, Md5};
use std::collections::BTreeMap;

/// Completes an upload.
pub(super) fn run(draft: &mut Draft<'_>, complete: &CompleteUpload) -> Decision {
    let CompleteUpload { bucket, key, upload, .. } = complete;
    let at = At { bucket: *bucket, key, upload: *upload };
    let state = usage::bucket(draft, at.bucket)?;
    let upload = uploads::find(draft, at)?;
    let row = keys::objects::row(at.bucket, at.key);
    let old = draft.get(&row)?;
    condition::check(&complete.condition, old.as_ref().map(|object| object.etag))?;
    let mut left = uploads::parts(draft, at)?;
    let numbers: Vec<u16> = left.keys().copied().collect();
    let part_bytes = left.values().map(|part| part.len).sum::<u64>();
    let assembled = assemble(&upload, &mut left, complete)?;

    let added = Usage { bytes: assembled.len, objects: 1 };
    let removed = match &old {
        Some(old) => Usage { bytes: part_bytes + old.len, objects: 1 },
        None => Usage { bytes: part_bytes, objects: 0 },
    };
    usage::charge(draft, at.bucket, &state, Change { added, removed, uploads_removed: 1, ..Change::default() })?;
    if let Some(old) = &old {
        blobs::release(draft, &old.layout);
    }
    for part in left.values() {
        blobs::release_segments(draft, &part.segments);
    }
    uploads::forget(draft, at, numbers.into_iter());

    let Assembled { len, etag, checksum, segments, parts } = assembled;
    let object = Object {
        len,
        etag,
        modified: draft.time(),
        checksum: checksum.clone(),
        headers: upload.headers,
        layout: Layout::Segments(segments),
        parts: parts.clone(),
    };
    draft.put(row, &object);
    Ok(Done::UploadCompleted { etag, checksum, len, parts })
}

/// The object that listed parts make.
#[derive(Debug, PartialEq, Eq)]
struct Assembled {
    len: u64,
    etag: Etag,
    checksum: Option<Checksum>,
    segments: Vec<crate::meta::record::Segment>,
    parts: Vec<PartSummary>,
}

/// Takes the listed parts out of `parts` and puts them one after the other. What stays in `parts` was left out.
fn assemble(upload: &Upload, parts: &mut BTreeMap<u16, Part>, complete: &CompleteUpload) -> Result<Assembled, Refusal> {
    let listed = take_listed(parts, &complete.listed)?;
    let mut hash = Md5::new();
    let mut made = Assembled {
        len: 0,
        etag: Etag { md5: [0; 16], parts: u32::try_from(listed.len()).ok() },
        checksum: checksum::of_parts(upload.checksum, &listed)?,
        segments: Vec::new(),
        parts: Vec::with_capacity(listed.len()),
    };
    for (at, (number, part)) in listed.iter().enumerate() {
        let (number, len, is_last) = (*number, part.len, at + 1 == listed.len());
        if len < PART_BYTES_MIN && !is_last {
            return Err(Refusal::EntityTooSmall { number, len, min: PART_BYTES_MIN });
        }
        hash.update(part.etag.md5);
        made.len = made.len.saturating_add(len);
        made.segments.extend_from_slice(&part.segments);
        let checksum = part.checksum.as_ref().map(|checksum| checksum.value.clone());
        made.parts.push(PartSummary { number, len, checksum });
    }
    made.etag.md5 = hash.finalize().into();
    if made.len > OBJECT_BYTES_MAX {
        return Err(Refusal::EntityTooLarge { len: made.len, max: OBJECT_BYTES_MAX });
    }
    let stated = complete.checksum.as_ref();
    if stated.is_some_and(|stated| made.checksum.as_ref().is_none_or(|made| made.value != *stated))
        || complete.len.is_some_and(|len| len != made.len)
    {
        return Err(Refusal::BadDigest);
    }
    Ok(made)
}

/// The listed parts in order, each as it was uploaded. An object has at least one part.
fn take_listed(parts: &mut BTreeMap<u16, Part>, listed: &[ListedPart]) -> Result<Vec<(u16, Part)>, Refusal> {
    if listed.is_empty() {
        return Err(Refusal::InvalidPart { number: 0 });
    }
    if !listed.is_sorted_by(|a, b| a.number < b.number) {
        return Err(Refusal::InvalidPartOrder);
    }
    let take = |listed: &ListedPart| {
        let ListedPart { number, md5, checksum } = listed;
        let part = parts.remove(number).filter(|part| part.etag.md5 == *md5);
        let part = part.filter(|part| {
            checksum.as_ref().is_none_or(|stated| part.checksum.as_ref().is_some_and(|own| own.value == *stated))
        });
        Ok((*number, part.ok_or(Refusal::InvalidPart { number: *number })?))
    };
    listed.iter().map(take).collect()
}

#[cfg(test)]
#[path = "complete_tests.rs"]
mod tests;

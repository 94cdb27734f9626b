//! Multipart uploads: begun, filled, abandoned. Completing one is in [`super::complete`].

use super::{
    Decision, blobs,
    draft::Draft,
    usage::{self, Change},
};
use crate::{
    limits::{PART_BYTES_MAX, PART_NUMBER_MAX, UPLOADS_PER_ACCOUNT_MAX},
    meta::{
        command::{Done, Refusal},
        format,
        keys::{self, within},
        record::{BucketId, ChecksumAlgorithm, ChecksumKind, ContentHeaders, Part, Upload, UploadId, Usage},
    },
};
use bulkhead_replica::StoreError;
use std::collections::BTreeMap;

/// Which upload.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'c> {
    pub bucket: BucketId,
    pub key: &'c str,
    pub upload: UploadId,
}

/// Begins an upload.
pub(super) fn create(
    draft: &mut Draft<'_>,
    at: At<'_>,
    headers: ContentHeaders,
    checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
) -> Decision {
    let state = usage::bucket(draft, at.bucket)?;
    let row = keys::uploads::row(at.bucket, at.key, at.upload);
    if draft.get(&row)?.is_some() {
        return Ok(Done::UploadCreated { upload: at.upload });
    }
    let used = draft.get(&keys::accounts::totals(state.owner))?.ok_or(Refusal::NoSuchAccount)?.uploads;
    if used >= UPLOADS_PER_ACCOUNT_MAX {
        return Err(Refusal::TooManyUploads { used, max: UPLOADS_PER_ACCOUNT_MAX }.into());
    }
    usage::charge(draft, at.bucket, &state, Change { uploads_added: 1, ..Change::default() })?;
    draft.put(row, &Upload { initiated: draft.time(), headers, checksum });
    Ok(Done::UploadCreated { upload: at.upload })
}

/// Puts a part, in place of the one of that number if there is one.
pub(super) fn put_part(draft: &mut Draft<'_>, at: At<'_>, number: u16, part: Part) -> Decision {
    if !(1..=PART_NUMBER_MAX).contains(&number) {
        return Err(Refusal::InvalidPart { number }.into());
    }
    if part.len > PART_BYTES_MAX {
        return Err(Refusal::EntityTooLarge { len: part.len, max: PART_BYTES_MAX }.into());
    }
    let state = usage::bucket(draft, at.bucket)?;
    find(draft, at)?;
    if !blobs::hold(&part.segments, part.len) {
        return Err(Refusal::BadDigest.into());
    }
    let row = keys::parts::row(at.bucket, at.key, at.upload, number);
    let old = draft.get(&row)?;
    let change = Change {
        added: Usage { bytes: part.len, objects: 0 },
        removed: Usage { bytes: old.as_ref().map_or(0, |old| old.len), objects: 0 },
        ..Change::default()
    };
    usage::charge(draft, at.bucket, &state, change)?;
    if let Some(old) = old {
        blobs::release_segments(draft, &old.segments);
    }
    blobs::name(draft, at.bucket, at.key, &part.segments)?;
    let modified = draft.time();
    draft.put(row, &Part { modified, ..part });
    Ok(Done::PartPut { modified })
}

/// Abandons an upload and releases its parts.
pub(super) fn abort(draft: &mut Draft<'_>, at: At<'_>) -> Decision {
    let state = usage::bucket(draft, at.bucket)?;
    find(draft, at)?;
    let parts = parts(draft, at)?;
    let removed = Usage { bytes: parts.values().map(|part| part.len).sum(), objects: 0 };
    for part in parts.values() {
        blobs::release_segments(draft, &part.segments);
    }
    forget(draft, at, parts.into_keys());
    usage::charge(draft, at.bucket, &state, Change { removed, uploads_removed: 1, ..Change::default() })?;
    Ok(Done::Ok)
}

/// The upload, which must be in progress.
pub(super) fn find(draft: &Draft<'_>, at: At<'_>) -> Decision<Upload> {
    Ok(draft.get(&keys::uploads::row(at.bucket, at.key, at.upload))?.ok_or(Refusal::NoSuchUpload)?)
}

/// All parts of an upload by number: at most [`crate::limits::PART_NUMBER_MAX`].
pub(super) fn parts(draft: &Draft<'_>, at: At<'_>) -> Result<BTreeMap<u16, Part>, StoreError> {
    let of_upload = keys::parts::of_upload(at.bucket, at.key, at.upload);
    let mut cursor = draft.cursor(keys::parts::FAMILY);
    cursor.seek(&of_upload)?;
    let mut parts = BTreeMap::new();
    while let Some((rest, value)) = within(&*cursor, &of_upload) {
        parts.insert(keys::parts::number(rest)?, format::decode(value)?);
        cursor.advance()?;
    }
    Ok(parts)
}

/// Deletes the rows of an upload and of its parts, and nothing of their bytes.
pub(super) fn forget(draft: &mut Draft<'_>, at: At<'_>, numbers: impl Iterator<Item = u16>) {
    for number in numbers {
        draft.delete(keys::parts::row(at.bucket, at.key, at.upload, number));
    }
    draft.delete(keys::uploads::row(at.bucket, at.key, at.upload));
}

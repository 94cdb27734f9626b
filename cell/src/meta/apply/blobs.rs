//! Naming bytes and letting go of them. Bytes are named once, under an open epoch; what is released becomes garbage.

use super::{Decision, draft::Draft};
use crate::meta::{
    bookkeeping::BlobOwner,
    command::Refusal,
    keys,
    record::{BucketId, Layout, Segment},
};

/// Names segments under a key. Refused when the epoch of one is closed: garbage collection may free its bytes any time. A
/// blob that is named already is refused alike, lest two names share its bytes.
pub(super) fn name(draft: &mut Draft<'_>, bucket: BucketId, key: &str, segments: &[Segment]) -> Decision<()> {
    for Segment { blob, .. } in segments {
        let owner = keys::blobs::row(*blob);
        let is_open = draft.get(&keys::meta::epoch(blob.epoch))?.is_some();
        if !is_open || draft.get(&owner)?.is_some() {
            return Err(Refusal::EpochClosed { blob: *blob }.into());
        }
        draft.put(owner, &BlobOwner { bucket, key: key.to_owned() });
    }
    Ok(())
}

/// Lets go of an object's bytes.
pub(super) fn release(draft: &mut Draft<'_>, layout: &Layout) {
    match layout {
        Layout::Inline(blob) => draft.delete_body(*blob),
        Layout::Segments(segments) => release_segments(draft, segments),
    }
}

/// Lets go of segments: no one owns their blobs, and they are garbage as of now.
pub(super) fn release_segments(draft: &mut Draft<'_>, segments: &[Segment]) {
    for segment in segments {
        draft.delete(keys::blobs::row(segment.blob));
        draft.put(keys::garbage::row(draft.time(), segment.blob), segment);
    }
}

/// Whether the segments hold `len` bytes.
pub(super) fn hold(segments: &[Segment], len: u64) -> bool {
    segments.iter().try_fold(0u64, |sum, segment| sum.checked_add(segment.len)) == Some(len)
}

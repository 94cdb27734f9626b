//! Naming bytes and letting go of them. Bytes are named once, under an open epoch; what is released becomes garbage and is never
//! named again.

use super::{Decision, draft::Draft};
use crate::meta::{
    bookkeeping::BlobState,
    command::Refusal,
    keys,
    record::{BucketId, Layout, Segment},
};

/// Names segments under a key. Refused when the epoch of one is closed: garbage collection may free its bytes any time. A
/// blob that is or was named is refused alike, lest two names share its bytes or a name is left without them.
pub(super) fn name(draft: &mut Draft<'_>, bucket: BucketId, key: &str, segments: &[Segment]) -> Decision<()> {
    for &Segment { blob, len, chunk_bytes } in segments {
        let row = keys::blobs::row(blob);
        let is_open = draft.get(&keys::meta::epoch(blob.epoch))?.is_some();
        if !is_open || draft.get(&row)?.is_some() {
            return Err(Refusal::EpochClosed { blob }.into());
        }
        draft.put(row, &BlobState::Named { bucket, key: key.to_owned(), len, chunk_bytes });
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

/// Lets go of segments: nobody names their blobs, and they are garbage as of now.
pub(super) fn release_segments(draft: &mut Draft<'_>, segments: &[Segment]) {
    for segment in segments {
        let at = draft.time();
        draft.put(keys::blobs::row(segment.blob), &BlobState::Released { at });
        draft.put(keys::garbage::row(at, segment.blob), segment);
    }
}

/// Whether the segments hold `len` bytes.
pub(super) fn hold(segments: &[Segment], len: u64) -> bool {
    segments.iter().try_fold(0u64, |sum, segment| sum.checked_add(segment.len)) == Some(len)
}

//! Clearing away what a deleted bucket's uploads left: their parts become garbage and their rows go, a few per command.
//!
//! The bucket's usage was settled when it was deleted; nothing is counted here.

use super::{blobs, draft::Draft};
use crate::{
    limits::DROPPED_ROWS_PER_COMMAND,
    meta::{
        bookkeeping::Dropped,
        format,
        keys::{self, within},
        record::{BucketId, Part},
    },
};
use bulkhead_replica::{Family, StoreError};

/// Clears some rows of the oldest deleted bucket that has any left.
pub(super) fn clear_some(draft: &mut Draft<'_>) -> Result<(), StoreError> {
    if draft.cell.dropped == 0 {
        return Ok(());
    }
    let mut cursor = draft.cursor(keys::meta::FAMILY);
    cursor.seek(&keys::meta::DROPS)?;
    // A bucket that this very command deleted is not there yet: the next command finds it.
    let Some((rest, value)) = within(&*cursor, &keys::meta::DROPS) else { return Ok(()) };
    let bucket = BucketId(keys::meta::number(rest)?);
    let mut dropped: Dropped = format::decode(value)?;
    let mut room = DROPPED_ROWS_PER_COMMAND;
    let parts_gone = clear(draft, keys::parts::FAMILY, bucket, &mut dropped.parts_to, &mut room)?;
    let all_gone = parts_gone && clear(draft, keys::uploads::FAMILY, bucket, &mut dropped.uploads_to, &mut room)?;
    if all_gone {
        draft.delete(keys::meta::dropped(bucket));
        draft.cell.dropped -= 1;
    } else {
        draft.put(keys::meta::dropped(bucket), &dropped);
    }
    Ok(())
}

/// Clears up to `room` rows of one family, beginning behind `done_to`. Says whether none are left.
fn clear(
    draft: &mut Draft<'_>,
    family: Family,
    bucket: BucketId,
    done_to: &mut Option<Vec<u8>>,
    room: &mut usize,
) -> Result<bool, StoreError> {
    let of_bucket = bucket.0.to_be_bytes();
    let mut cursor = draft.cursor(family);
    cursor.seek(done_to.as_deref().unwrap_or(&of_bucket))?;
    while let Some((key, value)) = cursor.entry().filter(|(key, _)| key.starts_with(&of_bucket)) {
        if *room == 0 {
            return Ok(false);
        }
        *room -= 1;
        if family == keys::parts::FAMILY {
            blobs::release_segments(draft, &format::decode::<Part>(value)?.segments);
        }
        draft.delete_at(family, key.to_vec());
        *done_to = Some(key.to_vec());
        cursor.advance()?;
    }
    Ok(true)
}

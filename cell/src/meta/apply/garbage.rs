//! Forgetting garbage whose grace has passed, in bounded batches.

use super::{Decision, draft::Draft};
use crate::{
    limits::GARBAGE_ROWS_PER_COMMAND,
    meta::{bytes::is_closed, command::Done, keys, record::BlobId},
};
use bulkhead_model::Timestamp;

/// Forgets rows of garbage whose upload epoch is closed; others stay, and so do those beyond the bound. The proposer has seen to the
/// grace. Afterwards a blob is as if it had never been named, and its epoch is closed: it never will be.
pub(super) fn expire(draft: &mut Draft<'_>, rows: &[(Timestamp, BlobId)]) -> Decision {
    for &(released, blob) in rows.iter().take(GARBAGE_ROWS_PER_COMMAND) {
        let row = keys::garbage::row(released, blob);
        let is_open = draft.get(&keys::meta::epoch(blob.epoch))?.is_some();
        if is_closed(blob.epoch, draft.cell.last_epoch, is_open) && draft.get(&row)?.is_some() {
            draft.delete(row);
            draft.delete(keys::blobs::row(blob));
        }
    }
    Ok(Done::Ok)
}

//! Counting: bytes and objects of a bucket, its account and the cell change together, exactly, and never beyond capacity.
//!
//! Parts of uploads in progress count as bytes, not as objects.

use super::{Decision, draft::Draft};
use crate::meta::{
    bookkeeping::BucketState,
    command::{CapacityDimension, Done, Refusal},
    keys,
    record::{BucketId, Usage},
};
use bulkhead_model::AccountId;

/// What a command adds and removes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub added: Usage,
    pub removed: Usage,
    pub uploads_added: u64,
    pub uploads_removed: u64,
}

impl Change {
    /// The total after the change. Nothing is removed that was not added before.
    fn settle(&self, usage: Usage) -> Usage {
        Usage {
            bytes: (usage.bytes + self.added.bytes).saturating_sub(self.removed.bytes),
            objects: (usage.objects + self.added.objects).saturating_sub(self.removed.objects),
        }
    }

    fn settle_uploads(&self, uploads: u64) -> u64 {
        (uploads + self.uploads_added).saturating_sub(self.uploads_removed)
    }
}

/// The state of a bucket.
pub(super) fn bucket(draft: &Draft<'_>, bucket: BucketId) -> Decision<BucketState> {
    Ok(draft.get(&keys::buckets::state(bucket))?.ok_or(Refusal::NoSuchBucket)?)
}

/// Counts a change to what `bucket` holds, or refuses it for lack of room. What frees as much as it takes always has room.
pub(super) fn charge(draft: &mut Draft<'_>, bucket: BucketId, state: &BucketState, change: Change) -> Decision<()> {
    let (used, after) = (draft.cell.usage, change.settle(draft.cell.usage));
    for (what, used, after, max) in [
        (CapacityDimension::Bytes, used.bytes, after.bytes, draft.capacity.bytes),
        (CapacityDimension::Objects, used.objects, after.objects, draft.capacity.objects),
    ] {
        if after > used && after > max {
            return Err(Refusal::CellFull { what, used, max }.into());
        }
    }
    draft.cell.usage = after;
    let uploads = change.settle_uploads(state.uploads);
    let bucket_after = BucketState { usage: change.settle(state.usage), uploads, ..state.clone() };
    draft.put(keys::buckets::state(bucket), &bucket_after);
    let row = keys::accounts::totals(state.owner);
    let mut totals = draft.get(&row)?.ok_or(Refusal::NoSuchAccount)?;
    within_quota(draft, state.owner, totals.usage, change.settle(totals.usage))?;
    totals.usage = change.settle(totals.usage);
    totals.uploads = change.settle_uploads(totals.uploads);
    draft.put(row, &totals);
    Ok(())
}

/// Counts `ballast` as held by the cell, instead of what was counted so before. It is nobody's: neither a bucket nor an account has it.
pub(super) fn set_ballast(draft: &mut Draft<'_>, ballast: Usage) -> Decision {
    let row = keys::meta::ballast();
    let before = draft.get(&row)?.unwrap_or_default();
    // What is larger than the cell makes it full, and no more.
    let ballast =
        Usage { bytes: ballast.bytes.min(draft.capacity.bytes), objects: ballast.objects.min(draft.capacity.objects) };
    let change = Change { added: ballast, removed: before, ..Change::default() };
    draft.cell.usage = change.settle(draft.cell.usage);
    if ballast == Usage::default() {
        draft.delete(row);
    } else {
        draft.put(row, &ballast);
    }
    Ok(Done::Ok)
}

/// Refuses what lets an account grow beyond what it may hold.
fn within_quota(draft: &Draft<'_>, account: AccountId, used: Usage, after: Usage) -> Decision<()> {
    if after.bytes <= used.bytes && after.objects <= used.objects {
        return Ok(());
    }
    let Some(quota) = draft.get(&keys::accounts::settings(account))? else { return Ok(()) };
    for (what, used, after, max) in [
        (CapacityDimension::Bytes, used.bytes, after.bytes, quota.bytes),
        (CapacityDimension::Objects, used.objects, after.objects, quota.objects),
    ] {
        if let Some(max) = max.filter(|max| after > used && after > *max) {
            return Err(Refusal::AccountFull { what, used, max }.into());
        }
    }
    Ok(())
}

/// Takes a bucket and everything in it out of its account's and the cell's totals.
pub(super) fn forget_bucket(draft: &mut Draft<'_>, state: &BucketState) -> Decision<()> {
    let change = Change { removed: state.usage, uploads_removed: state.uploads, ..Change::default() };
    draft.cell.usage = change.settle(draft.cell.usage);
    draft.cell.buckets = draft.cell.buckets.saturating_sub(1);
    let row = keys::accounts::totals(state.owner);
    let mut totals = draft.get(&row)?.ok_or(Refusal::NoSuchAccount)?;
    totals.usage = change.settle(totals.usage);
    totals.uploads = change.settle_uploads(totals.uploads);
    totals.buckets = totals.buckets.saturating_sub(1);
    draft.put(row, &totals);
    Ok(())
}

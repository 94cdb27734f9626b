//! Buckets come and go. A name is used only under a claim from the control plane, and given back through the outbox.

use super::{Decision, draft::Draft, usage};
use crate::{
    limits::BUCKETS_PER_ACCOUNT_MAX,
    meta::{
        bookkeeping::{BucketState, Dropped, Errand, Fence},
        command::{Done, Refusal},
        keys,
        record::{Bucket, BucketId, Usage},
    },
};
use bulkhead_model::{AccountId, ClaimId, fence};

/// Creates a bucket under a claim that was not given up.
pub(super) fn create(
    draft: &mut Draft<'_>,
    name: String,
    owner: AccountId,
    claim: ClaimId,
    location: Option<String>,
) -> Decision {
    let mut totals = draft.get(&keys::accounts::totals(owner))?.ok_or(Refusal::NoSuchAccount)?;
    match draft.get(&keys::buckets::by_name(&name))? {
        Some(bucket) if bucket.owner == owner => return Err(Refusal::BucketAlreadyOwnedByYou.into()),
        Some(_) => return Err(Refusal::BucketAlreadyExists.into()),
        None => {}
    }
    let fence = draft.get(&keys::buckets::fence(&name))?.map(|fence| fence.claim);
    if !fence::admits(fence, claim) {
        return Err(Refusal::ClaimFenced.into());
    }
    let quota = draft.get(&keys::accounts::settings(owner))?.and_then(|settings| settings.buckets);
    let max = quota.unwrap_or(BUCKETS_PER_ACCOUNT_MAX).min(BUCKETS_PER_ACCOUNT_MAX);
    if totals.buckets >= max {
        return Err(Refusal::TooManyBuckets { used: totals.buckets, max }.into());
    }
    draft.cell.last_bucket += 1;
    let id = BucketId(draft.cell.last_bucket);
    let bucket = Bucket { id, owner, created: draft.time(), claim, location };
    draft.put(keys::buckets::by_name(&name), &bucket);
    draft.put(keys::buckets::by_owner(owner, &name), &());
    draft.put(keys::buckets::state(id), &BucketState { owner, name, usage: Usage::default(), uploads: 0 });
    totals.buckets += 1;
    draft.put(keys::accounts::totals(owner), &totals);
    draft.cell.buckets += 1;
    Ok(Done::BucketCreated { bucket: id })
}

/// Deletes a bucket that has no objects. Uploads in progress do not hold it: their bytes leave the account's usage now, and
/// their rows are cleared away by the commands that follow, a few each ([`super::dropped`]).
///
/// The claim is fenced, so that a repetition of the old `CreateBucket` cannot bring the bucket back once its name is given
/// away.
pub(super) fn delete(draft: &mut Draft<'_>, id: BucketId, name: &str) -> Decision {
    let bucket = draft.get(&keys::buckets::by_name(name))?.filter(|bucket| bucket.id == id);
    let bucket = bucket.ok_or(Refusal::NoSuchBucket)?;
    let state = usage::bucket(draft, bucket.id)?;
    if state.usage.objects > 0 {
        return Err(Refusal::BucketNotEmpty.into());
    }
    if state.uploads > 0 {
        draft.put(keys::meta::dropped(bucket.id), &Dropped::default());
        draft.cell.dropped += 1;
    }
    usage::forget_bucket(draft, &state)?;
    draft.delete(keys::buckets::by_name(name));
    draft.delete(keys::buckets::by_owner(bucket.owner, name));
    draft.delete(keys::buckets::state(bucket.id));
    // The bucket was created above whatever was fenced, and its claim is not given up while it exists.
    draft.put(keys::buckets::fence(name), &Fence { claim: bucket.claim });
    draft.cell.last_errand += 1;
    let errand = Errand::ReleaseName { name: name.to_owned(), claim: bucket.claim };
    draft.put(keys::outbox::row(draft.cell.last_errand), &errand);
    Ok(Done::BucketDeleted)
}

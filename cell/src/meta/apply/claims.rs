//! Claims on bucket names: what became of them, and what the control plane has heard.

use super::{Decision, draft::Draft};
use crate::meta::{bookkeeping::Fence, command::Done, keys};
use bulkhead_model::{ClaimId, fence};

/// Says whether the bucket of this claim exists; if not, it never will.
pub(super) fn settle(draft: &mut Draft<'_>, name: &str, claim: ClaimId) -> Decision {
    if draft.get(&keys::buckets::by_name(name))?.is_some_and(|bucket| bucket.claim == claim) {
        return Ok(Done::ClaimSettled { exists: true });
    }
    let row = keys::buckets::fence(name);
    let fence = draft.get(&row)?.map(|fence| fence.claim);
    draft.put(row, &Fence { claim: fence::raised(fence, claim) });
    Ok(Done::ClaimSettled { exists: false })
}

/// The control plane has heard of an errand. It may have heard before.
pub(super) fn errand_done(draft: &mut Draft<'_>, sequence: u64) -> Done {
    draft.delete(keys::outbox::row(sequence));
    Done::Ok
}

//! Exactly once: the outcome of a request is kept for a while and given to those who repeat it.

use super::draft::Draft;
use crate::{
    limits::{REPLAY_MILLISECONDS, REPLAYS_EXPIRED_PER_COMMAND},
    meta::{
        bookkeeping::Replay,
        command::Outcome,
        keys::{self, within},
    },
};
use bulkhead_model::{RequestId, Timestamp};
use bulkhead_replica::{Reader, StoreError};

/// What became of this request when it was applied before.
pub(super) fn recorded(view: &dyn Reader, request: Option<RequestId>) -> Result<Option<Outcome>, StoreError> {
    let Some(request) = request else { return Ok(None) };
    Ok(keys::replays::by_request(request).get(view)?.map(|replay| replay.outcome))
}

/// Keeps the outcome of a request, unless it is a refusal that another attempt may turn.
pub(super) fn record(draft: &mut Draft<'_>, request: Option<RequestId>, outcome: &Outcome) {
    let Some(request) = request else { return };
    if outcome.as_ref().is_err_and(|refusal| !refusal.is_final()) {
        return;
    }
    let applied = draft.time();
    draft.put(keys::replays::by_request(request), &Replay { applied, outcome: outcome.clone() });
    draft.put(keys::replays::by_age(applied, request), &());
}

/// Forgets outcomes that are old enough, oldest first, a few per command.
pub(super) fn expire(draft: &mut Draft<'_>) -> Result<(), StoreError> {
    let now = draft.time();
    if now < draft.cell.expire_at {
        return Ok(());
    }
    let mut cursor = draft.cursor(keys::replays::FAMILY);
    match draft.cell.expired_to {
        Some((applied, request)) => cursor.seek(&keys::replays::by_age(applied, request).key)?,
        None => cursor.seek(&keys::replays::AGES)?,
    }
    for _ in 0..REPLAYS_EXPIRED_PER_COMMAND {
        let Some((rest, _)) = within(&*cursor, &keys::replays::AGES) else {
            draft.cell.expire_at = expiry(now);
            return Ok(());
        };
        let (applied, request) = keys::replays::age(rest)?;
        if expiry(applied) > now {
            draft.cell.expire_at = expiry(applied);
            return Ok(());
        }
        draft.delete(keys::replays::by_request(request));
        draft.delete(keys::replays::by_age(applied, request));
        draft.cell.expired_to = Some((applied, request));
        cursor.advance()?;
    }
    Ok(())
}

fn expiry(applied: Timestamp) -> Timestamp {
    Timestamp(applied.0.saturating_add(REPLAY_MILLISECONDS))
}

//! Exactly once: the outcome of a request is kept for a while and given to those who repeat it.
//!
//! Age counts in ticks and not by the clock: one node whose clock jumps an hour ahead would make every outcome old.

use super::{Decision, draft::Draft};
use crate::{
    limits::{REPLAY_TICKS, REPLAYS_EXPIRED_PER_COMMAND, REPLAYS_EXPIRED_PER_TICK, REPLAYS_MAX},
    meta::{
        bookkeeping::Replay,
        command::{Command, Outcome, Refusal},
        keys::{self, within},
    },
};
use bulkhead_model::RequestId;
use bulkhead_replica::{Reader, StoreError};

/// What became of this request when it was applied before.
pub(super) fn recorded(view: &dyn Reader, request: Option<RequestId>) -> Result<Option<Outcome>, StoreError> {
    let Some(request) = request else { return Ok(None) };
    Ok(keys::replays::by_request(request).get(view)?.map(|replay| replay.outcome))
}

/// Refuses a request whose outcome could not be remembered.
pub(super) fn check_room(draft: &Draft<'_>, request: Option<&RequestId>) -> Decision<()> {
    if request.is_some() && draft.cell.replays >= REPLAYS_MAX {
        return Err(Refusal::TooManyRecent { max: REPLAYS_MAX }.into());
    }
    Ok(())
}

/// Keeps the outcome of a request that has none yet, unless it is a refusal that another attempt may turn.
pub(super) fn record(draft: &mut Draft<'_>, request: Option<RequestId>, outcome: &Outcome) {
    let Some(request) = request else { return };
    if outcome.as_ref().is_err_and(|refusal| !refusal.is_final()) {
        return;
    }
    let applied = draft.cell.ticks;
    draft.put(keys::replays::by_request(request), &Replay { applied, outcome: outcome.clone() });
    draft.put(keys::replays::by_age(applied, request), &());
    draft.cell.replays += 1;
}

/// How many outcomes a command makes forgotten.
pub(super) fn expired_at_most(command: &Command) -> usize {
    if matches!(command, Command::Tick { .. }) { REPLAYS_EXPIRED_PER_TICK } else { REPLAYS_EXPIRED_PER_COMMAND }
}

/// Forgets outcomes that are old enough, oldest first, at most so many.
pub(super) fn expire(draft: &mut Draft<'_>, most: usize) -> Result<(), StoreError> {
    let now = draft.cell.ticks;
    if now < draft.cell.expire_at {
        return Ok(());
    }
    let mut cursor = draft.cursor(keys::replays::FAMILY);
    match draft.cell.expired_to {
        Some((applied, request)) => cursor.seek(&keys::replays::by_age(applied, request).key)?,
        None => cursor.seek(&keys::replays::AGES)?,
    }
    for _ in 0..most {
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
        draft.cell.replays = draft.cell.replays.saturating_sub(1);
        cursor.advance()?;
    }
    Ok(())
}

/// The tick in which an outcome of `applied` is old. The first tick after it may follow at once, so it does not count.
fn expiry(applied: u64) -> u64 {
    applied.saturating_add(1 + REPLAY_TICKS)
}

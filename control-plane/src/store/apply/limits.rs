//! What accounts may ask for: set here first, then by the reconciler in the account's cell.

use super::{change_set::ChangeSet, placement};
use crate::store::{
    command::{Done, Outcome, Refusal},
    keys::Unsettled,
    read,
};
use bulkhead_model::{AccountId, AccountLimits, api::control_plane::AccountState};
use bulkhead_replica::StoreError;

/// Replaces an account's limits, and has the reconciler look after them until the cell has them. Setting what is set changes nothing.
pub fn set(set: &mut ChangeSet<'_>, id: AccountId, limits: AccountLimits) -> Result<Outcome, StoreError> {
    let Some(mut record) = read::account(set.view, id)? else { return Ok(Err(Refusal::NoSuchAccount(id))) };
    if record.state != AccountState::Active {
        return Ok(Err(Refusal::AccountNotActive { account: id, state: record.state }));
    }
    if record.limits != limits {
        record.limits = limits;
        record.limits_version += 1;
        placement::reserve(set, &mut record)?;
        set.put_account(id, &record)?;
        set.unsettled(&Unsettled::Limits(id));
    }
    Ok(Ok(Done::Ok))
}

/// Notes what the cell has. A version older than the one it is known to have says nothing, and one that was changed meanwhile
/// leaves the account with the reconciler.
pub fn in_force(set: &mut ChangeSet<'_>, id: AccountId, version: u64) -> Result<Outcome, StoreError> {
    let Some(mut record) = read::account(set.view, id)? else {
        set.settled(&Unsettled::Limits(id));
        return Ok(Ok(Done::Ok));
    };
    if version > record.limits_in_cell {
        record.limits_in_cell = version;
        set.put_account(id, &record)?;
    }
    if record.limits_in_cell >= record.limits_version {
        set.settled(&Unsettled::Limits(id));
    }
    Ok(Ok(Done::Ok))
}

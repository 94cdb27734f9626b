//! A new account's place: by all dimensions, among cells that something vouches for, with the reason on record.

use super::{accounts, change_set::ChangeSet};
use crate::{
    domain::{account, headroom},
    store::{
        command::{Candidate, Done, Outcome, PlaceAccount, Refusal},
        keys::Unsettled,
        read,
        record::{self, Account, Cell, Key, KeyState, MoreOfAccount},
    },
};
use bulkhead_model::{
    CellId, Epoch,
    api::control_plane::{AccountState, Considered, Figures, Placed},
};
use bulkhead_replica::StoreError;

/// Reserves id, email, key and a place in the candidate with the most headroom, and writes down why it is that one.
pub fn place(set: &mut ChangeSet<'_>, place: PlaceAccount) -> Result<Outcome, StoreError> {
    let unique = account::unique_email(&place.email);
    if let Some(refusal) = accounts::taken(set, &unique, place.account, &place.key)? {
        return Ok(Err(refusal));
    }
    let reserved = record::reserves(&place.limits, &place.quota);
    let wanted = Figures { accounts: 1, ..reserved };
    let mut looked_at = Vec::new();
    for candidate in &place.candidates {
        looked_at.push(look(set, &place, candidate, wanted)?);
    }
    let mut open: Vec<&Looked> = looked_at.iter().filter(|looked| looked.considered.refused.is_none()).collect();
    let loads: Vec<_> = open.iter().map(|looked| looked.load).collect();
    let Some(chosen) = headroom::choose(&loads, wanted).map(|position| open.swap_remove(position)) else {
        return Ok(Err(Refusal::NoCellFits { why: why_none(&looked_at, &place.left_out) }));
    };
    let (cell, mut home) = (chosen.considered.cell.clone(), chosen.cell.clone());
    home.accounts += 1;
    home.more.reserved = home.more.reserved.zip(reserved, u64::saturating_add);
    set.reserve(&cell, &home);
    if let Some(group) = &place.apart {
        set.put_apart(group, &cell);
    }
    set.put_email(&unique, place.account);
    let created = set.time();
    let key = Key { account: place.account, state: KeyState::Creating, created, disabled: false };
    set.put_key(&place.key, &key)?;
    let considered = looked_at.into_iter().map(|looked| looked.considered).collect();
    let more = MoreOfAccount {
        quota: place.quota,
        reserved,
        regions: place.regions,
        apart: place.apart,
        placed: Some(Placed { at: created, considered, left_out: place.left_out }),
        settings_version: u64::from(!place.quota.is_default()),
        ..MoreOfAccount::default()
    };
    let record = Account {
        display_name: place.display_name,
        email: place.email,
        cell: cell.clone(),
        epoch: Epoch(1),
        state: AccountState::Creating,
        created,
        since: created,
        buckets: 0,
        keys: vec![place.key],
        limits: place.limits,
        limits_version: u64::from(!place.limits.is_default()),
        limits_in_cell: 0,
        more,
    };
    set.put_account(place.account, &record)?;
    set.unsettled(&Unsettled::Account(place.account));
    set.meta.accounts += 1;
    Ok(Ok(Done::AccountPlaced { cell, epoch: record.epoch }))
}

struct Looked {
    cell: Cell,
    load: headroom::Load,
    considered: Considered,
}

fn look(
    set: &ChangeSet<'_>,
    place: &PlaceAccount,
    candidate: &Candidate,
    wanted: Figures,
) -> Result<Looked, StoreError> {
    let id = &candidate.cell;
    let Some(cell) = read::cell(set.view, id)? else {
        return Err(StoreError::Corrupt { what: "candidate", why: format!("there is no cell {id}") });
    };
    let load = cell.load(candidate.seen);
    let apart = match &place.apart {
        Some(group) => read::is_apart(set.view, group, id)?.then(|| format!("it has an account of group {group}")),
        None => None,
    };
    let elsewhere = !place.regions.is_empty() && !place.regions.contains(&cell.more.region);
    let elsewhere = elsewhere.then(|| format!("it is in {}", cell.more.region));
    let refused = cell.closed(set.time()).or(elsewhere).or(apart).or_else(|| load.refuses(wanted));
    let scarcest = load.scarcest();
    let considered =
        Considered { cell: id.clone(), scarcest: scarcest.dimension, free_permille: scarcest.permille(), refused };
    Ok(Looked { cell, load, considered })
}

/// Every cell that was looked at or left out, with its reason.
fn why_none(looked_at: &[Looked], left_out: &[(CellId, String)]) -> String {
    let considered = looked_at.iter().map(|looked| &looked.considered);
    let considered = considered.filter_map(|one| one.refused.as_ref().map(|why| format!("{}: {why}", one.cell)));
    let all: Vec<_> = considered.chain(left_out.iter().map(|(cell, why)| format!("{cell}: {why}"))).collect();
    if all.is_empty() {
        return "there is no cell; stamp one with `bulkhead cell stamp`".into();
    }
    format!("{}; stamp another with `bulkhead cell stamp`", all.join("; "))
}

/// Reserves in its cell what an account is to have now, instead of what it had.
pub fn reserve(set: &mut ChangeSet<'_>, record: &mut Account) -> Result<(), StoreError> {
    let wanted = record.reserves();
    if !set.names_somebody() || wanted == record.more.reserved {
        return Ok(());
    }
    if let Some(mut cell) = read::cell(set.view, &record.cell)? {
        let without = cell.more.reserved.zip(record.more.reserved, u64::saturating_sub);
        cell.more.reserved = without.zip(wanted, u64::saturating_add);
        set.reserve(&record.cell, &cell);
    }
    record.more.reserved = wanted;
    Ok(())
}

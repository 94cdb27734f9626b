//! The state machine: what each command does to the directory. Pure, and the same on every replica.

mod access_keys;
mod accounts;
mod buckets;
mod cells;
mod change_set;
mod dynamic;
mod idempotent;
mod life;
mod limits;
mod operations;
mod placement;
#[cfg(test)]
mod replacement_tests;
mod replacements;
mod settings;
mod tokens;

#[cfg(test)]
mod claim_races;
#[cfg(test)]
mod dynamic_tests;
#[cfg(test)]
mod life_tests;
#[cfg(test)]
pub(crate) mod tests;

use super::{
    command::{Command, Envelope, Outcome},
    format, keys,
};
use bulkhead_replica::{Applied, Family, Machine, Reader, StoreError};
use change_set::ChangeSet;

/// The directory as a machine on `bulkhead-replica`.
#[derive(Debug, Clone, Copy, Default)]
pub struct DirectoryMachine;

impl Machine for DirectoryMachine {
    fn families(&self) -> &'static [Family] {
        keys::FAMILIES
    }

    fn newest_format(&self) -> u8 {
        format::V3
    }

    fn apply(&self, view: &dyn Reader, command: &[u8]) -> Result<Applied, StoreError> {
        let envelope: Envelope = format::decode(command)?;
        let mut set = ChangeSet::new(view, &envelope)?;
        let outcome = decide(&mut set, envelope.command)?;
        let mutations = if outcome.is_ok() { set.into_mutations() } else { Vec::new() };
        Ok(Applied { mutations, outcome: format::encode(&outcome).into() })
    }
}

fn decide(set: &mut ChangeSet<'_>, command: Command) -> Result<Outcome, StoreError> {
    match command {
        Command::CreateAccount(create) => accounts::create(set, create),
        Command::ActivateAccount { account, key } => accounts::activate(set, account, key),
        Command::BeginDeleteAccount { account } => accounts::begin_delete(set, account),
        Command::ForgetAccount { account } => accounts::forget(set, account),
        Command::CreateKey { account, key } => access_keys::create(set, account, key),
        Command::ActivateKey { key } => access_keys::activate(set, key),
        Command::BeginDeleteKey { account, key } => access_keys::begin_delete(set, account, key),
        Command::ForgetKey { key } => access_keys::forget(set, key),
        Command::StampCell { cell, blueprint, blueprint_hash, capacity } => {
            cells::stamp(set, cell, blueprint, blueprint_hash, capacity)
        }
        Command::PlanCell { cell, nodes } => cells::plan(set, cell, nodes),
        Command::MoveCell { cell, to } => cells::change_state(set, cell, to),
        Command::ClaimBucket { bucket, account } => buckets::claim(set, bucket, account),
        Command::CommitBucket { bucket, claim } => buckets::commit(set, bucket, claim),
        Command::ReleaseBucket { bucket, claim } => buckets::release(set, bucket, claim),
        Command::ReplaceNode { cell, node } => replacements::begin(set, cell, node),
        Command::PlanReplacement { cell, node } => replacements::plan(set, cell, node),
        Command::MoveReplacement { cell, node, to } => replacements::advance(set, cell, node, to),
        Command::FinishReplacement { cell, node } => replacements::finish(set, cell, node),
        Command::SetLimits { account, limits } => limits::set(set, account, limits),
        Command::LimitsInForce { account, version } => limits::in_force(set, account, version),
        Command::RequestCell { cell, blueprint, blueprint_hash, region, capacity } => {
            life::request(set, cell, blueprint, blueprint_hash, region, capacity)
        }
        Command::ResumeCell { cell } => life::resume(set, cell),
        Command::AdvanceCell { cell, seen, to, note } => life::advance(set, cell, seen, to, note),
        Command::CertifyCell { cell, certified, document } => life::certify(set, cell, certified, document),
        Command::WaiveCertificate { cell, seen } => life::waive(set, cell, seen),
        Command::DismantleCell { cell, forget } => life::dismantle(set, cell, forget),
        Command::ForgetCell { cell } => life::forget(set, cell),
        Command::PlaceAccount(place) => placement::place(set, place),
        Command::SetQuota { account, quota } => settings::set_quota(set, account, quota),
        Command::MoveAccount { account, to } => settings::move_account(set, account, to),
        Command::SwitchKey { account, key, disabled } => settings::switch_key(set, account, key, disabled),
        Command::SettingsInForce { account, version } => settings::in_force(set, account, version),
        Command::BeginOperation { kind, target } => operations::begin(set, kind, target),
        Command::NoteOperation { operation, step, state } => operations::note(set, operation, step, state),
        Command::CreateToken { name, role, digest } => tokens::create(set, name, role, digest),
        Command::RevokeToken { name } => tokens::revoke(set, name),
        Command::BeginIdempotent { key, request } => idempotent::begin(set, key, request),
        Command::FinishIdempotent { key, answer } => idempotent::finish(set, key, answer),
        Command::SetSetting(change) => dynamic::set(set, change),
        Command::StepSetting { setting, seen, ready } => dynamic::step(set, setting, seen, ready),
        Command::FinishSetting { setting, seen } => dynamic::finish(set, setting, seen),
        Command::RollBackSetting { setting, expected, why } => dynamic::roll_back(set, setting, expected, why),
    }
}

//! `apply`: what each command does to the index. Pure: no clock, no randomness, no I/O, so every replica does the same.
//!
//! The order of things is here; each subject decides in its own file. A command takes effect as a whole or is refused as a
//! whole, and a refusal leaves nothing but its own record for those who ask again.

mod accounts;
mod blobs;
mod buckets;
mod checksum;
mod claims;
mod complete;
pub mod condition;
mod draft;
mod dropped;
mod epochs;
mod garbage;
mod objects;
mod replays;
mod ticks;
mod uploads;
mod usage;

#[cfg(test)]
mod tests;

use super::{
    command::{Command, Done, Envelope, Outcome, Refusal},
    format,
    keys::{self, FAMILIES},
};
use bulkhead_model::{AccountId, Epoch, RequestId, blueprint::Capacity};
use bulkhead_replica::{Applied, Family, Machine, Reader, StoreError};
use draft::Draft;

/// The index of a cell as a state machine.
#[derive(Debug, Clone)]
pub struct Index {
    capacity: Capacity,
}

/// Why a decision ended early.
#[derive(Debug)]
enum Stop {
    /// An outcome like any other.
    Refused(Refusal),
    /// The state cannot be read: the node must not go on.
    Store(StoreError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

type Decision<T = Done> = Result<T, Stop>;

impl Index {
    /// An index that refuses what goes beyond `capacity`. Every node of a cell must be given the same.
    pub fn new(capacity: Capacity) -> Self {
        Self { capacity }
    }

    fn run(&self, view: &dyn Reader, envelope: Envelope) -> Result<Applied, StoreError> {
        if let Some(outcome) = replays::recorded(view, envelope.request)? {
            return Ok(Applied { mutations: Vec::new(), outcome: format::encode(&outcome).into() });
        }
        let mut cell = keys::meta::cell().get(view)?.unwrap_or_default();
        cell.time = cell.time.max(envelope.time);
        let expiring = replays::expired_at_most(&envelope.command);
        let mut draft = Draft::new(view, cell.clone(), &self.capacity);
        let outcome: Outcome = match decide(&mut draft, &envelope.request, envelope.routed, envelope.command) {
            Ok(done) => Ok(done),
            Err(Stop::Refused(refusal)) => {
                draft = Draft::new(view, cell, &self.capacity);
                Err(refusal)
            }
            Err(Stop::Store(error)) => return Err(error),
        };
        replays::record(&mut draft, envelope.request, &outcome);
        replays::expire(&mut draft, expiring)?;
        dropped::clear_some(&mut draft)?;
        Ok(Applied { mutations: draft.into_mutations(), outcome: format::encode(&outcome).into() })
    }
}

impl Machine for Index {
    fn families(&self) -> &'static [Family] {
        &FAMILIES
    }

    fn newest_format(&self) -> u8 {
        format::NEWEST
    }

    fn apply(&self, view: &dyn Reader, command: &[u8]) -> Result<Applied, StoreError> {
        self.run(view, format::decode(command)?)
    }
}

fn decide(
    draft: &mut Draft<'_>,
    request: &Option<RequestId>,
    routed: Option<(AccountId, Epoch)>,
    command: Command,
) -> Decision {
    check_route(draft, routed)?;
    replays::check_room(draft, request.as_ref())?;
    match command {
        Command::PutAccount { account, record } => accounts::put(draft, account, &record),
        Command::DeleteAccount { account } => accounts::delete(draft, account),
        Command::PutLimits { account, limits } => accounts::put_limits(draft, account, &limits),
        Command::PutSettings { account, settings } => accounts::put_settings(draft, account, &settings),
        Command::PutCredential { key, credential } => accounts::put_credential(draft, &key, &credential),
        Command::DeleteCredential { key, account } => accounts::delete_credential(draft, &key, account),
        Command::OpenEpoch { node } => epochs::open(draft, node),
        Command::CreateBucket { name, owner, claim, location } => buckets::create(draft, name, owner, claim, location),
        Command::DeleteBucket { bucket, name } => buckets::delete(draft, bucket, &name),
        Command::SettleClaim { name, claim } => claims::settle(draft, &name, claim),
        Command::OutboxDone { sequence } => Ok(claims::errand_done(draft, sequence)),
        Command::PutObject(put) => objects::put(draft, put),
        Command::DeleteObjects { bucket, objects } => objects::delete(draft, bucket, objects),
        Command::CreateUpload { bucket, key, upload, headers, checksum } => {
            uploads::create(draft, uploads::At { bucket, key: &key, upload }, headers, checksum)
        }
        Command::PutPart { bucket, key, upload, number, part } => {
            uploads::put_part(draft, uploads::At { bucket, key: &key, upload }, number, part)
        }
        Command::CompleteUpload(complete) => complete::run(draft, &complete),
        Command::AbortUpload { bucket, key, upload } => {
            uploads::abort(draft, uploads::At { bucket, key: &key, upload })
        }
        Command::Tick { after } => Ok(ticks::tick(draft, after)),
        Command::RotateEpoch { node, to, keep } => epochs::rotate(draft, node, to, &keep),
        Command::ExpireGarbage { rows } => garbage::expire(draft, &rows),
        Command::CloseEpochs { epochs } => Ok(epochs::close(draft, &epochs)),
        Command::SetBallast { ballast } => usage::set_ballast(draft, ballast),
    }
}

/// A router whose table is stale must learn it before anything is written. An account that is not here at all has epoch 0.
fn check_route(draft: &Draft<'_>, routed: Option<(AccountId, Epoch)>) -> Decision<()> {
    let Some((account, believed)) = routed else { return Ok(()) };
    let current = draft.get(&keys::accounts::record(account))?.map_or(Epoch(0), |record| record.epoch);
    if current == believed { Ok(()) } else { Err(Refusal::Moved { current }.into()) }
}

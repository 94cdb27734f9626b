//! Requests that are carried out once under their key, and what was answered to them.

use super::change_set::ChangeSet;
use crate::store::{
    command::{Done, Outcome, Refusal},
    read,
    record::{Answered, Idempotent},
};
use bulkhead_replica::StoreError;

/// Takes up a request, unless it was taken up before.
pub fn begin(set: &mut ChangeSet<'_>, key: String, request: String) -> Result<Outcome, StoreError> {
    match read::idempotent(set.view, &key)? {
        Some(known) if known.request != request => Ok(Err(Refusal::IdempotencyMismatch(key))),
        Some(known) => Ok(Ok(Done::Again { answer: known.answer })),
        None => {
            set.begin_idempotent(key, request)?;
            Ok(Ok(Done::First))
        }
    }
}

/// Remembers an answer, or with none lets the request be made again.
pub fn finish(set: &mut ChangeSet<'_>, key: String, answer: Option<Answered>) -> Result<Outcome, StoreError> {
    if let Some(known) = read::idempotent(set.view, &key)? {
        match answer {
            Some(answer) => set.put_idempotent(&key, &Idempotent { answer: Some(answer), ..known }),
            None => set.delete_idempotent(&key),
        }
    }
    Ok(Ok(Done::Ok))
}

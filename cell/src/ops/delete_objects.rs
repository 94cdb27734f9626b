//! DeleteObjects: up to 1,000 keys, each with its own outcome.

use super::{Caller, Cell, OpError, action::Call, bucket, context::unexpected, validate};
use crate::{
    limits::{DELETE_COMMAND_KEYS_MAX, DELETE_KEYS_MAX},
    meta::command::{Command, DeleteObject, Done},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
    pub objects: Vec<DeleteObject>,
}

/// One outcome for each object of the request, in its order.
///
/// # Errors
/// `NoSuchBucket`, [`OpError::MalformedXml`] when there are no objects or too many.
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<Vec<Result<(), OpError>>, OpError> {
    let Request { bucket, objects } = request;
    if objects.is_empty() || objects.len() > DELETE_KEYS_MAX {
        return Err(OpError::MalformedXml("1 to 1,000 objects are deleted at a time"));
    }
    delete(cell, caller, Call::DeleteObjects, &bucket, objects).await
}

/// Deletes in commands of [`DELETE_COMMAND_KEYS_MAX`] keys, so that the longest keys fit an entry. When one of several commands has
/// no outcome, its keys say so and those of the others keep theirs.
pub(super) async fn delete(
    cell: &Cell,
    caller: &Caller,
    call: Call,
    bucket: &str,
    objects: Vec<DeleteObject>,
) -> Result<Vec<Result<(), OpError>>, OpError> {
    for object in &objects {
        validate::key(&object.key)?;
    }
    let target = bucket::for_write(cell, caller, call, bucket).await?;
    let mut outcomes = Vec::with_capacity(objects.len());
    for (n, batch) in objects.chunks(DELETE_COMMAND_KEYS_MAX).enumerate() {
        let command = |bucket| Command::DeleteObjects { bucket, objects: batch.to_vec() };
        match target.execute(cell, caller, caller.nth_request(n), caller.deadline, command).await {
            Ok(Done::ObjectsDeleted(deleted)) => {
                outcomes.extend(deleted.into_iter().map(|one| one.map_err(OpError::from)))
            }
            Ok(other) => return Err(unexpected(&other)),
            Err(error) if n == 0 => return Err(error),
            Err(error) => outcomes.extend(batch.iter().map(|_| Err(error.clone()))),
        }
    }
    Ok(outcomes)
}

//! Tokens of the API: a name, a role, and the digest of what is presented.

use super::change_set::ChangeSet;
use crate::{
    limits::TOKENS_MAX,
    store::{
        command::{Done, Outcome, Refusal},
        read,
        record::TokenRecord,
    },
};
use bulkhead_model::api::control_plane::Role;
use bulkhead_replica::StoreError;

/// Makes a token known.
pub fn create(set: &mut ChangeSet<'_>, name: String, role: Role, digest: String) -> Result<Outcome, StoreError> {
    if read::token(set.view, &name)?.is_some() {
        return Ok(Err(Refusal::TokenExists(name)));
    }
    let tokens = read::tokens(set.view)?.len() as u64;
    if tokens >= TOKENS_MAX {
        return Ok(Err(Refusal::TooManyTokens { tokens, max: TOKENS_MAX }));
    }
    let created = set.time();
    set.put_token(&name, &TokenRecord { role, digest, created })?;
    Ok(Ok(Done::Ok))
}

/// Forgets a token: whoever presents it is a stranger from now on.
pub fn revoke(set: &mut ChangeSet<'_>, name: String) -> Result<Outcome, StoreError> {
    if read::token(set.view, &name)?.is_none() {
        return Ok(Err(Refusal::NoSuchToken(name)));
    }
    set.delete_token(&name)?;
    Ok(Ok(Done::Ok))
}

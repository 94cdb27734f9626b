//! `/v1/tokens`: who may call, beside the token that the configuration names. Only a digest is kept of a token.

use super::{
    Api,
    access::{FIRST_TOKEN, digest},
    error::Failure,
    extract::Body,
};
use crate::{
    domain::keys,
    store::{command::Command, read},
};
use axum::{
    Json,
    extract::{Path, State},
};
use bulkhead_model::{
    CellId,
    api::control_plane::{CreateToken, CreatedToken, Token},
};
use http::StatusCode;

pub async fn create(
    State(api): State<Api>,
    Body(wanted): Body<CreateToken>,
) -> Result<(StatusCode, Json<CreatedToken>), Failure> {
    // A token's name is a label, as a cell's is.
    let accepted =
        || Failure::invalid(format!("{:?} is no name for a token: 1 to 32 of a-z, 0-9 and '-'", wanted.name));
    let name: CellId = wanted.name.parse().map_err(|_| accepted())?;
    if [FIRST_TOKEN, "machine", crate::caller::ITSELF].contains(&name.as_str()) {
        return Err(Failure::invalid(format!("{name} is the name of another's work in the audit log; choose another")));
    }
    let token = keys::token(&api.env.rng);
    let digest = digest(token.as_bytes());
    api.directory.propose(Command::CreateToken { name: name.to_string(), role: wanted.role, digest }).await?;
    Ok((StatusCode::CREATED, Json(CreatedToken { name: name.to_string(), role: wanted.role, token })))
}

pub async fn list(State(api): State<Api>) -> Result<Json<Vec<Token>>, Failure> {
    let tokens = read::tokens(&api.directory.view().await?)?;
    let shown = tokens.into_iter().map(|(name, record)| Token { name, role: record.role, created_at: record.created });
    Ok(Json(shown.collect()))
}

pub async fn revoke(State(api): State<Api>, Path(name): Path<String>) -> Result<StatusCode, Failure> {
    api.directory.propose(Command::RevokeToken { name }).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Who calls, and whether they may: tokens, roles, and the name under which a change is noted.

use super::{error::Failure, idempotency};
use crate::{
    caller::{self, Caller},
    store::{Directory, read},
};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use bulkhead_model::api::control_plane::Role;
use bulkhead_service::auth::{self, Token};
use http::{HeaderMap, Method, header};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// The name of the token that the configuration names.
pub const FIRST_TOKEN: &str = "admin";
/// Of routers and cells.
const MACHINES: &str = "machine";

/// What a call demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    pub role: Role,
    /// Whether routers and cells may too.
    pub machines: bool,
}

/// Who may call.
pub struct Tokens {
    /// Everything.
    pub admin: Token,
    /// Routing, buckets, settings and status: for routers and cells.
    pub machine: Token,
}

/// Knows the tokens of the configuration, and those in the directory.
pub struct Gatekeeper {
    pub tokens: Tokens,
    pub directory: Directory,
}

impl Gatekeeper {
    fn caller(&self, headers: &HeaderMap, access: Access) -> Result<Caller, Failure> {
        // No short cut: every token is compared, so that the time does not tell which one nearly matched.
        let admin = self.tokens.admin.is_presented(headers);
        let machine = self.tokens.machine.is_presented(headers);
        let caller = |name: &str, role| Caller { name: name.to_owned(), role };
        if admin {
            return Ok(caller(FIRST_TOKEN, Role::Admin));
        }
        if machine {
            return if access.machines { Ok(caller(MACHINES, Role::ReadOnly)) } else { Err(Failure::unauthorized()) };
        }
        let presented = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let digest = presented.map(digest).ok_or_else(Failure::unauthorized)?;
        let known = read::tokens(&self.directory.local_view()).map_err(crate::store::DirectoryError::from)?;
        let found = known.into_iter().fold(None, |found, (name, record)| {
            let is_it = auth::equal(record.digest.as_bytes(), digest.as_bytes());
            if is_it { Some(caller(&name, record.role)) } else { found }
        });
        let found = found.ok_or_else(Failure::unauthorized)?;
        if found.role < access.role {
            let Caller { name, role } = found;
            return Err(Failure::forbidden(format!("this needs role {}, and token {name} has {role}", access.role)));
        }
        Ok(found)
    }
}

/// What is stored of a token.
pub fn digest(token: &[u8]) -> String {
    hex::encode(Sha256::digest(token))
}

/// Middleware: lets a request pass whose caller may make it, in the caller's name, and a write under a key once.
pub async fn guard(
    State((gatekeeper, access)): State<(Arc<Gatekeeper>, Access)>,
    request: Request,
    next: Next,
) -> Response {
    let caller = match gatekeeper.caller(request.headers(), access) {
        Ok(caller) => caller,
        Err(failure) => return failure.into_response(),
    };
    let is_write = request.method() != Method::GET;
    caller::scope(caller.clone(), async {
        if is_write {
            idempotency::once(&gatekeeper.directory, &caller, request, next).await
        } else {
            next.run(request).await
        }
    })
    .await
}

//! One request on its way through this layer: its id, its deadline, what the router said, and what is learned of it.

use super::{body::Slot, calls::S3Op};
use crate::{
    admit::{Begun, Pass},
    limits::{REQUEST_PATIENCE, REQUEST_PATIENCE_MAX},
    ops::Caller,
    poison::Ticket,
};
use bulkhead_model::{AccountId, Epoch, RequestId, headers};
use bulkhead_service::{
    Env,
    env::{Clock, Rng},
};
use http::HeaderMap;
use s3s::{S3Request, S3Result, s3_error};
use std::{
    str::FromStr,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::Instant;

/// A request in progress. In the request's extensions, and for s3s's authentication (which sees no request) in [`CURRENT`].
pub struct RequestCx {
    pub id: RequestId,
    pub started: Instant,
    pub deadline: Instant,
    /// What the router believed; absent without a router.
    pub routed: Option<(AccountId, Epoch)>,
    /// Whether an earlier try of this write may have been executed, as the router says.
    pub begun: Begun,
    /// The router knows the access key as that of an account, perhaps in another cell.
    pub signer_hint: Option<AccountId>,
    /// With the account's permit, once it has one.
    pub body: Slot,
    /// Set once, before the request is executed: it is in flight as long as this is here.
    pub ticket: OnceLock<Ticket>,
    /// Set once, when the access key was found.
    pub signer: OnceLock<AccountId>,
    /// Set once, when the signature was good and the call is built: the call, and when that was known.
    pub call: OnceLock<(S3Op, Instant)>,
    /// Set once, when the path was understood.
    pub bucket: OnceLock<String>,
    /// Set once, when the request was let in.
    pub pass: OnceLock<Arc<Pass>>,
}

tokio::task_local! {
    /// The request this task is serving.
    pub static CURRENT: Arc<RequestCx>;
}

impl RequestCx {
    /// Reads what the router sent along.
    pub fn new(env: &Env, headers: &HeaderMap, body: Slot) -> Self {
        let started = env.clock.now();
        Self {
            id: read(headers, headers::REQUEST_ID).unwrap_or_else(|| fresh_id(&env.rng)),
            started,
            deadline: deadline(&env.clock, headers),
            routed: read(headers, headers::ACCOUNT).zip(read(headers, headers::EPOCH)),
            begun: if headers.contains_key(headers::UNSETTLED) { Begun::Yes } else { Begun::No },
            signer_hint: read(headers, headers::SIGNER),
            body,
            ticket: OnceLock::new(),
            signer: OnceLock::new(),
            call: OnceLock::new(),
            bucket: OnceLock::new(),
            pass: OnceLock::new(),
        }
    }

    /// Who asks, for ops.
    ///
    /// # Errors
    /// `AccessDenied` when nobody has signed.
    pub fn caller(&self) -> S3Result<Caller> {
        let Some(&account) = self.signer.get() else { return Err(s3_error!(AccessDenied, "Access Denied")) };
        let pass = self.pass.get().cloned();
        Ok(Caller { account, request: self.id, routed: self.routed, deadline: self.deadline, pass })
    }
}

/// The context that [`super::service`] put into the request's extensions.
///
/// # Errors
/// `InternalError` when it is not there, which cannot be.
pub fn context<T>(request: &S3Request<T>) -> S3Result<&Arc<RequestCx>> {
    request.extensions.get::<Arc<RequestCx>>().ok_or_else(|| s3_error!(InternalError, "The request has no context."))
}

fn fresh_id(rng: &Rng) -> RequestId {
    RequestId(rng.u128())
}

/// A header that holds one `T`; anything else counts as absent.
fn read<T: FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn deadline(clock: &Clock, headers: &HeaderMap) -> Instant {
    let stated = read(headers, headers::DEADLINE).map(Duration::from_millis);
    clock.now() + stated.unwrap_or(REQUEST_PATIENCE).min(REQUEST_PATIENCE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn context(pairs: &[(&'static str, &'static str)]) -> RequestCx {
        let pairs = pairs.iter().map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value)));
        let body = Slot::park(http_body_util::Empty::new());
        RequestCx::new(&Env::for_tests(1), &pairs.collect(), body)
    }

    #[tokio::test]
    async fn the_routers_headers_are_taken_and_an_id_is_made_without_one() {
        let routed = context(&[
            (headers::REQUEST_ID, "000000000000000000000000000000AB"),
            (headers::ACCOUNT, "123456789012"),
            (headers::EPOCH, "7"),
            (headers::DEADLINE, "250"),
            (headers::UNSETTLED, "1"),
        ]);
        assert_eq!(routed.begun, Begun::Yes);
        assert_eq!(routed.id, RequestId(0xAB));
        assert_eq!(routed.routed.map(|(account, epoch)| (account.value(), epoch)), Some((123_456_789_012, Epoch(7))));
        assert!(routed.deadline - routed.started <= Duration::from_millis(251));
        let direct = context(&[]);
        assert_eq!((direct.routed, direct.begun), (None, Begun::No));
        assert_ne!(direct.id, RequestId(0));
    }

    #[tokio::test]
    async fn no_client_waits_for_ever() {
        let endless = context(&[(headers::DEADLINE, "99999999999999")]);
        assert!(endless.deadline - endless.started <= REQUEST_PATIENCE_MAX + Duration::from_secs(1));
    }

    #[tokio::test]
    async fn nobody_has_signed_until_the_key_is_found() {
        let request = context(&[]);
        assert!(request.caller().is_err());
        let account = AccountId::new(AccountId::FIRST).expect("in range");
        request.signer.set(account).expect("set once");
        assert_eq!(request.caller().expect("signed").account, account);
    }
}

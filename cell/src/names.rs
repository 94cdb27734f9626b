//! The cell's side of the fleet-wide bucket names: claims and releases them at the control plane.
//!
//! Both calls are idempotent, so each address is tried in turn. Must not know what a bucket holds.

use crate::limits::CONTROL_PLANE_ANSWER_BYTES_MAX;
use bulkhead_model::{
    AccountId, ClaimId,
    api::{
        control_plane::{ClaimBucket, Claimed},
        error::ApiError,
    },
};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::time::{Instant, timeout_at};

/// Why a name was not claimed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    #[error("the name is another account's")]
    Taken,
    #[error("the control plane refuses the claim: {0}")]
    Invalid(String),
    /// The name may have been claimed. Claiming it again is harmless, and what is left behind gets settled.
    #[error("the control plane does not answer: {0}")]
    Unavailable(String),
}

/// Why a name may not have been released. Releasing it again is harmless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the control plane does not confirm the release: {0}")]
pub struct ReleaseError(pub String);

/// A client of the control plane's bucket names. Cheap to clone.
#[derive(Clone)]
pub struct Names {
    client: Client<HttpConnector, Full<Bytes>>,
    addresses: Arc<[SocketAddr]>,
    authorization: header::HeaderValue,
    /// The address that answered last.
    preferred: Arc<AtomicUsize>,
}

/// Why a token cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the control plane token holds characters that a header cannot carry")]
pub struct InvalidToken;

impl Names {
    /// A client that tries `addresses` in turn, with this bearer token.
    ///
    /// # Errors
    /// When the token cannot stand in a header.
    pub fn new(addresses: Vec<SocketAddr>, token: &str) -> Result<Self, InvalidToken> {
        let mut authorization =
            header::HeaderValue::try_from(format!("Bearer {}", token.trim())).map_err(|_| InvalidToken)?;
        authorization.set_sensitive(true);
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            addresses: addresses.into(),
            authorization,
            preferred: Arc::default(),
        })
    }

    /// Claims `bucket` for `account`. A repetition gives the same claim, until the name is released.
    ///
    /// When the cell then refuses the claim with [`crate::meta::command::Refusal::ClaimFenced`], [`Names::release`] it and claim
    /// again: the name was deleted a moment ago and its old claim is on its way out.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub async fn claim(&self, bucket: &str, account: AccountId, deadline: Instant) -> Result<ClaimId, ClaimError> {
        let body = serde_json::to_vec(&ClaimBucket { bucket: bucket.to_owned(), account })
            .map_err(|error| ClaimError::Invalid(error.to_string()))?;
        let (status, answer) =
            self.call(&Method::POST, "/v1/buckets", body.into(), deadline).await.map_err(ClaimError::Unavailable)?;
        if status.is_success() {
            return serde_json::from_slice::<Claimed>(&answer)
                .map(|claimed| claimed.claim)
                .map_err(|error| ClaimError::Unavailable(format!("its answer is not a claim: {error}")));
        }
        Err(match status {
            StatusCode::CONFLICT => ClaimError::Taken,
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => {
                ClaimError::Invalid(message(status, &answer))
            }
            _ => ClaimError::Unavailable(message(status, &answer)),
        })
    }

    /// Gives a claim up: the name may be claimed by others, unless a later claim holds it.
    ///
    /// # Errors
    /// [`ReleaseError`], when the control plane did not confirm it.
    pub async fn release(&self, bucket: &str, claim: ClaimId, deadline: Instant) -> Result<(), ReleaseError> {
        let path = format!("/v1/buckets/{bucket}?claim={claim}");
        let (status, answer) = self.call(&Method::DELETE, &path, Bytes::new(), deadline).await.map_err(ReleaseError)?;
        if status.is_success() || status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        Err(ReleaseError(message(status, &answer)))
    }

    /// The first answer that is not a server's failure, beginning at the address that answered last.
    async fn call(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
        deadline: Instant,
    ) -> Result<(StatusCode, Bytes), String> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut failure = "no control plane address is configured".to_owned();
        for turn in 0..self.addresses.len() {
            let at = (first + turn) % self.addresses.len();
            let asked = self.ask(self.addresses[at], method, path, body.clone());
            match timeout_at(deadline, asked).await {
                Ok(Ok((status, answer))) if !status.is_server_error() => {
                    self.preferred.store(at, Ordering::Relaxed);
                    return Ok((status, answer));
                }
                Ok(Ok((status, answer))) => failure = message(status, &answer),
                Ok(Err(error)) => failure = error,
                Err(_) => return Err(format!("no answer before the deadline; before that: {failure}")),
            }
        }
        Err(failure)
    }

    async fn ask(
        &self,
        address: SocketAddr,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), String> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{address}{path}"))
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        let response = self.client.request(request).await.map_err(|error| format!("{address}: {error}"))?;
        let status = response.status();
        let answer = Limited::new(response.into_body(), CONTROL_PLANE_ANSWER_BYTES_MAX).collect().await;
        Ok((status, answer.map_err(|error| format!("{address}: {error}"))?.to_bytes()))
    }
}

/// What the control plane says is wrong, or its status when it says nothing.
fn message(status: StatusCode, answer: &[u8]) -> String {
    serde_json::from_slice::<ApiError>(answer).map_or_else(|_| status.to_string(), |error| error.message)
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;

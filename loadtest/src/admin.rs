//! A node's public admin API, as an operator calls it: one connection for each call, a token, a deadline.

use crate::{
    clock,
    limits::{ADMIN_PATIENCE, ANSWER_BYTES_MAX, POLL},
    tls::{self, Tls},
};
use anyhow::Context as _;
use bulkhead_model::{
    AccessKeyId, AccountId,
    api::{
        cell::{NodeLoad, NodeStatus, NodeStorage, PutAccount, PutKey, PutLimits},
        drill::{Ballast, DrillStatus, Fault, Mark},
        error::ApiError,
    },
};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::timeout};

/// One node's admin listener.
#[derive(Clone)]
pub struct Admin {
    pub address: SocketAddr,
    token: Arc<str>,
    tls: Option<Tls>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Admin({})", self.address)
    }
}

/// How a call ended.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("{0}")]
    Refused(ApiError),
    #[error("no answer: {0}")]
    Lost(String),
}

impl Admin {
    /// Called over `tls` where the node speaks it.
    pub fn new(address: SocketAddr, token: &str, tls: Option<Tls>) -> Self {
        Self { address, token: token.trim().into(), tls }
    }

    /// What the node says of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn status(&self) -> Result<NodeStatus, CallError> {
        self.call(Method::GET, "/admin/v1/status", None::<&()>).await
    }

    /// How its chunks are.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn storage(&self) -> Result<NodeStorage, CallError> {
        self.call(Method::GET, "/admin/v1/storage", None::<&()>).await
    }

    /// Whom it lets wait and refuses.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn load(&self) -> Result<NodeLoad, CallError> {
        self.call(Method::GET, "/admin/v1/load", None::<&()>).await
    }

    /// Marks it, so that it may be broken on purpose.
    ///
    /// # Errors
    /// When it must not be.
    pub async fn mark(&self, mark: &Mark) -> Result<(), CallError> {
        self.call(Method::PUT, "/admin/v1/drill", Some(mark)).await
    }

    /// Its mark and its faults.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn drill(&self) -> Result<DrillStatus, CallError> {
        self.call(Method::GET, "/admin/v1/drill", None::<&()>).await
    }

    /// Ends the mark and every fault.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn unmark(&self) -> Result<(), CallError> {
        self.call(Method::DELETE, "/admin/v1/drill", None::<&()>).await
    }

    /// Breaks one thing.
    ///
    /// # Errors
    /// When the node is not marked. A node that is killed does not answer, which is no error.
    pub async fn fault(&self, fault: &Fault) -> Result<(), CallError> {
        match self.call(Method::POST, "/admin/v1/drill/fault", Some(fault)).await {
            Err(CallError::Lost(_)) if *fault == Fault::Kill => Ok(()),
            ended => ended,
        }
    }

    /// What the cell counts as held although nobody holds it.
    ///
    /// # Errors
    /// When the node is not marked for certification.
    pub async fn ballast(&self, ballast: Ballast) -> Result<(), CallError> {
        self.call(Method::PUT, "/admin/v1/drill/ballast", Some(&ballast)).await
    }

    /// Makes an account.
    ///
    /// # Errors
    /// When the cell refuses it.
    pub async fn put_account(&self, account: AccountId, put: &PutAccount) -> Result<(), CallError> {
        self.call(Method::PUT, &format!("/admin/v1/accounts/{account}"), Some(put)).await
    }

    /// Says what an account may ask for.
    ///
    /// # Errors
    /// When the cell refuses it.
    pub async fn put_limits(&self, account: AccountId, put: &PutLimits) -> Result<(), CallError> {
        self.call(Method::PUT, &format!("/admin/v1/accounts/{account}/limits"), Some(put)).await
    }

    /// Deletes an account without buckets.
    ///
    /// # Errors
    /// When it has some.
    pub async fn delete_account(&self, account: AccountId) -> Result<(), CallError> {
        self.call(Method::DELETE, &format!("/admin/v1/accounts/{account}"), None::<&()>).await
    }

    /// Gives an account a key.
    ///
    /// # Errors
    /// When the cell refuses it.
    pub async fn put_key(&self, account: AccountId, key: &AccessKeyId, put: &PutKey) -> Result<(), CallError> {
        self.call(Method::PUT, &format!("/admin/v1/accounts/{account}/keys/{key}"), Some(put)).await
    }

    /// Takes a key away.
    ///
    /// # Errors
    /// When the cell does not answer.
    pub async fn delete_key(&self, account: AccountId, key: &AccessKeyId) -> Result<(), CallError> {
        self.call(Method::DELETE, &format!("/admin/v1/accounts/{account}/keys/{key}"), None::<&()>).await
    }

    /// Waits until the node is ready.
    ///
    /// # Errors
    /// When it is not after `patience`; says what it waits for.
    pub async fn ready(&self, patience: Duration) -> anyhow::Result<()> {
        let deadline = clock::now() + patience;
        loop {
            let waits_for = match self.status().await {
                Ok(status) if status.ready => return Ok(()),
                Ok(status) => status.waits_for.join(", "),
                Err(error) => error.to_string(),
            };
            anyhow::ensure!(clock::now() < deadline, "{} is not ready after {patience:?}: {waits_for}", self.address);
            tokio::time::sleep(POLL).await;
        }
    }

    async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        question: Option<&Q>,
    ) -> Result<A, CallError> {
        let lost = |error: &dyn std::fmt::Display| CallError::Lost(format!("{}: {error}", self.address));
        let exchanged = timeout(ADMIN_PATIENCE, self.exchange(method, path, question)).await;
        let (status, body) =
            exchanged.map_err(|_| lost(&"took too long"))?.map_err(|error| lost(&format!("{error:#}")))?;
        if !(200..300).contains(&status) {
            let said = String::from_utf8_lossy(&body).into_owned();
            let unclear = || ApiError { code: status.to_string(), message: said };
            return Err(CallError::Refused(serde_json::from_slice(&body).unwrap_or_else(|_| unclear())));
        }
        let text: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(text).map_err(|error| lost(&error))
    }

    async fn exchange<Q: Serialize>(
        &self,
        method: Method,
        path: &str,
        question: Option<&Q>,
    ) -> anyhow::Result<(u16, Bytes)> {
        let body = question.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let stream = tls::connect(self.address, self.tls.as_ref()).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string())
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .context("a path and a token make a request")?;
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let limited = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let collected = limited.collect().await.map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok((status, collected.to_bytes()))
    }
}

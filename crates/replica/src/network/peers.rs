//! The calling side: one pooled client for all peers, and errors that say whether a call may have been executed.

use super::{
    TO, path,
    wire::{self, WireError},
};
use crate::{
    identity::{self, Identity},
    limits::PEER_ANSWER_BYTES_MAX,
    types::Peer,
};
use bulkhead_service::client::{self, Body, Client, ClientError};
use bytes::Bytes;
use http::{HeaderValue, Method, Response};
use serde::{Serialize, de::DeserializeOwned};
use std::{net::SocketAddr, time::Duration};

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The transport failed; the cause says whether anything was sent.
    #[error(transparent)]
    Transport(#[from] ClientError),
    /// The peer answered that it did not do it.
    #[error("refused: {0}")]
    Refused(String),
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// Calls peers. Cheap to clone; clones share the pool.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    client: Client,
}

impl Peers {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Asks whoever is at `address` who it is.
    pub async fn meet(&self, address: SocketAddr, patience: Duration) -> Result<Identity, CallError> {
        let request = self.client.request(Method::POST, address, path::IDENTITY, client::full(Bytes::new()))?;
        read(self.client.call(request, patience, PEER_ANSWER_BYTES_MAX).await?)
    }

    /// Asks `node` and reads its whole answer within `patience`.
    pub async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        node: u64,
        peer: &Peer,
        path: &str,
        question: &Q,
        patience: Duration,
    ) -> Result<A, CallError> {
        self.send(node, peer, path, client::full(wire::encode(question)?), patience).await
    }

    /// As [`Peers::ask`], with a body that is encoded already or made while it is sent.
    pub async fn send<A: DeserializeOwned>(
        &self,
        node: u64,
        peer: &Peer,
        path: &str,
        body: Body,
        patience: Duration,
    ) -> Result<A, CallError> {
        let mut request = self.client.request(Method::POST, peer.addr, path, body)?;
        let to = HeaderValue::try_from(identity::address(node, peer.life)).expect("digits and a slash");
        request.headers_mut().insert(TO, to);
        read(self.client.call(request, patience, PEER_ANSWER_BYTES_MAX).await?)
    }
}

fn read<A: DeserializeOwned>(answer: Response<Bytes>) -> Result<A, CallError> {
    if answer.status().is_success() {
        return Ok(wire::decode(answer.body())?);
    }
    let text = String::from_utf8_lossy(&answer.body()[..answer.body().len().min(200)]).into_owned();
    Err(CallError::Refused(format!("{}: {text}", answer.status())))
}

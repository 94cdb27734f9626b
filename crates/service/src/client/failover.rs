//! One service at several addresses, any of which will do.

use super::{Client, ClientError};
use http::{Method, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Calls one of several addresses, starting with the one that answered last. Cheap to clone.
///
/// Goes on to the next address when nothing was sent, and, for a `GET`, after any failure to answer. Each address is tried
/// once.
#[derive(Debug, Clone)]
pub struct Endpoints {
    client: Client,
    addresses: Arc<[SocketAddr]>,
    preferred: Arc<AtomicUsize>,
}

impl Endpoints {
    /// `addresses` in order of preference; with none, every call is [`ClientError::Unreachable`].
    pub fn new(client: Client, addresses: &[SocketAddr]) -> Self {
        Self { client, addresses: addresses.into(), preferred: Arc::default() }
    }

    /// As [`Client::json`]; `patience` is for each address.
    ///
    /// # Errors
    /// The last address's.
    pub async fn json<Q, A>(
        &self,
        method: Method,
        path: &str,
        question: Option<&Q>,
        patience: Duration,
    ) -> Result<A, ClientError>
    where
        Q: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = ClientError::Unreachable("no address is configured".into());
        for step in 0..self.addresses.len() {
            let index = (first + step) % self.addresses.len();
            match self.client.json(method.clone(), self.addresses[index], path, question, patience).await {
                Ok(answer) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) if may_ask_another(&method, &error) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }
}

fn may_ask_another(method: &Method, error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable(_) => true,
        ClientError::Lost(_) | ClientError::TimedOut(_) => method == Method::GET,
        ClientError::Refused { status, .. } => method == Method::GET && *status == StatusCode::SERVICE_UNAVAILABLE,
        ClientError::Unusable(_) | ClientError::Malformed(_) => false,
    }
}

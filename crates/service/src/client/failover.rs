//! One service at several addresses, any of which will do.

use super::{Body, Client, ClientError, full};
use http::{HeaderValue, Method, Response, StatusCode, header};
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

impl Endpoints {
    /// Gets `path` as `accept`, and returns the answer as soon as its head is there; its body is the caller's to read and to bound.
    /// `patience` is for the head, at each address.
    ///
    /// # Errors
    /// The last address's. [`ClientError::Refused`] for any status but 2xx.
    pub async fn open(
        &self,
        path: &str,
        accept: &'static str,
        patience: Duration,
    ) -> Result<Response<Body>, ClientError> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = ClientError::Unreachable("no address is configured".into());
        for step in 0..self.addresses.len() {
            let index = (first + step) % self.addresses.len();
            let mut request = self.client.request(Method::GET, self.addresses[index], path, full(Vec::new()))?;
            request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(accept));
            match self.client.open(request, patience).await {
                Ok(answer) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) if may_ask_another(&Method::GET, &error) => last = error,
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

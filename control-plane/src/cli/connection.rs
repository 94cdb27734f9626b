//! Which control plane to talk to, and how: options, environment, then the data directory of this machine's fleet.

use super::CliError;
use crate::{
    limits::{API_ANSWER_BYTES_MAX, API_PATIENCE, DEFAULT_API_PORT},
    provision::local::{plan::loopback, process::Processes, run_file::Role},
};
use bulkhead_model::api::{control_plane::IDEMPOTENCY_KEY, error::ApiError};
use bulkhead_service::{
    client::{Client, ClientError, full},
    config,
    env::Rng,
};
use bytes::Bytes;
use clap::Args;
use http::{HeaderValue, Method, header};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// The data directory of this machine's fleet.
    #[arg(long, global = true, env = "BULKHEAD_DATA", default_value = ".bulkhead")]
    pub data: PathBuf,
    /// The control plane's API, such as http://127.0.0.1:9002; by default that of the data directory.
    #[arg(long, global = true, env = "BULKHEAD_ENDPOINT")]
    pub endpoint: Option<String>,
    /// The file with the admin token; by default `<data>/admin.token`.
    #[arg(long, global = true, env = "BULKHEAD_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Under it a change is made once, however often the command is repeated; by default a new one each time.
    #[arg(long, global = true, env = "BULKHEAD_IDEMPOTENCY_KEY")]
    pub idempotency_key: Option<String>,
}

impl Settings {
    /// The processes of this machine.
    pub fn processes(&self) -> Processes {
        Processes::new(self.data.join("run"))
    }

    /// A connection to the control plane. Nothing is sent yet.
    ///
    /// # Errors
    /// When there is no token, or the endpoint is not an address.
    pub fn connect(&self) -> Result<Connection, CliError> {
        let token_file = self.token_file.clone().unwrap_or_else(|| self.data.join("admin.token"));
        let token = config::read_token(&token_file).map_err(CliError::NoToken)?;
        let address = match &self.endpoint {
            Some(given) => address(given).ok_or_else(|| CliError::Endpoint { given: given.clone() })?,
            None => self.local_control_plane()?.unwrap_or(loopback(DEFAULT_API_PORT)),
        };
        let connection = Connection::new(Client::new(Some(&token), None), address, &token_file);
        Ok(Connection { idempotency_key: self.idempotency_key.clone(), ..connection })
    }

    fn local_control_plane(&self) -> Result<Option<SocketAddr>, CliError> {
        let runs = self.processes().list()?;
        let control_plane = runs.into_iter().find(|run| run.role == Role::ControlPlane);
        Ok(control_plane.and_then(|run| run.addresses.get("api").copied()))
    }
}

fn address(given: &str) -> Option<SocketAddr> {
    given.strip_prefix("http://").unwrap_or(given).trim_end_matches('/').parse().ok()
}

/// The control plane's API as the CLI calls it.
#[derive(Debug, Clone)]
pub struct Connection {
    client: Client,
    address: SocketAddr,
    token_file: PathBuf,
    idempotency_key: Option<String>,
}

impl Connection {
    /// A connection to a known address.
    pub fn new(client: Client, address: SocketAddr, token_file: &Path) -> Self {
        Self { client, address, token_file: token_file.to_owned(), idempotency_key: None }
    }

    /// # Errors
    /// [`CliError`] with the API's own reason; so for all calls below.
    pub async fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, CliError> {
        self.call(Method::GET, path, None::<&()>).await
    }

    pub async fn post<Q: Serialize, A: DeserializeOwned>(&self, path: &str, body: &Q) -> Result<A, CliError> {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn put<Q: Serialize, A: DeserializeOwned>(&self, path: &str, body: &Q) -> Result<A, CliError> {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Result<(), CliError> {
        self.call(Method::DELETE, path, None::<&()>).await
    }

    /// The answer as it came, byte for byte.
    pub async fn text(&self, path: &str) -> Result<String, CliError> {
        let answered = self.send(Method::GET, path, Bytes::new()).await;
        let answer = answered.map_err(|error| CliError::from_call(self.address, &self.token_file, error))?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Sends a document as it is.
    pub async fn put_document<A: DeserializeOwned>(&self, path: &str, document: String) -> Result<A, CliError> {
        let answered = self.send(Method::PUT, path, document.into()).await.and_then(|answer| read(&answer));
        answered.map_err(|error| CliError::from_call(self.address, &self.token_file, error))
    }

    async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Q>,
    ) -> Result<A, CliError> {
        let body = body.map(|body| serde_json::to_vec(body).expect("API types have string keys and plain values"));
        let answered = self.send(method, path, body.unwrap_or_default().into()).await.and_then(|answer| read(&answer));
        answered.map_err(|error| CliError::from_call(self.address, &self.token_file, error))
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, ClientError> {
        let is_write = method != Method::GET;
        let has_body = !body.is_empty();
        let mut request = self.client.request(method, self.address, path, full(body))?;
        let headers = request.headers_mut();
        if has_body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if is_write {
            let key = self.idempotency_key.clone().unwrap_or_else(|| format!("{:032x}", Rng::from_os().u128()));
            let key = HeaderValue::try_from(key).map_err(|error| ClientError::Unusable(error.to_string()))?;
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        let answer = self.client.call(request, API_PATIENCE, API_ANSWER_BYTES_MAX).await?;
        let (status, body) = (answer.status(), answer.into_body());
        if status.is_success() {
            return Ok(body);
        }
        let error = serde_json::from_slice(&body).unwrap_or_else(|_| ApiError {
            code: "unknown".into(),
            message: format!("{status}: {}", String::from_utf8_lossy(&body[..body.len().min(200)])),
        });
        Err(ClientError::Refused { status, error })
    }
}

fn read<A: DeserializeOwned>(body: &[u8]) -> Result<A, ClientError> {
    let text = if body.is_empty() { b"null" } else { body };
    serde_json::from_slice(text).map_err(|error| ClientError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_with_or_without_a_scheme() {
        let expected = Some(loopback(9002));
        for given in ["http://127.0.0.1:9002", "http://127.0.0.1:9002/", "127.0.0.1:9002"] {
            assert_eq!(address(given), expected, "{given}");
        }
        assert_eq!(address("https://example.com"), None);
    }
}

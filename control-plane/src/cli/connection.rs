//! Which control plane to talk to, and how: options, environment, then the data directory of this machine's fleet.

use super::CliError;
use crate::{
    limits::{DEFAULT_API_PORT, STAMP_WAIT},
    provision::local::{plan::loopback, process::Processes, run_file::Role},
};
use bulkhead_service::{client::Client, config};
use clap::Args;
use http::Method;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
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
        Ok(Connection { client: Client::new(Some(&token), None), address, token_file })
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
}

/// Stamping waits for real processes, so the client must wait a little longer than the server does.
const PATIENCE: Duration = Duration::from_secs(STAMP_WAIT.as_secs() + 5);

impl Connection {
    /// A connection to a known address.
    pub fn new(client: Client, address: SocketAddr, token_file: &Path) -> Self {
        Self { client, address, token_file: token_file.to_owned() }
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

    async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Q>,
    ) -> Result<A, CliError> {
        let answer = self.client.json(method, self.address, path, body, PATIENCE).await;
        answer.map_err(|error| CliError::from_call(self.address, &self.token_file, error))
    }
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
